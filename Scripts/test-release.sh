#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tests of the wire format, event streams and the hub in a release build: a miscompilation once showed only
# there, and the hub's model test runs its million steps here. Without traits, so that the server is not recompiled.
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
