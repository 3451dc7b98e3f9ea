#!/usr/bin/env bash
# What `make check-deploy` needs beside Python: Helm and actionlint (from the Go module proxy, into .cache/bin), kubectl,
# promtool, buildah, podman and Redis (from Debian). Installs what is missing where it may, and names it where it may not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
HELM_VERSION=v3.22.0
ACTIONLINT_VERSION=v1.7.12
bin=$PWD/.cache/bin

missing=()
require() { # require PACKAGE COMMAND: the package is missing where the command is
  command -v "$2" >/dev/null || missing+=("$1")
}
require prometheus promtool
require prometheus prometheus
require kubernetes-client kubectl
require systemd systemd-analyze
require buildah buildah
require podman podman
require runc runc
require uidmap newuidmap
require debootstrap debootstrap
require redis-server redis-server
[[ -x $bin/helm ]] || command -v helm >/dev/null || require golang-go go
[[ -x $bin/actionlint ]] || require golang-go go

if ((${#missing[@]})); then
  if ((EUID != 0)); then
    echo "Missing here: ${missing[*]}. Install them: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  timeout 300 apt-get update -qq
  timeout 900 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [[ ! -x $bin/helm ]] && ! command -v helm >/dev/null; then
  echo "Building Helm $HELM_VERSION; this takes a few minutes, once." >&2
  GOBIN=$bin timeout 900 go install "helm.sh/helm/v3/cmd/helm@$HELM_VERSION"
fi

if [[ $("$bin/actionlint" -version 2>/dev/null | head -1) != "$ACTIONLINT_VERSION" ]]; then
  GOBIN=$bin timeout 300 go install "github.com/rhysd/actionlint/cmd/actionlint@$ACTIONLINT_VERSION"
fi
