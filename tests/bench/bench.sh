#!/bin/sh
# Compares Crocket with Apache RocketMQ 5.3.3 from its Maven artifacts: the same generator (crocket bench), the same machine, in turns.
#
#   ./dev bench [--quick] [--runs N] [--seconds S] [--set SET] [--only WORK,...] [--kinds KIND,...]
#
#   --quick       one run, short works, a small log for the restart: a first impression in a few minutes
#   --runs N      medians of N runs (default 5)
#   --seconds S   how long each work is measured (default 10)
#   --set SET     which works: main (default), durability, messages or all
#   --only LIST   only these works, of any set
#     main        produce-1x1 produce-4x32 produce-4x256 produce-128 produce-batch consume e2e sync-1x1 sync-64x4 start kill memory topics
#     durability  async-256 e2e-30k e2e-30k-cold e2e-30k-writeback written-async disk sync-1 sync-16 sync-16-128 sync-256 sync-1024
#                 written-sync (what is put in relation to "disk", "async-256" or "e2e-30k" needs that work in the same run)
#     messages    transaction pop-ack pop-batch-ack orderly sql-none sql-some sql-told sql-told-cold timer
#   --kinds LIST  oracle (Java) and crocket (default both)
#
# Prints a table with medians of both and of the ratios of the single runs, and writes build/bench.json. Stores are made under CROCKET_BENCH_DIR (default build/bench) and removed.
set -u

E2E_DIR=$(cd "$(dirname "$0")/../e2e" && pwd)
BENCH_DIR=$(cd "$(dirname "$0")" && pwd)
CROCKET_E2E_PORT_BASE=${CROCKET_E2E_PORT_BASE:-31000}
. "$E2E_DIR/lib.sh"
. "$E2E_DIR/oracle.sh"
. "$E2E_DIR/crocket.sh"
. "$BENCH_DIR/servers.sh"
. "$BENCH_DIR/works.sh"
. "$BENCH_DIR/works_durability.sh"
. "$BENCH_DIR/works_messages.sh"
. "$BENCH_DIR/report.sh"

runs=5
seconds=10
warm_seconds=20      # for the JVM to compile what is hot; the other server needs none but gets the same
log_bytes=20000000000 # log that a killed server has to recover
messages=1500000     # for the catch-up
topics=10000
pops=500000      # popped and acknowledged
filtered=1000000 # backlog of the filters
timers=500000    # due in the same second
timer_delay=30   # seconds in which they have to be sent
set_name=main
only=
kinds="oracle crocket"
while [ $# -gt 0 ]; do
    case $1 in
    --quick)
        runs=1
        seconds=3
        warm_seconds=8
        log_bytes=2000000000
        messages=300000
        topics=1000
        pops=100000
        filtered=200000
        timers=100000
        timer_delay=15
        ;;
    --runs | --seconds | --set | --only | --kinds)
        [ $# -gt 1 ] || die "$1 needs a value"
        case $1 in
        --runs) runs=$2 ;;
        --seconds) seconds=$2 ;;
        --set) set_name=$2 ;;
        --only) only=$(echo "$2" | tr ',' ' ') ;;
        --kinds) kinds=$(echo "$2" | tr ',' ' ') ;;
        esac
        shift
        ;;
    -h | --help)
        sed -n '2,/^set -u/p' "$0" | sed '/^set -u/d; s/^# \{0,1\}//'
        exit 0
        ;;
    *) die "bench knows no \"$1\"; --help lists what it knows" ;;
    esac
    shift
done
for kind in $kinds; do
    case $kind in oracle | crocket) ;; *) die "--kinds knows oracle and crocket, not \"$kind\"" ;; esac
done
case $set_name in main | durability | messages | all) ;; *) die "--set knows main, durability, messages and all, not \"$set_name\"" ;; esac
for work in $only; do
    works_of all | grep -qx "$work" || die "--only knows no \"$work\"; --help lists the works"
done
[ -n "$only" ] || only=$(works_of "$set_name" | tr '\n' ' ')
[ -x "$CROCKET" ] || die "$CROCKET is not there: ./dev build makes it"

BENCH_WORK=${CROCKET_BENCH_DIR:-$CHECKOUT/build/bench}
rm -rf "$BENCH_WORK"
mkdir -p "$BENCH_WORK" "$E2E_BUILD/home"
RESULTS=$BENCH_WORK/results
: >"$RESULTS"
calm_guest
trap 'kill_leftovers; guest_as_before; rm -rf "$BENCH_WORK"/store* "$BENCH_WORK"/filler*' EXIT
trap 'exit 130' INT TERM HUP
case " $kinds " in *" oracle "*) build_java ;; esac
pick_ports

began=$(seconds_now)
run=1
while [ "$run" -le "$runs" ]; do
    for kind in $kinds; do
        say "run $run of $runs: $(kind_name "$kind")"
        run_works "$kind"
    done
    run=$((run + 1))
done
report "$RESULTS" "$CHECKOUT/build/bench.json" "$runs"
say "took $(($(seconds_now) - began)) s; all figures: $RESULTS, medians: build/bench.json"
