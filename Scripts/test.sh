#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs all tests: the package's target by target, the examples', those of new projects, and the browser tests. Continues
# after a failure, so that one run shows all of them. The last line has the totals; the status is 1 if anything failed.
# Full outputs are in $SCRATCH/logs.
set -uo pipefail
cd "$(dirname "$0")/.."
export SCRATCH=${SCRATCH:-$PWD/.build}
mkdir -p "$SCRATCH/logs"

passed=0 failed=0

# Filters the output of SwiftPM and the tests: keeps failures and totals, and the build's progress every 20 s.
excerpt() {
    local last=$SECONDS line
    while IFS= read -r line; do
        case $line in
            ◇*) ;;
            *✘* | *"error:"* | *"Fatal error"* | *"rogram crashed"* | *" crashed:"* | *" in "*" at /"* | *"Test run with"* | \
                "Build complete"* | *"… "* | "    "*passed* | "    "*FAILED* | \
                "      "* | [0-9]*" passed, "*) echo "$line" ;;
            "["*/*"]"*)
                if ((SECONDS - last >= 20)); then
                    last=$SECONDS
                    echo "$line"
                fi
                ;;
        esac
    done
}

# Runs a suite and adds the counts from its output. A suite that fails without reporting failed tests (it does not
# compile, or crashed) counts as one failure; so does one that ran no tests.
suite() {
    local name=$1 began=$SECONDS status counted=0 bad line log=$SCRATCH/logs/$1.log
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log" | excerpt
    status=${PIPESTATUS[0]}
    while read -r line; do
        # "Test run with 12 tests in 3 suites failed after 0.1 seconds with 2 issues."
        [[ $line =~ with\ ([0-9]+)\ tests? ]] && counted=$((counted + BASH_REMATCH[1]))
    done < <(grep -aE 'Test run with [0-9]+ tests? ' "$log")
    bad=$(grep -aE '^✘ Test .* failed after ' "$log" | grep -acv '^✘ Test run with ')
    if line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -1) && [ -n "$line" ]; then
        bad=$(sed 's/.*, //; s/ failed//' <<< "$line")
        counted=$((${line%% passed*} + bad))
    fi
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        echo "error: $name exited with status $status; its last lines:"
        tail -20 "$log"
        bad=1 counted=$((counted + 1))
    elif [ "$status" -eq 0 ] && [ "$counted" -eq 0 ]; then
        echo "error: $name ran no tests"
        bad=1 counted=1
    fi
    passed=$((passed + counted - bad)) failed=$((failed + bad))
    echo "== $name: $((counted - bad)) passed, $bad failed ($((SECONDS - began)) s)"
}

# One test target at a time: tests run in parallel, and CPU-bound ones would starve those that wait for a socket.
echo "== build"
if Scripts/swiftpm.sh . build --build-tests 2>&1 | tee "$SCRATCH/logs/build.log" | excerpt; then
    for target in $(Scripts/swiftpm.sh . package dump-package | python3 -c '
import json, sys
for target in json.load(sys.stdin)["targets"]:
    if target["type"] == "test":
        print(target["name"])'); do
        # A target without tests is skipped; one whose tests do not run is a failure.
        grep -rq '@Test' "Tests/$target" || continue
        suite "$target" Scripts/swiftpm.sh . test --skip-build --filter "^$target\\."
    done
else
    echo "error: the package does not build; the last lines:"
    tail -20 "$SCRATCH/logs/build.log"
    failed=1
fi
suite examples Scripts/swiftpm.sh Examples test
suite new Scripts/test-new.sh
suite browser Tests/BrowserTests/run.py --examples "$SCRATCH/debug" --output "$SCRATCH/browser-tests"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
