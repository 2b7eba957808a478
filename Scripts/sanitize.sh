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
mkdir -p "$scratch"
# A backtrace is the work of a process that a crashed one starts, which ThreadSanitizer does not survive.
export SWIFT_BACKTRACE=enable=no
# Selections and topics live as long as the tests do; what leaks otherwise is counted elsewhere.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=0:exitcode=66}

[ $# -gt 0 ] || set -- address thread
status=0
for name in "$@"; do
    options=()
    if [ "$name" = thread ]; then
        clang -c -O1 -fPIC Scripts/tsan-mutex.c -o "$scratch/tsan-mutex.o"
        options=(-Xlinker "$scratch/tsan-mutex.o")
    fi
    # One after the other: those that compute for seconds would keep those that wait for a socket from their turn.
    for target in PlinthReactorTests PlinthHubTests; do
        part=$scratch/sanitize-$name-$target.log
        if timeout 1200 swift test --sanitize="$name" --disable-default-traits --scratch-path "$scratch/sanitize-$name" \
            "${options[@]}" --filter "^$target\\." > "$part" 2>&1; then
            echo "$name, $target: $(grep -a 'Test run with [0-9]' "$part" | tail -1)"
        else
            echo "$name, $target: failed; the whole output is in $part"
            grep -aE '✘|error:|Fatal|SUMMARY' "$part" | sort | uniq -c | sort -rn | head -40
            status=1
        fi
    done
done
exit $status
