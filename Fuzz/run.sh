#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes the wire format for some seconds, from the committed corpus.
#
#   Fuzz/run.sh SECONDS [WORKFOLDER]     # findings and new inputs stay in WORKFOLDER, by default a temporary one
#   Fuzz/run.sh --minimize [WORKFOLDER]  # afterwards: puts the smallest set with the same coverage into Fuzz/Corpus
#
# Needs a Swift toolchain with libFuzzer (Linux).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
seconds=${1:?seconds, or --minimize}
work=${2:-${TMPDIR:-/tmp}/plinth-fuzz}
mkdir -p "$work/corpus" "$work/findings"
swiftc -O -swift-version 6 -package-name plinth -enable-experimental-feature Lifetimes -parse-as-library \
  -use-ld=lld -sanitize=fuzzer,address -o "$work/fuzz" "$here"/../Sources/PlinthEvents/*/*.swift "$here"/Fuzz.swift
if [ "$seconds" = --minimize ]; then
  rm -rf "$work/small" && mkdir -p "$work/small"
  "$work/fuzz" -set_cover_merge=1 -use_counters=0 -max_len=512 "$work/small" "$here/Corpus" "$work/corpus" 2>&1 | tail -2
  rm -f "$here"/Corpus/*
  cp "$work"/small/* "$here/Corpus/"
  du -sb "$here/Corpus"
  exit
fi
"$work/fuzz" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=1024 -timeout=10 -dict="$here/dictionary" \
  -artifact_prefix="$work/findings/" -print_final_stats=1 "$work/corpus" "$here/Corpus"
