#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Sees that everything is there that the tests use, and installs it where that is possible (Debian, as root or with sudo).
set -euo pipefail

# program:package
needed=(chromium:chromium curl:curl openssl:openssl python3:python3 nginx:nginx-light)
missing=()
for entry in "${needed[@]}"; do
    # nginx lives in /usr/sbin, which is not on everybody's path.
    PATH=$PATH:/usr/sbin command -v "${entry%%:*}" > /dev/null || missing+=("${entry##*:}")
done
# A module of nginx, which the client is tested against.
[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || missing+=(libnginx-mod-nchan)
if ! command -v swift > /dev/null; then
    echo "error: there is no Swift; install 6.2 or later from https://www.swift.org/install" >&2
    exit 1
fi
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install --yes --no-install-recommends ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    # Only without asking: a test run waits for nobody.
    if command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
        as_root=(sudo -n)
    else
        echo "error: the tests need ${missing[*]}; install with: sudo $install" >&2
        exit 1
    fi
fi
if ! command -v apt-get > /dev/null; then
    echo "error: the tests need ${missing[*]} (names of Debian packages), and there is no apt-get here" >&2
    exit 1
fi
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update --quiet > /dev/null
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install > /dev/null
