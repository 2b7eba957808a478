#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs all tests: those of the package, target by target, the examples', those of new projects, and the examples in a
# browser. Goes on after a failure, so that one run shows all of them. The last line counts; the status is 1 if anything failed. Whole outputs are in $SCRATCH/logs.
set -uo pipefail
cd "$(dirname "$0")/.."
export SCRATCH=${SCRATCH:-$PWD/.build}
mkdir -p "$SCRATCH/logs"

passed=0 failed=0

# Of what SwiftPM and the tests print: what went wrong, the sums, and now and then how far the build is.
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

# Runs a suite, and adds to the counts what its output says. A suite that fails without saying how many tests did, because
# it does not compile or has crashed, counts as one failure; so does one that ran no tests.
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
        echo "error: $name ended with status $status; its last lines:"
        tail -20 "$log"
        bad=1 counted=$((counted + 1))
    elif [ "$status" -eq 0 ] && [ "$counted" -eq 0 ]; then
        echo "error: $name ran no tests"
        bad=1 counted=1
    fi
    passed=$((passed + counted - bad)) failed=$((failed + bad))
    echo "== $name: $((counted - bad)) passed, $bad failed ($((SECONDS - began)) s)"
}

# Each test target by itself: tests run in parallel, and those that compute for seconds would keep those that wait for a
# socket from their turn.
echo "== build"
if Scripts/swiftpm.sh . build --build-tests 2>&1 | tee "$SCRATCH/logs/build.log" | excerpt; then
    for target in $(Scripts/swiftpm.sh . package dump-package | python3 -c '
import json, sys
for target in json.load(sys.stdin)["targets"]:
    if target["type"] == "test":
        print(target["name"])'); do
        # One that has no tests yet is no failure; one whose tests do not run is.
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
