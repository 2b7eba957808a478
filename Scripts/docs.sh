#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the documentation of every public library with the toolchain's own tools. A warning, such as a broken link, is
# an error. The archives are in $SCRATCH/docs; view one with `docc preview`, or serve the folder.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=${SCRATCH:-$PWD/.build}
docc=$(dirname "$(readlink -f "$(command -v swift)")")/docc
command -v "$docc" > /dev/null || docc=docc

libraries=$(Scripts/swiftpm.sh . package dump-package | python3 -c '
import json, sys
for product in json.load(sys.stdin)["products"]:
    if "library" in product["type"]:
        print(product["name"])')
[ -n "$libraries" ] || { echo "error: the manifest has no libraries"; exit 1; }

Scripts/swiftpm.sh . build
graphs=$scratch/symbol-graphs
rm -rf "$graphs" "$scratch"/*/symbolgraph
# Fails for modules that are not libraries, such as the test runner. Only the libraries' graphs matter; they are checked
# below.
Scripts/swiftpm.sh . package dump-symbol-graph --minimum-access-level public --skip-synthesized-members \
    --emit-extension-block-symbols > "$scratch/symbol-graphs.log" 2>&1 || true

output=$scratch/docs
rm -rf "$output"
mkdir -p "$output"
dependencies=()
failed=0
for library in $libraries; do
    mkdir -p "$graphs/$library"
    if ! cp "$scratch"/*/symbolgraph/"$library".symbols.json "$graphs/$library/"; then
        tail -20 "$scratch/symbol-graphs.log"
        echo "error: no symbol graph of $library"
        exit 1
    fi
    # Its extensions of the earlier libraries' types.
    cp "$scratch"/*/symbolgraph/"$library"@*.symbols.json "$graphs/$library/" 2> /dev/null || true
    # Merges the symbols that it re-exports from targets that are not libraries.
    for target in $(sed -n 's/^@_exported public import \(Plinth[A-Za-z]*\)$/\1/p' "Sources/$library/Exports.swift" 2> /dev/null); do
        case " ${libraries//$'\n'/ } " in *" $target "*) continue ;; esac
        python3 - "$graphs/$library/$library.symbols.json" "$scratch"/*/symbolgraph/"$target".symbols.json << 'MERGE'
import json, sys
paths = sys.argv[1:]
graph, other = (json.load(open(path)) for path in paths)
for key in ("symbols", "relationships"):
    graph[key] += other[key]
json.dump(graph, open(paths[0], "w"))
MERGE
    done
    catalog=(Sources/$library/$library.docc)
    if [ ! -d "${catalog[0]}" ]; then
        echo "error: $library has no catalog at ${catalog[0]}"
        failed=1
        catalog=()
    fi
    # The manifest lists each library after its dependencies.
    if "$docc" convert ${catalog[@]+"${catalog[@]}"} \
        --additional-symbol-graph-dir "$graphs/$library" \
        --fallback-display-name "$library" \
        --fallback-bundle-identifier "$library" \
        --enable-experimental-external-link-support \
        ${dependencies[@]+"${dependencies[@]}"} \
        --warnings-as-errors \
        --output-path "$output/$library.doccarchive"; then
        dependencies+=(--dependency "$output/$library.doccarchive")
        echo "documentation of $library: $output/$library.doccarchive"
    else
        failed=1
    fi
done
exit $failed
