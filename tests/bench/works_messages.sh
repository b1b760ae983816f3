# Works of --set messages: the ways of sending and consuming beyond the plain ones. Sourced by bench.sh.

works_messages() {
    printf '%s\n' transaction pop-ack pop-batch-ack orderly sql-none sql-some sql-told sql-told-cold timer
}

# Properties as an application has them; the expressions look at the number and the price.
bench_properties='number=########;price=###;colour=green;region=eu-west-1;shop=4711;customer=########;currency=EUR;origin=load-test'

# fill TOPIC COUNT OPTIONS...: a backlog; sleeps until every queue knows its end.
fill() {
    local topic=$1 count=$2
    shift 2
    "$CROCKET" bench produce -n "$NAMESRV" -t "$topic" --connections 4 --inflight 8 --batch 32 --count "$count" "$@" >/dev/null 2>&1 ||
        say "  $topic: the backlog is not complete"
    sleep 2
}

# consume_by KIND WORK TOPIC OPTIONS...
consume_by() {
    local kind=$1 work=$2 topic=$3
    shift 3
    wanted "$work" || return 0
    measure "$kind" "$work" consume -t "$topic" -g "Group$work" --connections 4 --duration 600 "$@"
}

work_messages() {
    local kind=$1 dir=$BENCH_WORK/store-$1
    use_memory
    start "$kind" "$dir" enablePropertyFilter=true
    "$CROCKET" bench produce -n "$NAMESRV" -t BenchWarm --connections 4 --inflight 32 --duration "$warm_seconds" --warmup 0 >/dev/null 2>&1
    wanted transaction && "$CROCKET" bench produce -n "$NAMESRV" -t BenchWarm --transaction --connections 4 --inflight 32 \
        --duration "$warm_seconds" --warmup 0 >/dev/null 2>&1
    produce "$kind" transaction --transaction --connections 4 --inflight 32
    if wanted_any pop-ack pop-batch-ack; then
        fill BenchPop "$pops"
        "$CROCKET" bench consume -n "$NAMESRV" -t BenchPop -g GroupWarm --pop --connections 4 --duration "$warm_seconds" >/dev/null 2>&1
        consume_by "$kind" pop-ack BenchPop --pop
        consume_by "$kind" pop-batch-ack BenchPop --pop --batch-ack
    fi
    if wanted orderly; then
        fill BenchOrderly "$messages"
        "$CROCKET" bench consume -n "$NAMESRV" -t BenchOrderly -g GroupWarm --orderly --connections 4 --count $((messages / 2)) >/dev/null 2>&1
        consume_by "$kind" orderly BenchOrderly --orderly
    fi
    if wanted_any sql-none sql-some; then
        fill BenchSql "$filtered" --size 100 --properties "$bench_properties"
        "$CROCKET" bench consume -n "$NAMESRV" -t BenchSql -g GroupWarm --sql "number < 0" --connections 4 >/dev/null 2>&1
        consume_by "$kind" sql-none BenchSql --sql "number < 0"
        consume_by "$kind" sql-some BenchSql --sql "price > 998 AND colour = 'green'"
    fi
    wanted timer && measure "$kind" timer timer -t BenchTimer --connections 4 --inflight 32 --size 100 --count "$timers" --delay "$timer_delay"
    end_server "$kind" "$dir"
    remove "$dir"
}

# The expression is known before the messages come, and their queue entries tell which ones it wants.
work_told() {
    local kind=$1 dir=$BENCH_WORK/store-$1 expression="price > 998 AND colour = 'green'" work
    use_memory
    start "$kind" "$dir" enablePropertyFilter=true enableCalcFilterBitMap=true enableConsumeQueueExt=true
    "$CROCKET" bench produce -n "$NAMESRV" -t BenchTold --connections 1 --inflight 1 --count 100 >/dev/null 2>&1
    for work in warm sql-told sql-told-cold; do
        "$CROCKET" bench consume -n "$NAMESRV" -t BenchTold -g "Group$work" --sql "$expression" --connections 4 >/dev/null 2>&1
    done
    fill BenchTold "$filtered" --size 1000 --properties "$bench_properties"
    "$CROCKET" bench consume -n "$NAMESRV" -t BenchTold -g Groupwarm --sql "$expression" --connections 4 >/dev/null 2>&1
    consume_by "$kind" sql-told BenchTold --sql "$expression"
    drop_from_memory "$dir"
    consume_by "$kind" sql-told-cold BenchTold --sql "$expression"
    end_server "$kind" "$dir"
    remove "$dir"
}

run_messages() {
    # shellcheck disable=SC2046
    wanted_any $(works_messages | grep -v told) && work_messages "$1"
    wanted_any sql-told sql-told-cold && work_told "$1"
    return 0
}
