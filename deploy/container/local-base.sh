#!/usr/bin/env bash
# Makes a stand-in for the Dockerfile's base image out of Debian's packages and a Python of this machine, so that the
# Dockerfile can be built and run where no registry is reached and no container engine runs. It proves the Dockerfile,
# not the official base image.
#   deploy/container/local-base.sh IMAGE [PYTHON]      as root; needs debootstrap and buildah
set -euo pipefail
image=${1:?usage: local-base.sh IMAGE [PYTHON]}
python=${2:-python3}

prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

libraries=ca-certificates,libssl3,libsqlite3-0,libffi8,zlib1g,libbz2-1.0,liblzma5,libreadline8,libncursesw6,libuuid1,libexpat1
timeout 600 debootstrap --variant=minbase --include="$libraries" bookworm "$root" >/dev/null
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*

# As in the official image: /usr/local/bin/python with pip, without the tests, compiled files and symbols.
cp -a "$prefix"/. "$root/usr/local/"
find "$root/usr/local/bin" ! -name 'python*' ! -type d -delete
ln -sf python3 "$root/usr/local/bin/python"
find "$root/usr/local" \( -name __pycache__ -o -name '*.a' -o -path '*/lib/python3*/test' \) -prune -exec rm -rf {} +
find "$root"/usr/local/{bin,lib} -type f \( -name '*.so*' -o -name 'python3.*[0-9]' \) -exec strip --strip-unneeded {} +
rm -rf "$root"/usr/local/lib/python3*/site-packages/*
echo "/usr/local/lib" > "$root/etc/ld.so.conf.d/python.conf"
chroot "$root" ldconfig
chroot "$root" /usr/local/bin/python3 -I -m ensurepip --default-pip >/dev/null 2>&1

container=$(buildah from scratch)
buildah add --quiet "$container" "$root" / >/dev/null
buildah config --env PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin --cmd python3 "$container"
buildah commit --quiet --format docker --rm "$container" "$image" >/dev/null
