#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the servers in release mode and attacks them with misbehaving clients; then publishes through connections that are
# cut and a bridge that is killed, reads by long-polls beside a stream, and kills hubs whose history is in a file, for a
# quarter of the time each, tries who may do what, for a minute or two, and at last cuts their power, 15 times for each
# setting:
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
for script in resend.py longpoll.py bridge.py crash.py "bridge.py --history" \
    "restart.py --rounds 2 --restores 1"; do
    echo "$script"
    # The option is a word of its own.
    # shellcheck disable=SC2086
    python3 Tests/FaultTests/$script --plinth "$scratch/release/plinth" --seconds $(((seconds + 3) / 4))
done
echo authorization.py
python3 Tests/FaultTests/authorization.py --plinth "$scratch/release/plinth"
for setting in full normal; do
    echo "powercut.py --setting $setting"
    python3 Tests/FaultTests/powercut.py --plinth "$scratch/release/plinth" --setting $setting --rounds 15
done
