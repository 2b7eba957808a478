#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs all tests: the package's, the examples', and the examples in a browser. Goes on after a failure, so that one run
# shows all of them. The last line counts; the status is 1 if anything failed.
set -uo pipefail
cd "$(dirname "$0")/.."
export SCRATCH=${SCRATCH:-$PWD/.build}

passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs a suite, and adds to the counts what its output says. A suite that fails without saying how many tests did, because
# it does not compile or has crashed, counts as one failure.
suite() {
    local name=$1 began=$SECONDS status counted=0 bad=0 line
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log" | grep -Ev '^(\[[0-9]+/[0-9]+\] |.*(Test|Suite|Test case) .* (started|passed)|Building for |Build of target|Emitting )'
    status=${PIPESTATUS[0]}
    while read -r line; do
        # "Test run with 12 tests in 3 suites failed after 0.1 seconds with 2 issues."
        [[ $line =~ with\ ([0-9]+)\ tests? ]] && counted=$((counted + BASH_REMATCH[1]))
    done < <(grep -E 'Test run with [0-9]+ tests? ' "$log")
    bad=$(grep -cE '^[^[:alnum:]]*Test .* failed after ' "$log")
    if line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -1) && [ -n "$line" ]; then
        counted=$(( ${line%% passed*} )) bad=$(sed 's/.*, //; s/ failed//' <<< "$line")
        counted=$((counted + bad))
    fi
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1 counted=$((counted + 1)); fi
    if [ "$status" -eq 0 ] && [ "$counted" -eq 0 ]; then
        echo "error: $name ran no tests"
        bad=1 counted=1
    fi
    passed=$((passed + counted - bad)) failed=$((failed + bad))
    echo "== $name: $((counted - bad)) passed, $bad failed ($((SECONDS - began)) s)"
}

suite "package" Scripts/swiftpm.sh . test
suite "examples" Scripts/swiftpm.sh Examples test
suite "browser" Tests/BrowserTests/run.py --examples "$SCRATCH/debug" --output "$SCRATCH/browser-tests"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
