#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the package without traits and with each trait alone; all other builds use the default set. Reads the list from
# the manifest, so that a new trait is checked automatically.
#
# Uses a scratch directory without the default set's products, so that importing a module that a set lacks fails.
# Only Server and Client build in the shared directory, where NIO is already compiled, to save minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=${SCRATCH:-$PWD/.build}

traits=$(Scripts/swiftpm.sh . package dump-package | python3 -c '
import json, sys
for trait in json.load(sys.stdin)["traits"]:
    if trait["name"] != "default":
        print(trait["name"])')
[ -n "$traits" ] || { echo "error: the manifest has no traits"; exit 1; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

build() {
    local name=$1 folder=$2 began=$SECONDS
    shift 2
    if swift build --scratch-path "$folder" --disable-default-traits "$@" > "$log" 2>&1; then
        echo "traits: $name builds ($((SECONDS - began)) s)"
    else
        grep -v '^\[[0-9]*/' "$log" | tail -40
        echo "error: the package does not build with traits: $name"
        failed=1
    fi
}

build none "$scratch/traits"
for trait in $traits; do
    folder=$scratch/traits
    case $trait in Server | Client) folder=$scratch ;; esac
    build "$trait" "$folder" --traits "$trait"
done
exit $failed
