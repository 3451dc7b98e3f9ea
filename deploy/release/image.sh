#!/usr/bin/env bash
# The image of the last commit, as a release builds it: the base pinned by its digest, all times those of the commit,
# labelled, with its bill of materials. Two builds on one base have one digest.
#   deploy/release/image.sh TAG [options of `buildah build`]
# BASE: the base image; pulled, unless it is a local one. SOURCE: where the source is, for the labels.
# SYFT: the program that lists what is inside.
# Writes image.digest, relay-image.tar (an OCI archive) and relay-image.cdx.json to DIST, or to dist.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tag=${1:?usage: image.sh TAG [OPTIONS]}
shift
base=${BASE:-docker.io/library/python:3.13-slim-bookworm}
dist=${DIST:-dist}
version=$(sed -nE 's/^__version__ = "(.+)"$/\1/p' relay/__init__.py)
time=$(git log -1 --format=%ct)
sources=$(mktemp -d)
trap 'rm -rf "$sources"' EXIT
umask 022 # what is copied keeps its rights
git archive HEAD | tar --extract --directory "$sources"

[[ $base == localhost/* ]] || timeout 600 buildah pull --quiet "$base" >/dev/null
digest=$(buildah inspect --type image --format '{{.FromImageDigest}}' "$base")

labels=(
  "org.opencontainers.image.created=$(date --utc --date "@$time" +%Y-%m-%dT%H:%M:%SZ)"
  "org.opencontainers.image.base.name=$base"
  "org.opencontainers.image.base.digest=$digest"
)
if [[ -n ${SOURCE:-} ]]; then
  labels+=("org.opencontainers.image.source=$SOURCE" "org.opencontainers.image.url=$SOURCE")
  labels+=("org.opencontainers.image.documentation=$SOURCE/blob/v$version/docs/README.md")
fi

# By the digest, so that what is built on is what the label says, even if the tag moves meanwhile.
pinned=$base
if [[ $base != localhost/* ]]; then
  name=${base%@*}
  [[ ${name##*/} != *:* ]] || name=${name%:*}
  pinned=$name@$digest
fi
# What an earlier build has left in a cache, nobody else has.
timeout 900 buildah build --no-cache --format oci --timestamp "$time" \
  --build-arg "BASE=$pinned" --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD)" \
  "${labels[@]/#/--label=}" "$@" --tag "$tag" "$sources" >&2

mkdir -p "$dist"
rm -f "$dist/relay-image.tar"
buildah push --quiet --digestfile "$dist/image.digest" "$tag" "oci-archive:$dist/relay-image.tar:$version"
timeout 300 "${SYFT:-syft}" scan --quiet --source-name relay --source-version "$version" \
  --output "cyclonedx-json@1.6=$dist/relay-image.cdx.json" "oci-archive:$dist/relay-image.tar"
cat "$dist/image.digest"
