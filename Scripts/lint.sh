#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks Swift formatting and documentation comments, license tags, code blocks in documents, and charts.
set -euo pipefail
cd "$(dirname "$0")/.."

folders=()
for folder in Package.swift Sources Tests Examples Benchmarks Fuzz; do
    [ -e "$folder" ] && folders+=("$folder")
done
git ls-files -z --cached --others --exclude-standard -- "${folders[@]}" | grep -z '\.swift$' \
    | xargs -0 swift format lint --strict --parallel

untagged=$(git ls-files --cached --others --exclude-standard -- '*.swift' '*.py' '*.sh' '*.js' '*.css' '*.c' '*.h' Makefile .ci/run \
    | grep -v 'Package.swift$' | while read -r file; do
        head -3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file"
    done)
if [ -n "$untagged" ]; then
    echo "error: these files have no SPDX license tag:"
    echo "$untagged"
    exit 1
fi

Scripts/check-snippets.py
Benchmarks/charts.py --check
