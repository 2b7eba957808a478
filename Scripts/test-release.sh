#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The tests of the wire format, of event streams and of the hub as users get them: optimised. A fault of the compiler showed
# there and nowhere else; and the model of the hub takes its million steps here. Without traits, so that nothing of the
# server is compiled again.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=${SCRATCH:-$PWD/.build}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

if ! swift test -c release --disable-default-traits --scratch-path "$scratch/traits" \
    --filter 'PlinthEventsTests|PlinthTests|PlinthHubTests' > "$log" 2>&1; then
    grep -v '^\[[0-9]*/' "$log" | tail -60
    exit 1
fi
grep 'Test run with' "$log"
