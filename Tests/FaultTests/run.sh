#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds servers for release, and attacks them for some seconds with clients that leave in the middle of everything:
#
#   Tests/FaultTests/run.sh SECONDS [OPTIONS OF fuzz.py]
#
# Linux, since it counts descriptors in /proc. Needs Python 3.8 and openssl.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:?seconds}
shift
scratch=${SCRATCH:-$PWD/.build}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for product in plinth fault-probe; do
    if ! Scripts/swiftpm.sh . build -c release --product "$product" > "$log" 2>&1; then
        grep -v '^\[[0-9]*/' "$log" | tail -60
        exit 1
    fi
done
exec python3 Tests/FaultTests/fuzz.py --binaries "$scratch/release" --seconds "$seconds" "$@"
