#!/usr/bin/env bash
# What `make check-cluster` needs beside Python: packages of Debian, and Kubernetes itself, built from the Go module
# proxy ($GOPROXY, else Go's default) into .cache/cluster/bin. Looks for everything first; installs what is missing
# where it may, and names it where it may not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
KUBERNETES=v1.37.2
cache=$(cd ../.. && pwd)/.cache/cluster

missing=()
require() { # require PACKAGE COMMAND: the package is missing where the command is
  command -v "$2" >/dev/null || missing+=("$1")
}
require containerd containerd
require runc runc
require containernetworking-plugins /usr/lib/cni/bridge
require buildah buildah
require podman podman
require uidmap newuidmap
require debootstrap debootstrap
require iproute2 ip
require iptables iptables
require nftables nft
require conntrack conntrack
require ipset ipset
require openssl openssl
require kcat kcat
require redis-server redis-server
require default-jre-headless java
require maven mvn

if ! command -v go >/dev/null || ! go version | grep -qE 'go1\.(2[6-9]|[3-9][0-9])'; then
  echo "Go 1.26 or newer is missing, and Debian's is older: install it by hand. Kubernetes is built with it." >&2
  exit 1
fi
if ((EUID != 0)); then
  echo "make check-cluster needs root: it makes network namespaces, mounts and cgroups, and runs containers." >&2
  ((${#missing[@]} == 0)) || echo "Missing here: ${missing[*]}. Install them: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
if ((${#missing[@]})); then
  export DEBIAN_FRONTEND=noninteractive
  timeout 300 apt-get update -qq
  timeout 900 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

quietly() { grep -v '^go: downloading' >&2 || true; }

# Built again when one of the sources has changed. The build's own caches (7.5 GB) go when it is done.
sources=$({ echo $KUBERNETES; cat components/* policy/* pause/*; } | sha256sum | cut -d ' ' -f 1)
if [[ $(cat "$cache/bin/sources" 2>/dev/null) != "$sources" ]]; then
  echo "Building Kubernetes $KUBERNETES; this takes 10 to 20 minutes, once." >&2
  export CGO_ENABLED=0 GOFLAGS="-p=2 -buildvcs=false -trimpath -modcacherw"
  export GOCACHE=$cache/build/objects GOMODCACHE=$cache/build/modules
  mkdir -p "$cache/bin"
  v=k8s.io/component-base/version
  IFS=. read -r major minor _ <<<"${KUBERNETES#v}"
  version="-X $v.gitVersion=$KUBERNETES -X $v.gitMajor=$major -X $v.gitMinor=$minor -X $v.gitTreeState=clean"
  (cd components && timeout 5400 go build -tags providerless,dockerless -ldflags "-s -w $version" -o "$cache/bin/" \
    . helm.sh/helm/v3/cmd/helm 2> >(quietly))
  (cd policy && timeout 1800 go build -ldflags "-s -w" -o "$cache/bin/policy" . 2> >(quietly))
  timeout 300 go build -ldflags "-s -w" -o "$cache/bin/pause" pause/main.go
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    ln -sf components "$cache/bin/$name"
  done
  rm -rf "$cache/build"
  echo "$sources" > "$cache/bin/sources"
fi
