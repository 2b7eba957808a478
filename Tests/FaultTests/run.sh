#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the servers in release mode and attacks them with misbehaving clients:
#
#   Tests/FaultTests/run.sh SECONDS [OPTIONS OF fuzz.py]
#
# Linux only, as it counts descriptors in /proc. Requires Python 3.8 and openssl.
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
