#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the benchmarks in sequence, for the figures of docs/performance.md. Run on an otherwise idle machine.
#
#   Scripts/bench.sh [WORKFOLDER]     keeps the builds; default: ${TMPDIR:-/tmp}/plinth-bench
#
# Requires ../shared/bench beside the checkout: the load generator, and the C floors of codec and hub. The hub benchmark
# installs nginx with nchan and the headers of OpenSSL and nghttp2 if missing (Debian, as root).
set -euo pipefail
cd "$(dirname "$0")/.."
work=${1:-${TMPDIR:-/tmp}/plinth-bench}
mkdir -p "$work"

status=0
echo "== wire format, beside a floor in C"
Benchmarks/Codec/run.sh "$work/codec" || status=1
echo "== chain and routes"
swift run -c release --package-path Benchmarks/Chain --scratch-path "$work/chain" || status=1
echo "== event streams, beside a Hummingbird handler"
Benchmarks/Streams/run.py --scratch "$work/streams" || status=1
echo "== a small JSON answer, beside Hummingbird, NIO, nginx and Go"
Benchmarks/Requests/run.py --scratch "$work/requests" --streams "$work/streams/release" || status=1
echo "== hub, beside the kernel's floor, nchan and a Hummingbird handler"
Benchmarks/Hub/run.py --scratch "$work/hub" || status=1
echo "== history in SQLite, beside memory and GRDB alone"
Benchmarks/SQLite/run.py --scratch "$work/sqlite" --plinth "$work/hub/plinth/release/plinth" || status=1
echo "== client, beside curl"
Benchmarks/Client/run.py --scratch "$work/client" || status=1
exit $status
