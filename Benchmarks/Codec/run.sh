#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Compares our codec with the floor in C and the manual loops of the codec benchmark, and reports which goals
# it reaches.
#
#   Benchmarks/Codec/run.sh WORKFOLDER     # WORKFOLDER outside the checkout; builds and workloads stay there
#
# BENCH     the codec benchmark; by default ../shared/bench/codec beside the checkout
# ONLY      a pattern of codec names; by default ours and the floor ('' for all)
# ROUNDS, SECONDS_EACH, SKIP    as in the benchmark's own script
#
# Ends with status 1 if a goal is missed or a probe differs from the floor's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
bench=$(cd "${BENCH:-$checkout/../shared/bench/codec}" && pwd)
work=$(mkdir -p "${1:?work folder}" && cd "$1" && pwd)

rm -rf "$work/codec"
cp -r "$bench" "$work/codec"
chmod -R u+w "$work/codec"
cp "$here/Ours.swift" "$work/codec/bench/Sources/bench/Ours.swift"
# Only the wire format is measured: without traits its package fetches little.
sed -i 's/\.package(path: \$0)/.package(path: $0, traits: [])/' "$work/codec/bench/Package.swift"
grep -q 'path: $0, traits: \[\]' "$work/codec/bench/Package.swift" || { echo "the benchmark's manifest has changed" >&2; exit 2; }

OURS=$checkout ONLY="${ONLY-^(ours|c-floor)}" "$work/codec/run.sh" "$work"
status=0
python3 "$here/probe.py" "$work/floor" "$work/build/release/bench" || status=1
echo
python3 "$here/shares.py" "$work/results.json" || status=1
exit $status
