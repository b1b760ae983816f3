# Batch topics and light message queues: the Java client against a server that has them, and one store directory over stops and deaths of
# Java and of the server under test. Sourced by run.sh after exchange.sh, whose step it uses.

# Small files, so that a few hundred batches roll them over: batch queues 20 entries, light queues 100.
STREAM_SETTINGS='enableLmq=true enableMultiDispatch=true mappedFileSizeCommitLog=8388608 mappedFileSizeConsumeQueue=2000
mapperFileSizeBatchConsumeQueue=920 maxHashSlotNum=1000 maxIndexNum=2000'

stream_start() { server_start "$1" "$2" $STREAM_SETTINGS; }
stream_check() { store_check "$1" --slots 1000 --entries 2000 "$2"; }

stream_suite() {
    local kind=$1 dir=$E2E_WORK/stream log=$E2E_WORK/stream.log
    step "stream: the server starts" stream_start "$kind" "$dir" || return
    if surefire "$log" -Dtest=LightQueues,BatchTopicTest; then
        pass "stream: suite of light queues" "$(surefire_summary "$log")"
    else
        fail "stream: suite of light queues" "$(surefire_summary "$log"); reports: $E2E_BUILD/java/surefire-reports"
        surefire_failures "$log"
    fi
    step "stream: the server stops" server_stop "$kind" "$dir"
    step "stream: the store is sound" stream_check "$kind" "$dir"
}

stream_exchange() {
    local kind=$1 dir=$E2E_WORK/stream-exchange name='stream exchange:'
    step "$name Java opens a new directory" stream_start oracle "$dir" || return
    step "$name Java takes 200" java_run Streams create=true produce=200 check=200 commit=33 || return
    step "$name Java stops" server_stop oracle "$dir" || return
    step "$name $kind opens the directory of Java" stream_start "$kind" "$dir" || return
    step "$name all is there" java_run Streams check=200 committed=33 || return
    step "$name $kind takes 200" java_run Streams first=200 produce=200 check=400 commit=44 || return
    step "$name $kind stops" server_stop "$kind" "$dir" || return
    step "$name the store is sound" stream_check "$kind" "$dir"
    step "$name Java opens the directory of $kind" stream_start oracle "$dir" || return
    step "$name all is there" java_run Streams check=400 committed=44 || return
    step "$name Java takes 200" java_run Streams first=400 produce=200 check=600 || return
    step "$name Java dies" server_kill oracle "$dir" || return
    step "$name $kind opens the directory of Java" stream_start "$kind" "$dir" || return
    step "$name all is there" java_run Streams check=600 || return
    step "$name $kind takes 200" java_run Streams first=600 produce=200 check=800 || return
    step "$name $kind dies" server_kill "$kind" "$dir" || return
    step "$name $kind opens it again" stream_start "$kind" "$dir" || return
    step "$name all is there" java_run Streams check=800 || return
    step "$name $kind dies again" server_kill "$kind" "$dir" || return
    # Both kinds of queue are built again from the log alone.
    rm -rf "$dir/consumequeue" "$dir/batchconsumequeue"
    step "$name $kind opens it without its queues" stream_start "$kind" "$dir" || return
    step "$name all is there" java_run Streams check=800 || return
    step "$name $kind dies" server_kill "$kind" "$dir" || return
    step "$name Java opens the directory of $kind" stream_start oracle "$dir" || return
    step "$name all is there" java_run Streams check=800 || return
    server_kill oracle "$dir"
}

part_stream() {
    build_java
    stream_suite "$1"
    kill_leftovers
    stream_exchange "$1"
    kill_leftovers
}
