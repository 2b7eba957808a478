#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks for the programs that the tests use, and installs missing ones if possible (Debian, as root or with sudo).
set -euo pipefail

# program:package
needed=(chromium:chromium curl:curl openssl:openssl python3:python3 nginx:nginx-light)
missing=()
for entry in "${needed[@]}"; do
    # nginx is in /usr/sbin, which may not be in PATH.
    PATH=$PATH:/usr/sbin command -v "${entry%%:*}" > /dev/null || missing+=("${entry##*:}")
done
# The client is tested against this nginx module.
[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || missing+=(libnginx-mod-nchan)
if ! command -v swift > /dev/null; then
    echo "error: Swift not found; install 6.2 or later from https://www.swift.org/install" >&2
    exit 1
fi
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install --yes --no-install-recommends ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    # Only if sudo needs no password: a test run must not prompt.
    if command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
        as_root=(sudo -n)
    else
        echo "error: the tests need ${missing[*]}; install with: sudo $install" >&2
        exit 1
    fi
fi
if ! command -v apt-get > /dev/null; then
    echo "error: the tests need ${missing[*]} (Debian package names), and apt-get is missing" >&2
    exit 1
fi
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update --quiet > /dev/null
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install > /dev/null
