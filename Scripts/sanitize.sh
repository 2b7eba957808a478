#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests of the hub and the reactor under AddressSanitizer and ThreadSanitizer, each in its own scratch folder.
# Without traits, so that the server is not recompiled.
#
#   Scripts/sanitize.sh [address|thread]…        default: both
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=${SCRATCH:-$PWD/.build}
mkdir -p "$scratch"
# A crashed process starts another to write the backtrace, which ThreadSanitizer does not survive.
export SWIFT_BACKTRACE=enable=no
# Selections and topics live as long as the tests; other tests check for leaks.
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
    # One target at a time: CPU-bound tests would starve those that wait for a socket.
    for target in PlinthReactorTests PlinthHubTests; do
        part=$scratch/sanitize-$name-$target.log
        if timeout 1200 swift test --sanitize="$name" --disable-default-traits --scratch-path "$scratch/sanitize-$name" \
            "${options[@]}" --filter "^$target\\." > "$part" 2>&1; then
            echo "$name, $target: $(grep -a 'Test run with [0-9]' "$part" | tail -1)"
        else
            echo "$name, $target: failed; the full output is in $part"
            grep -aE '✘|error:|Fatal|SUMMARY' "$part" | sort | uniq -c | sort -rn | head -40
            status=1
        fi
    done
done
exit $status
