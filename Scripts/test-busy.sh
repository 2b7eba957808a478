#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the package's own tests, target by target, while other processes keep every core busy: a test that depends on real
# time fails then.
#
#   Scripts/test-busy.sh [RUNS] [PROCESSES]     # by default one run beside four processes
#
# The processes end with this script, at the latest after an hour.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-1} count=${2:-4}
Scripts/swiftpm.sh . build --build-tests

busy=()
trap 'kill "${busy[@]}" 2> /dev/null || true' EXIT
for ((number = 0; number < count; number++)); do
    timeout 3600 yes > /dev/null &
    busy+=($!)
done
for ((run = 1; run <= runs; run++)); do
    echo "== run $run of $runs beside $count busy processes"
    for target in Tests/*Tests; do
        name=$(basename "$target")
        # The browser and fault tests have their own commands.
        case $name in BrowserTests | FaultTests) continue ;; esac
        Scripts/swiftpm.sh . test --skip-build --filter "^$name\\." | grep -E "✘|Test run with"
    done
done
