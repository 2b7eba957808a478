#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the benchmarks that are here, one after the other: each has a `run.sh` or `run.py` that says what it measures.
set -euo pipefail
cd "$(dirname "$0")/.."

for script in Benchmarks/*/run.sh Benchmarks/*/run.py; do
    [ -x "$script" ] || continue
    echo "== $script"
    "$script"
done
