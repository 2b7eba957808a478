#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Measures the hub's bounds without a server: memory compared with the bytes that history counts, streams with many
# patterns, and streams of many topics that leave. Requires Linux and, for the times of `patterns`, an idle machine.
#
#   Benchmarks/Hub/bounds.sh [memory|patterns|leave|remembered|deliver]…      all but the last unless named
#
# `deliver` counts instructions of a delivery with valgrind's callgrind, which repeats to a percent.
set -euo pipefail
cd "$(dirname "$0")/../.."
scratch=${SCRATCH:-$PWD/.build}/none
swift build -c release --disable-default-traits --scratch-path "$scratch" --product hub-bounds 2>&1 | tail -1 >&2
program=$(swift build -c release --disable-default-traits --scratch-path "$scratch" --show-bin-path)/hub-bounds

[ $# -gt 0 ] || set -- memory patterns leave remembered
for what in "$@"; do
    case $what in
    memory)
        echo "| topic, bytes | data, bytes | events a topic | pattern subscriber | limit, MiB | held | counted, KiB | RSS growth, KiB | RSS / counted |"
        echo "|---|---|---|---|---|---|---|---|---|"
        # One process per run, so that none reuses memory that another has freed.
        for pattern in 0 1; do
            for topic in 10 100 1000; do
                for data in 10 100 1000 10000; do
                    "$program" memory $((60000000 / (topic + data + 400))) 1 $topic $data $pattern 0
                done
            done
            "$program" memory 100000 100 10 10 $pattern 0
            "$program" memory 100000 100 1000 1000 $pattern 0
            # Three times the limit, so that history drops events: first of topics that come and go, last of some that stay.
            "$program" memory 300000 1 10 10 $pattern 32
            "$program" memory 100000 1 1000 100 $pattern 32
            "$program" memory 300000 1000 100 100 $pattern 32
        done
        ;;
    patterns) "$program" patterns ;;
    leave) for round in 1 2 3; do "$program" leave; done ;;
    remembered)
        echo "| what | sent | taken | refused as | kept | counted, bytes each | RSS growth, bytes each |"
        echo "|---|---|---|---|---|---|---|"
        "$program" remembered producers 100000
        "$program" remembered producers-bounded 200000
        "$program" remembered keys 1000000
        "$program" remembered keys-bounded 1000000
        "$program" remembered ends 100000
        "$program" remembered ends-bounded 200000
        ;;
    deliver)
        for kind in single pattern several; do
            for events in 1000 2000; do
                valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" deliver $kind 100 $events 2>&1 \
                    | grep -E 'refs|deliveries'
            done
        done
        echo "the difference of the two, over 100,000, is what a delivery takes"
        ;;
    *) echo "bounds.sh: no $what; there are memory, patterns, leave, remembered, deliver" >&2; exit 64 ;;
    esac
done
