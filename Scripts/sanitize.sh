#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The tests of the hub and of the reactor under AddressSanitizer and ThreadSanitizer. Without traits, so that nothing of the
# server is compiled again; each in a scratch folder of its own.
#
#   Scripts/sanitize.sh [address|thread]…        both unless named
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=${SCRATCH:-$PWD/.build}
export SWIFT_BACKTRACE=${SWIFT_BACKTRACE:-interactive=no}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0} TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=0:exitcode=66}

status=0
for sanitizer in "${@:-address thread}"; do
    for name in $sanitizer; do
        log=$scratch/sanitize-$name.log
        mkdir -p "$scratch"
        if swift test --sanitize="$name" --disable-default-traits --scratch-path "$scratch/sanitize-$name" \
            --filter 'PlinthHubTests|PlinthReactorTests' > "$log" 2>&1; then
            echo "$name: $(grep -a 'Test run with' "$log" | tail -1)"
        else
            echo "$name: failed; the whole output is in $log"
            grep -aE '✘|error:|WARNING: ThreadSanitizer|ERROR: AddressSanitizer|SUMMARY' "$log" | sort | uniq -c | sort -rn | head -40
            status=1
        fi
    done
done
exit $status
