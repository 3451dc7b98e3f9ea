#!/usr/bin/env bash
# Puts the image of dist/ and the chart for it into a registry, and signs both: `make publish`, at the end of a release.
#   REGISTRY=ghcr.io/somebody SOURCE=https://... deploy/release/publish.sh
# Who may push has logged in before. Signing is keyless: it needs the identity of a workflow (or asks in a browser).
# SIGN=no leaves it out, INSECURE=yes speaks HTTP: both are for a registry on loopback.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
registry=${REGISTRY:?name the registry: REGISTRY=ghcr.io/somebody}
registry=${registry,,} # names of repositories are lower case, those of their owners need not be
dist=${DIST:-dist}
version=$(sed -nE 's/^__version__ = "(.+)"$/\1/p' relay/__init__.py)
digest=$(<"$dist/image.digest")
python=${PYTHON:-.venv/bin/python}
tls=() plain=()
[[ ${INSECURE:-no} == no ]] || { tls=(--dest-tls-verify=false) plain=(--plain-http); }

needed=(skopeo helm)
[[ ${SIGN:-yes} != yes ]] || needed+=(cosign)
for program in "${needed[@]}"; do
  command -v "$program" >/dev/null || { echo "$program is missing" >&2; exit 1; }
done

sign() { # sign REFERENCE [BILL OF MATERIALS]
  [[ ${SIGN:-yes} == yes ]] || return 0
  cosign sign --yes "$1"
  [[ -z ${2:-} ]] || cosign attest --yes --type cyclonedx --predicate "$2" "$1"
}

skopeo copy --quiet --preserve-digests "${tls[@]}" "oci-archive:$dist/relay-image.tar:$version" "docker://$registry/relay:$version"
sign "$registry/relay@$digest" "$dist/relay-image.cdx.json"

"$python" -m deploy.release.chart "$registry/relay" "$digest" --source "${SOURCE:-}"
pushed=$(helm push "${plain[@]}" "$dist/relay-$version.tgz" "oci://$registry/charts" 2>&1)
sign "$registry/charts/relay@$(sed -nE 's/^Digest: (sha256:[0-9a-f]{64})$/\1/p' <<<"$pushed")"

echo "docker pull $registry/relay:$version@$digest"
echo "helm install relay oci://$registry/charts/relay --version $version"
