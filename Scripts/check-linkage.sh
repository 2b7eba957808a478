#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds a package that depends on Plinth with `traits: []` and uses only PlinthEvents, and checks that it needs no
# Foundation. Prints the packages that SwiftPM fetched for it.
#
#   Scripts/check-linkage.sh [WORKFOLDER]     # WORKFOLDER: kept for the next time; by default a temporary one
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

# Sources: no import at all but of what the compiler brings with it.
if imports=$(grep -rnE '^[[:space:]]*(public |package |internal |private |@[a-zA-Z_]+ )*import ' "$checkout/Sources/PlinthEvents" --include='*.swift'); then
  fail "PlinthEvents imports something:"
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

# What it links, itself and in turn. `ldd` first: a client that does not start would pass a search that finds nothing.
libraries=$(ldd "$client")
grep -q libswiftCore <<<"$libraries" || fail "ldd did not list the Swift runtime:
$libraries"
if grep -iE 'Foundation|libicu|_FoundationICU' <<<"$libraries" >&2; then
  fail "the client links Foundation"
fi
if readelf -d "$client" | grep NEEDED | grep -i Foundation >&2; then
  fail "the client names Foundation"
fi

echo "Fetched for a client of PlinthEvents with traits: []:"
if [ -d "$work/build/checkouts" ]; then ls "$work/build/checkouts" | sed 's/^/  /'; else echo "  nothing"; fi
[ $failed = 0 ] && echo "PlinthEvents needs no Foundation." || exit 1
