# The relay's image: nothing but the public base image and PyPI is needed to build it.
#   docker build -t relay .        (podman and buildah do as well)
# Extras, by default none: --build-arg EXTRAS="msk otel"
# A release pins the base by its digest (deploy/release/image.sh); so can you: --build-arg BASE=...@sha256:...
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The environment has no pip of its own: the base's installs into it, and stays behind.
RUN python -m venv --without-pip /opt/relay && python -m venv /opt/build
ARG EXTRAS=""
COPY requirements/*.txt requirements/
RUN /opt/build/bin/pip install --require-hashes --only-binary=:all: -r requirements/build.txt \
 && /opt/build/bin/pip --python /opt/relay/bin/python install --require-hashes --only-binary=:all: --no-compile \
    -r requirements/run.txt $(for extra in $EXTRAS; do echo "-r requirements/$extra.txt"; done)
COPY pyproject.toml README.md LICENSE ./
COPY relay relay
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheels . \
 && /opt/build/bin/pip --python /opt/relay/bin/python install --no-deps --no-index --no-compile /tmp/wheels/*.whl
# Neither compilers nor highlighted sources here: of Pygments, which Rich brings, the lexers would be 8 MB.
# -f: pip has compiled what it imported itself, with the time of the build inside.
RUN find /opt/relay -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.c' -o -name '*.h' \) -delete \
 && find /opt/relay -path '*/pygments/lexers/[a-z]*.py' ! -name python.py -delete \
 && PYTHONHASHSEED=0 /opt/relay/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /opt/relay/lib \
 && mkdir -p /rootfs/var/lib/relay /rootfs/etc/relay \
 && chown 10001:10001 /rootfs/var/lib/relay
COPY deploy/container/relay.yaml /rootfs/etc/relay/relay.yaml

FROM ${BASE}
ARG VERSION=0.0.0
ARG REVISION=unknown
# Where the source is and what the base was, the release adds: https://specs.opencontainers.org/image-spec/annotations/
LABEL org.opencontainers.image.title="relay" \
      org.opencontainers.image.description="Event bridge for Novita AI: webhooks and chats in, CloudEvents exactly once on Kafka and Redis Streams." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# What could install or build something has no place beside a server.
RUN rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/idlelib \
    /usr/local/lib/python3*/tkinter /usr/local/lib/python3*/turtledemo /usr/local/lib/python3*/test \
    /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/bin/2to3*
COPY --from=build /opt/relay /opt/relay
COPY --from=build /rootfs/ /
ENV PATH=/opt/relay/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, so that Kubernetes can tell that it is not root.
USER 10001:10001
WORKDIR /var/lib/relay
VOLUME ["/var/lib/relay"]
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["relay"]
CMD ["serve", "--config", "/etc/relay/relay.yaml"]
