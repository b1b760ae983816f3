# Lost folders of a store: consume queues and key index are built from the log again, while old messages are read already
# (ReadWhileRebuilding), also after a kill -9 in the middle. Sourced by run.sh.

# So slow that there is time to look, and faster when that is done.
REBUILD_SLOWLY='rebuildInBackgroundFrom=1000000 rebuildMaxBytesPerSecond=1000000'
REBUILD_OLD=2000

# rebuild_backlog KIND DIR: old messages, much else, and a topic at the end of the log.
rebuild_backlog() {
    server_start "$1" "$2" && java_run Admin topic=rebuild_old:4,rebuild_fill:4,rebuild_tail:2 group=rebuild_push:16 &&
        java_run Produce topic=rebuild_old count=$REBUILD_OLD acked="$2.old" &&
        java_run Produce topic=rebuild_fill first=1000000 count=30000 acked="$2.fill" &&
        java_run Produce topic=rebuild_tail first=2000000 count=500 acked="$2.tail" && server_stop "$1" "$2"
}

# rebuild_read DIR: everything is there exactly once.
rebuild_read() {
    java_run ReadAll topic=rebuild_old acked="$1.old" exact=true && java_run ReadAll topic=rebuild_fill acked="$1.fill" exact=true &&
        java_run ReadAll topic=rebuild_tail acked="$1.tail" ${2:-}
}

# rebuild_is_under_way DIR: it has told how far it is.
rebuild_is_under_way() { grep -q 'rebuilding consume queues: [0-9.]* %' "$1.run/crocket.err"; }

rebuild_while_read() {
    rm -rf "$2/consumequeue"
    server_start "$1" "$2" $REBUILD_SLOWLY &&
        java_run ReadWhileRebuilding old=rebuild_old oldAcked="$2.old" tail=rebuild_tail tailAcked="$2.tail" group=rebuild_push next=3000000 &&
        rebuild_read "$2" && server_stop "$1" "$2" && store_check "$1" "$2"
}

# Killed while it rebuilds, twice, and stopped in good order once (which leaves the abort file: there is something to recover).
rebuild_over_deaths() {
    local end
    rm -rf "$2/consumequeue"
    for end in 'KILL 137' 'KILL 137' 'TERM 0'; do
        server_start "$1" "$2" $REBUILD_SLOWLY && wait_until 30 rebuild_is_under_way "$2" && crocket_end "$2" $end || return 1
    done
    server_start "$1" "$2" && rebuild_read "$2" && server_stop "$1" "$2" && store_check "$1" "$2"
}

# Queues and index: messages are taken at once when only the index is lost.
rebuild_index() {
    rm -rf "$2/index"
    server_start "$1" "$2" && java_run Produce topic=rebuild_tail first=4000000 count=200 acked="$2.tail" && rebuild_read "$2" &&
        server_stop "$1" "$2" && store_check "$1" "$2"
}

# What both brokers do: the folders are gone, and after the start everything is there.
rebuild_both() {
    rm -rf "$2/consumequeue" "$2/index"
    server_start "$1" "$2" && rebuild_read "$2" && server_stop "$1" "$2"
}

part_rebuild() {
    local dir=$E2E_WORK/rebuild what begin ways=both
    # Java builds a lost index of old messages again only together with the queues.
    [ "$1" = oracle ] || ways='both index while_read over_deaths'
    build_java
    rebuild_backlog "$1" "$dir" >"$dir.out" 2>&1 || { fail "rebuild: a backlog" "log: $dir.out"; show_tail "$dir.out"; return; }
    for what in $ways; do
        begin=$(seconds)
        if "rebuild_$what" "$1" "$dir" >"$dir-$what.out" 2>&1; then
            pass "rebuild: $what" "$(grep -h 'while queues' "$dir-$what.out" | tail -n 1) $(($(seconds) - begin)) s"
        else
            fail "rebuild: $what" "log: $dir-$what.out"
            show_tail "$dir-$what.out"
        fi
        kill_leftovers
    done
}
