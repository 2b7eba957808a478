#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs SwiftPM for one of this repository's packages, in a scratch directory that all packages share:
#
#   Scripts/swiftpm.sh PACKAGE COMMAND [ARGUMENTS…]
#
# The examples and the package depend on the same server. In one directory it is compiled once, which is most of a cold
# build's time. SwiftPM replans a build when the manifest changes, but does not notice that an existing plan belongs to
# another package, so this script deletes the plan when the package changes.
set -euo pipefail
cd "$(dirname "$0")/.."

package=$1 command=$2
shift 2
scratch=${SCRATCH:-$PWD/.build}
mkdir -p "$scratch"
last=$(cat "$scratch/last-package" 2>/dev/null || true)
if [ "$last" != "$package" ]; then
    rm -f "$scratch"/{debug,release}.yaml "$scratch"/{debug,release}/description.json
    echo "$package" > "$scratch/last-package"
fi
# The backtracer would prompt interactively. Printing all threads takes a minute and hides the one that crashed.
export SWIFT_BACKTRACE=${SWIFT_BACKTRACE:-interactive=no,color=no,threads=crashed,images=none,registers=none}
exec swift "$command" --package-path "$package" --scratch-path "$scratch" "$@"
