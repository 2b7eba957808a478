#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Creates both projects of `plinth new` with this checkout of Plinth and runs their tests. Builds in the shared scratch
# folder, so that Plinth is not rebuilt.
set -uo pipefail
cd "$(dirname "$0")/.."
export SCRATCH=${SCRATCH:-$PWD/.build}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
passed=0 failed=0

for kind in counter hub; do
    if (cd "$folder" && "$SCRATCH/debug/plinth" new "$kind-demo" "--$kind" --plinth "$OLDPWD") \
        && Scripts/swiftpm.sh "$folder/$kind-demo" build && Scripts/swiftpm.sh "$folder/$kind-demo" test; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "error: the project of plinth new --$kind does not pass its tests"
    fi
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
