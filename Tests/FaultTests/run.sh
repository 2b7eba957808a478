#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the servers in release mode and attacks them with misbehaving clients; then publishes through connections that are
# cut and a bridge that is killed, and reads by long-polls beside a stream, for a quarter of the time each:
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
python3 Tests/FaultTests/fuzz.py --binaries "$scratch/release" --seconds "$seconds" "$@"
for script in resend longpoll bridge; do
    echo "$script.py"
    python3 "Tests/FaultTests/$script.py" --plinth "$scratch/release/plinth" --seconds $(((seconds + 3) / 4))
done
