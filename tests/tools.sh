#!/usr/bin/env bash
# What `make test` needs beside Python: brokers and programs from Debian. Looks for all of it first, which takes no
# time; installs what is missing where it may, and names it where it may not.
set -euo pipefail

missing=()
require() { # require PACKAGE COMMAND: the package is missing where the command is
  command -v "$2" >/dev/null || missing+=("$1")
}
require default-jre-headless java
require default-jdk-headless javac
require maven mvn
require redis-server redis-server
require kcat kcat
require strace strace
require nginx-light nginx
require nodejs node
require npm npm
require chromium chromium
require fish fish
require zsh zsh

if ! command -v go >/dev/null || ! go version | grep -qE 'go1\.(2[6-9]|[3-9][0-9])'; then
  echo "Go 1.26 or newer is missing, and Debian's is older: install it by hand. docs/consumers/go is built with it." >&2
  exit 1
fi

if ((${#missing[@]})); then
  if ((EUID != 0)); then
    echo "Missing here: ${missing[*]}. Install them: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  timeout 300 apt-get update -qq
  timeout 600 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
