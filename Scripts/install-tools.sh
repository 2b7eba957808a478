#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks for what a build needs, and with `tests` for the programs that the tests use; installs what is missing if possible
# (Debian, as root or with sudo).
#
#   Scripts/install-tools.sh [tests]
set -euo pipefail

if ! command -v swift > /dev/null; then
    echo "error: Swift not found; install 6.2 or later from https://www.swift.org/install" >&2
    exit 1
fi

missing=()
# Headers, in any of the compiler's directories: GRDB needs SQLite's, NIO's extras zlib's.
compiler=$(command -v clang || command -v cc || echo false)
has_header() { echo "#include <$1>" | "$compiler" -fsyntax-only -x c - 2> /dev/null; }
has_header sqlite3.h || missing+=(libsqlite3-dev)
has_header zlib.h || missing+=(zlib1g-dev)

# program:package
needed=()
if [ "${1:-}" = tests ]; then
    needed=(chromium:chromium curl:curl openssl:openssl python3:python3 nginx:nginx-light)
    # The client is tested against this nginx module.
    [ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || missing+=(libnginx-mod-nchan)
fi
for entry in ${needed[@]+"${needed[@]}"}; do
    # nginx is in /usr/sbin, which may not be in PATH.
    PATH=$PATH:/usr/sbin command -v "${entry%%:*}" > /dev/null || missing+=("${entry##*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install --yes --no-install-recommends ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    # Only if sudo needs no password: a test run must not prompt.
    if command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
        as_root=(sudo -n)
    else
        echo "error: ${missing[*]} missing; install with: sudo $install" >&2
        exit 1
    fi
fi
if ! command -v apt-get > /dev/null; then
    echo "error: ${missing[*]} missing (Debian package names), and apt-get too" >&2
    exit 1
fi
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update --quiet > /dev/null
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install > /dev/null
