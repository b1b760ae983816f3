# What works share, and those of the main set, one function each. A figure is a line "kind work metric value" in RESULTS. Sourced by bench.sh.

works_main() {
    printf '%s\n' produce-1x1 produce-4x32 produce-4x256 produce-128 produce-batch consume e2e sync-1x1 sync-64x4 start kill \
        memory topics
}

# works_of SET
works_of() {
    case $1 in
    all) works_main && works_durability && works_messages ;;
    *) "works_$1" ;;
    esac
}

wanted() { case " $only " in *" $1 "*) ;; *) return 1 ;; esac }

wanted_any() {
    local work
    for work; do if wanted "$work"; then return 0; fi; done
    return 1
}

figure() { printf '%s %s %s %s\n' "$1" "$2" "$3" "$4" >>"$RESULTS"; }

# member JSON NAME: a number of the generator's JSON; NAME may be a.b.
member() {
    case $2 in
    *.*) echo "$1" | sed -n "s/.*\"${2%%.*}\":{[^}]*\"${2#*.}\":\([0-9.]*\).*/\1/p" ;;
    *) echo "$1" | sed -n "s/.*\"$2\":\([0-9.]*\).*/\1/p" ;;
    esac
}

p999() { echo "$1" | sed -n 's/.*"latency_us":{[^}]*"p99\.9":\([0-9.]*\).*/\1/p'; }

cpu_said() {
    case $1 in *'"server_cpu_s_per_million"'*) echo " CPU $(member "$1" server_cpu_s_per_million) s/million," ;; esac
}

# Hundredths of a second that the host of a virtual machine has kept its processors from running, since the boot.
stolen_so_far() { awk '$1 == "cpu" { print $9 }' /proc/stat; }

# stolen SINCE SECONDS-SINCE: percent of the processors' time that the host took since both were read.
stolen() {
    awk -v was="$1" -v then="$2" -v now="$(stolen_so_far)" -v cores="$(getconf _NPROCESSORS_ONLN)" -v hz="$(getconf CLK_TCK)" \
        '{ printf "%.1f", ($1 > then ? 100 * (now - was) / hz / cores / ($1 - then) : 0) }' /proc/uptime
}

# measure KIND WORK GENERATOR-OPTIONS...: runs the generator and keeps what it measured.
measure() {
    local kind=$1 work=$2 json had uptime taken
    shift 2
    had=$(stolen_so_far)
    uptime=$(cut -d' ' -f1 /proc/uptime)
    json=$("$CROCKET" bench "$@" -n "$NAMESRV" --server-pid "$BENCH_PID" --json 2>"$BENCH_WORK/generator.err")
    taken=$(stolen "$had" "$uptime")
    if [ -z "$json" ]; then
        cat "$BENCH_WORK/generator.err"
        say "  $work: no result"
        return 1
    fi
    figure "$kind" "$work" rate "$(member "$json" messages_per_second)"
    figure "$kind" "$work" p50 "$(member "$json" latency_us.p50)"
    figure "$kind" "$work" p99 "$(member "$json" latency_us.p99)"
    figure "$kind" "$work" p999 "$(p999 "$json")"
    figure "$kind" "$work" max "$(member "$json" latency_us.max)"
    figure "$kind" "$work" cpu "$(member "$json" server_cpu_s_per_million)"
    figure "$kind" "$work" matched "$(member "$json" matched)" # only filters have it
    figure "$kind" "$work" errors "$(member "$json" errors)"
    figure "$kind" "$work" stolen "$taken"
    say "  $work: $(member "$json" messages_per_second) messages/s, p50 $(member "$json" latency_us.p50) us, p99 $(member "$json" latency_us.p99) us,$(cpu_said "$json") errors $(member "$json" errors), stolen $taken %"
}

produce() {
    local kind=$1 work=$2
    shift 2
    wanted "$work" || return 0
    measure "$kind" "$work" produce -t "Bench$work" --duration "$seconds" "$@"
}

# Everything that a warmed-up server with asynchronous flush does.
work_steady() {
    local kind=$1 dir=$BENCH_WORK/store-$1
    use_memory
    start "$kind" "$dir"
    # The same load as is measured, so that the JVM has compiled it.
    "$CROCKET" bench produce -n "$NAMESRV" -t BenchWarm --connections 4 --inflight 32 --duration "$warm_seconds" --warmup 0 >/dev/null 2>&1
    "$CROCKET" bench produce -n "$NAMESRV" -t BenchWarm --duration 2 --warmup 0 >/dev/null 2>&1
    "$CROCKET" bench consume -n "$NAMESRV" -t BenchWarm --connections 4 --count 1000000 >/dev/null 2>&1
    produce "$kind" produce-1x1
    produce "$kind" produce-4x32 --connections 4 --inflight 32
    produce "$kind" produce-4x256 --connections 4 --inflight 256
    produce "$kind" produce-128 --connections 4 --inflight 32 --size 128
    produce "$kind" produce-batch --connections 4 --inflight 8 --batch 32
    wanted e2e && measure "$kind" e2e e2e -t Benche2e --rate 5000 --duration "$seconds"
    if wanted consume; then
        "$CROCKET" bench produce -n "$NAMESRV" -t Benchconsume --connections 4 --inflight 8 --batch 32 --count "$messages" >/dev/null 2>&1
        sleep 2 # until every queue knows its end
        measure "$kind" consume-warm consume -t Benchconsume --connections 4
        drop_from_memory "$dir"
        measure "$kind" consume-cold consume -t Benchconsume --connections 4
    fi
    end_server "$kind" "$dir"
    remove "$dir"
}

work_sync() {
    local kind=$1 dir=$BENCH_WORK/store-$1
    use_memory
    start "$kind" "$dir" flushDiskType=SYNC_FLUSH
    "$CROCKET" bench produce -n "$NAMESRV" -t BenchWarm --connections 64 --inflight 4 --duration "$warm_seconds" --warmup 0 >/dev/null 2>&1
    produce "$kind" sync-1x1
    produce "$kind" sync-64x4 --connections 64 --inflight 4
    end_server "$kind" "$dir"
    remove "$dir"
}

work_start() {
    local kind=$1 dir=$BENCH_WORK/store-$1
    start "$kind" "$dir"
    figure "$kind" start ms "$START_MS"
    say "  start: $START_MS ms to the first acknowledged message"
    if wanted memory; then
        sleep 10
        figure "$kind" memory kib "$(anonymous_kib "$dir")"
        say "  memory: $(anonymous_kib "$dir") KiB anonymous when idle"
    fi
    end_server "$kind" "$dir"
    remove "$dir"
}

# Both servers refuse sends on a disk that is nearly full, and the logs of both are large.
disk_is_roomy() { [ "$(df -P "$BENCH_WORK" | awk 'NR == 2 { sub("%", "", $5); print $5 }')" -lt 50 ] &&
    [ "$(df -P -k "$BENCH_WORK" | awk 'NR == 2 { print int($4 * 100 / $2) }')" -gt 50 ]; }

# The log is filled once, when there is room to keep it; every run kills the server on it and starts it again.
work_kill() {
    local kind=$1 dir=$BENCH_WORK/store-kill-$1
    use_memory
    if [ ! -d "$dir" ]; then
        start "$kind" "$dir"
        "$CROCKET" bench produce -n "$NAMESRV" -t Benchkill --connections 4 --inflight 8 --batch 32 --count $((log_bytes / 1250)) >/dev/null 2>&1
    else
        start "$kind" "$dir"
    fi
    "$CROCKET" bench produce -n "$NAMESRV" -t Benchkill --connections 4 --inflight 32 --duration 2 --warmup 0 >/dev/null 2>&1
    server_kill "$kind" "$dir"
    start "$kind" "$dir"
    figure "$kind" kill ms "$START_MS"
    say "  kill: $START_MS ms to the first acknowledged message after kill -9, log of $(du -sm "$dir/commitlog" | cut -f1) MiB"
    end_server "$kind" "$dir"
    { [ "$run" -lt "$runs" ] && disk_is_roomy; } || remove "$dir"
}

work_topics() {
    local kind=$1 dir=$BENCH_WORK/store-$1 from json
    seq -f 'BenchTopic%.0f 8' 1 "$topics" >"$BENCH_WORK/topics"
    start "$kind" "$dir"
    from=$(millis_now)
    "$CROCKET" admin updateTopicList -n "$NAMESRV" -b "127.0.0.1:$BROKER_PORT" -f "$BENCH_WORK/topics" >/dev/null ||
        die "the topics could not be made"
    figure "$kind" topics ms $(($(millis_now) - from))
    say "  topics: $topics topics of 8 queues in $(($(millis_now) - from)) ms"
    json=$("$CROCKET" bench produce -n "$NAMESRV" -t BenchTopic1 --duration 3 --json 2>/dev/null)
    figure "$kind" topics p50 "$(member "$json" latency_us.p50)"
    figure "$kind" topics kib "$(anonymous_kib "$dir")"
    end_server "$kind" "$dir"
    start "$kind" "$dir"
    figure "$kind" topics restart "$START_MS"
    say "  topics: send p50 $(member "$json" latency_us.p50) us with them, restart $START_MS ms"
    end_server "$kind" "$dir"
    remove "$dir"
}

run_works() {
    local kind=$1
    if wanted_any produce-1x1 produce-4x32 produce-4x256 produce-128 produce-batch consume e2e; then work_steady "$kind"; fi
    if wanted_any sync-1x1 sync-64x4; then work_sync "$kind"; fi
    if wanted_any start memory; then work_start "$kind"; fi
    if wanted kill; then work_kill "$kind"; fi
    if wanted topics; then work_topics "$kind"; fi
    run_durability "$kind"
    run_messages "$kind"
}
