#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs SwiftPM for one of the packages in this repository, all in one scratch directory:
#
#   Scripts/swiftpm.sh PACKAGE COMMAND [ARGUMENTS…]
#
# The examples depend on the package beside them, and both on the same server. In one directory the server is compiled
# once, which is most of the time of a cold build. SwiftPM plans a build anew when the manifest changed, but does not
# notice that the plan it finds there is another package's: so the plan goes whenever the package is another one.
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
# A backtrace of a crash is written by a program that asks questions, which nobody is there to answer. All threads of all
# the tests take it a minute, and push the one that crashed out of sight.
export SWIFT_BACKTRACE=${SWIFT_BACKTRACE:-interactive=no,color=no,threads=crashed,images=none,registers=none}
exec swift "$command" --package-path "$package" --scratch-path "$scratch" "$@"
