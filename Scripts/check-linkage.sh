#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds a package that depends on Plinth with `traits: []` and uses only PlinthEvents, and checks that it does not link
# Foundation. Prints the packages that SwiftPM fetched for it.
#
#   Scripts/check-linkage.sh [WORKFOLDER]     # WORKFOLDER is kept; default: a temporary folder
set -euo pipefail
checkout=$(cd "$(dirname "$0")/.." && pwd)
if [ -n "${1:-}" ]; then
  work=$(mkdir -p "$1" && cd "$1" && pwd)
else
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi
failed=0
fail() { echo "FAILED: $*" >&2; failed=1; }

# PlinthEvents must have no imports.
if imports=$(grep -rnE '^[[:space:]]*(public |package |internal |private |@[a-zA-Z_]+ )*import ' "$checkout/Sources/PlinthEvents" --include='*.swift'); then
  fail "PlinthEvents has imports:"
  echo "$imports" >&2
fi

mkdir -p "$work/client/Sources/client"
identity=$(basename "$checkout")
cat >"$work/client/Package.swift" <<MANIFEST
// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "client",
    platforms: [.macOS(.v15)],
    dependencies: [.package(path: "$checkout", traits: [])],
    targets: [.executableTarget(name: "client", dependencies: [.product(name: "PlinthEvents", package: "$identity")])]
)
MANIFEST
cat >"$work/client/Sources/client/main.swift" <<'SOURCE'
import PlinthEvents

var bytes: [UInt8] = []
ServerSentEvent(type: "greeting", data: "hello\nworld", id: "1").encode(into: &bytes)
var parser = ServerSentEventParser()
try parser.parse(bytes) { event in print(event) }
SOURCE

if ! swift build --package-path "$work/client" --scratch-path "$work/build" -c release; then
  fail "a package that uses only PlinthEvents does not build"
  exit 1
fi
client="$work/build/release/client"
got=$("$client")
want='ServerSentEvent(type: "greeting", data: "hello\nworld", id: "1")'
[ "$got" = "$want" ] || fail "the client printed $got"

# Direct and transitive libraries. Checks that `ldd` worked: with an empty list the search for Foundation would pass.
libraries=$(ldd "$client")
grep -q libswiftCore <<<"$libraries" || fail "ldd did not list the Swift runtime:
$libraries"
if grep -iE 'Foundation|libicu|_FoundationICU' <<<"$libraries" >&2; then
  fail "the client links Foundation"
fi
if readelf -d "$client" | grep NEEDED | grep -i Foundation >&2; then
  fail "the client directly depends on Foundation"
fi

echo "Fetched for a client of PlinthEvents with traits: []:"
if [ -d "$work/build/checkouts" ]; then ls "$work/build/checkouts" | sed 's/^/  /'; else echo "  nothing"; fi
[ $failed = 0 ] && echo "PlinthEvents needs no Foundation." || exit 1
