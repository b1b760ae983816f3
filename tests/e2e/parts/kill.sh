# kill -9 during full-speed production, again and again on one directory. Sourced by run.sh after exchange.sh.
#
# CROCKET_E2E_KILL_CYCLES (default 2) is how often, for each of asynchronous and synchronous flush; CROCKET_E2E_KILL_AFTER (default 2) is
# how many seconds of production come before each death; CROCKET_E2E_KILL_FLUSH is for only one of the two.

# loaded_and_killed KIND DIR TOPIC ACKED: killed_while_producing, while the load generator sends as fast as it can to another topic. The Java
# client alone does not keep the server busy, so its deaths would hardly ever meet a large batch, a new segment or a checkpoint.
loaded_and_killed() {
    local kind=$1 dir=$2 topic=$3 acked=$4 load status
    [ -x "$CROCKET" ] || die "$CROCKET is not there or not executable: build it first or set CROCKET"
    "$CROCKET" bench produce -n "$NAMESRV" -t kill_load --size 200 --connections 2 --inflight 64 --warmup 0 --duration 600 >"$acked.load" 2>&1 &
    load=$!
    remember_pid $load
    killed_while_producing "$kind" "$dir" "$topic" 0 "$acked"
    status=$?
    kill $load 2>/dev/null
    wait $load 2>/dev/null
    forget_pid $load
    cat "$acked.load"
    return $status
}

# kill_settled KIND DIR FLUSH: after a clean stop everything is in the files, the index too, and agrees.
kill_settled() { server_start "$1" "$2" flushDiskType="$3" && server_stop "$1" "$2" && store_check "$1" "$2"; }

# kill_cycles KIND FLUSH: prints a line and returns 1 at the first cycle that lost or repeated something.
kill_cycles() {
    local kind=$1 flush=$2 dir=$E2E_WORK/kill-$2 acked=$E2E_WORK/kill-$2.acked cycle=1 topic total=0
    while [ $cycle -le "${CROCKET_E2E_KILL_CYCLES:-2}" ]; do
        topic=kill_${flush}_$cycle
        rm -f "$acked"
        server_start "$kind" "$dir" flushDiskType="$flush" || return 1
        java_run Admin topic="$topic:8" || return 1
        loaded_and_killed "$kind" "$dir" "$topic" "$acked" || return 1
        server_start "$kind" "$dir" flushDiskType="$flush" || return 1
        java_run ReadAll topic="$topic" acked="$acked" || return 1
        # The server has to go on where it was: the same topic takes more, and nothing of the old is lost by it.
        java_run Produce topic="$topic" first=50000000 count=200 acked="$acked" || return 1
        java_run ReadAll topic="$topic" acked="$acked" || return 1
        # The last death is without load, so that the check sees what recovery left, not what a clean stop mended.
        server_kill "$kind" "$dir" || return 1
        store_check "$kind" "$dir" || { echo "cycle $cycle: the store check found something"; return 1; }
        total=$((total + $(wc -l <"$acked")))
        # Every tenth death begins with an empty directory, to keep the disk small.
        if [ $((cycle % 10)) -eq 0 ]; then kill_settled "$kind" "$dir" "$flush" && rm -rf "$dir" || return 1; fi
        cycle=$((cycle + 1))
    done
    [ ! -d "$dir" ] || kill_settled "$kind" "$dir" "$flush" || return 1
    echo "$((cycle - 1)) deaths, $total acknowledged messages read back"
}

# kill_undecided KIND: half messages that were acknowledged before a death are decided after it, and so are those of a clean stop.
kill_undecided() {
    local kind=$1 dir=$E2E_WORK/kill-half
    # (No quotes: several settings.)
    local settings='transactionCheckInterval=4000 transactionTimeOut=2000 transactionOpBatchInterval=500'
    server_start "$kind" "$dir" $settings && java_run Admin topic=half:4 &&
        java_run Transact topic=half group=half_tx leave=0:30 && server_kill "$kind" "$dir" &&
        server_start "$kind" "$dir" $settings && java_run Transact topic=half group=half_tx own=30 upto=31 &&
        java_run Transact topic=half group=half_tx leave=32:30 && server_stop "$kind" "$dir" &&
        server_start "$kind" "$dir" $settings && java_run Transact topic=half group=half_tx own=62 upto=63 &&
        server_stop "$kind" "$dir" && store_check "$kind" "$dir"
}

part_kill() {
    local flush begin
    build_java
    if kill_undecided "$1" >"$E2E_WORK/kill-half.out" 2>&1; then
        pass "kill: undecided half messages" "$(grep holds "$E2E_WORK/kill-half.out" | tail -n 1)"
        rm -rf "$E2E_WORK/kill-half"
    else
        fail "kill: undecided half messages" "log: $E2E_WORK/kill-half.out"
        show_tail "$E2E_WORK/kill-half.out"
    fi
    kill_leftovers
    for flush in ${CROCKET_E2E_KILL_FLUSH:-ASYNC_FLUSH SYNC_FLUSH}; do
        begin=$(seconds)
        if kill_cycles "$1" $flush >"$E2E_WORK/kill-$flush.out" 2>&1; then
            pass "kill: $flush" "$(tail -n 1 "$E2E_WORK/kill-$flush.out"), $(($(seconds) - begin)) s"
            rm -rf "$E2E_WORK/kill-$flush"
        else
            fail "kill: $flush" "log: $E2E_WORK/kill-$flush.out"
            show_tail "$E2E_WORK/kill-$flush.out"
        fi
        kill_leftovers
    done
}
