# Works of --set durability: synchronous flush against the disk itself, and the end-to-end tail under cold readers and write-back.
# Sourced by bench.sh.

works_durability() {
    printf '%s\n' async-256 e2e-30k e2e-30k-cold e2e-30k-writeback written-async disk sync-1 sync-16 sync-16-128 sync-256 sync-1024 \
        written-sync
}

# quotient KIND WORK METRIC OTHER-WORK OTHER-METRIC AS: how many times the other figure of this run the first one is.
quotient() {
    local value
    value=$(awk -v kind="$1" -v work="$2" -v metric="$3" -v other="$4" -v of="$5" '
        $1 == kind && $2 == work && $3 == metric { a = $4 }
        $1 == kind && $2 == other && $3 == of { b = $4 }
        END { if (a != "" && b > 0) printf "%.4f", a / b }' "$RESULTS")
    if [ -n "$value" ]; then
        figure "$1" "$2" "$6" "$value"
        say "    $3 is $value times $5 of $4"
    fi
}

# Sectors of 512 bytes that were written to the disk of BENCH_WORK; nothing when the kernel does not tell.
sectors_written() {
    local device
    device=$(findmnt -n -o MAJ:MIN -T "$BENCH_WORK" | tr -d ' ')
    [ -r "/sys/dev/block/$device/stat" ] && awk '{ print $7 }' "/sys/dev/block/$device/stat"
}

# written KIND WORK GENERATOR-OPTIONS...: bytes the disk wrote for each byte of message bodies, everything on disk in the end. Others
# that write to the same disk count, too.
written() {
    local kind=$1 work=$2 from to json
    shift 2
    wanted "$work" || return 0
    sync
    from=$(sectors_written)
    if [ -z "$from" ]; then
        say "  $work: the kernel does not tell what is written to the disk of $BENCH_WORK"
        return 0
    fi
    json=$("$CROCKET" bench produce -n "$NAMESRV" -t "Bench$work" --duration "$seconds" --warmup 0 --json "$@" 2>/dev/null)
    sync
    to=$(sectors_written)
    set -- "$(member "$json" messages)"
    [ "${1:-0}" -gt 0 ] || return 1
    figure "$kind" "$work" amplification "$(awk -v s=$((to - from)) -v n="$1" 'BEGIN { printf "%.4f", s * 512 / (n * 1024) }')"
    say "  $work: $((to - from)) sectors written for $1 bodies of 1 KiB"
}

# Old messages, more than 16 consumers get through beside the measured load, and nothing of them in memory.
store_cold() {
    local dir=$1
    "$CROCKET" bench produce -n "$NAMESRV" -t BenchCold --queues 16 --connections 4 --inflight 8 --batch 32 \
        --count $((400000 * (seconds + 2))) >/dev/null 2>&1
    sync
    # Not the file that is appended to: a kernel that is short of memory leaves its pages alone, and without them each
    # append would read from the disk first.
    find "$dir/commitlog" "$dir/consumequeue/BenchCold" -type f | grep -v "/$(ls -t "$dir/commitlog" | head -n 1)\$" |
        sort >"$BENCH_WORK/cold-files"
    drop_pages <"$BENCH_WORK/cold-files" 2>/dev/null
}

# read_cold: 16 consumers go through old messages, again and again, until this process is killed. Elsewhere they have machines of their
# own: here they get what processor time the server and the measured clients leave.
read_cold() {
    while :; do
        nice -n 19 "$CROCKET" bench consume -n "$NAMESRV" -t BenchCold --connections 16 --duration 600 >/dev/null 2>&1 &
        echo $! >"$BENCH_WORK/cold-pid"
        wait $! || sleep 0.2
        drop_pages <"$BENCH_WORK/cold-files" 2>/dev/null
    done
}

# dirty_pages: writes 128 MiB/s over and over into one file of 1 GiB, which the kernel has to write back, until it is killed.
dirty_pages() {
    local at=0
    while :; do
        dd if=/dev/zero "of=$BENCH_WORK/filler-dirty" bs=1M count=32 seek=$at conv=notrunc status=none
        at=$(((at + 32) % 1024))
        sleep 0.25
    done
}

# beside KIND WORK COMMAND...: the same end-to-end load while COMMAND works in the background.
beside() {
    local kind=$1 work=$2 background
    shift 2
    wanted "$work" || return 0
    "$@" &
    background=$!
    remember_pid $background
    sleep 1
    measure "$kind" "$work" e2e -t Benche2e-30k --rate 30000 --connections 4 --duration "$seconds"
    kill $background
    wait $background 2>/dev/null
    forget_pid $background
    if [ -f "$BENCH_WORK/cold-pid" ]; then
        kill "$(cat "$BENCH_WORK/cold-pid")" 2>/dev/null
        rm -f "$BENCH_WORK/cold-pid"
    fi
    rm -f "$BENCH_WORK/filler-dirty"
    quotient "$kind" "$work" p999 e2e-30k p999 times-alone
}

work_durability_async() {
    local kind=$1 dir=$BENCH_WORK/store-$1
    use_memory
    start "$kind" "$dir"
    "$CROCKET" bench produce -n "$NAMESRV" -t BenchWarm --connections 4 --inflight 32 --duration "$warm_seconds" --warmup 0 >/dev/null 2>&1
    produce "$kind" async-256 --connections 256
    if wanted e2e-30k-cold; then
        store_cold "$dir"
        # What was dropped is memory that nobody uses, and a host may have taken it back: see use_memory. New messages take the
        # last of it, so that the kernel finds pages by giving up old ones, as it does on a broker that has run for an hour.
        use_memory
        "$CROCKET" bench produce -n "$NAMESRV" -t BenchWarm --connections 4 --inflight 8 --batch 32 --count 1000000 >/dev/null 2>&1
        sync
    fi
    wanted e2e-30k && measure "$kind" e2e-30k e2e -t Benche2e-30k --rate 30000 --connections 4 --duration "$seconds"
    beside "$kind" e2e-30k-cold read_cold
    beside "$kind" e2e-30k-writeback dirty_pages
    written "$kind" written-async --connections 4 --inflight 32
    end_server "$kind" "$dir"
    remove "$dir"
}

# against_disk KIND WORK GENERATOR-OPTIONS...: p99.9 of bare fdatasync calls and of sends in turns of a second, since a disk that others
# use, too, is another one from second to second. The middle one of the quotients counts.
against_disk() {
    local kind=$1 work=$2 turn value
    shift 2
    { wanted "$work" && wanted disk; } || return 0
    for turn in $(seq $((5 * seconds))); do
        p999 "$("$CROCKET" bench disk --dir "$BENCH_WORK" --duration 1 --warmup 0 --json 2>/dev/null)"
        p999 "$("$CROCKET" bench produce -n "$NAMESRV" -t "Bench$work" --duration 1 --warmup 0.1 --json "$@" 2>/dev/null)"
    done | paste - - | awk '$1 > 0 && $2 > 0 { print $2 / $1 }' | sort -n >"$BENCH_WORK/turns"
    value=$(awk '{ v[NR] = $1 } END { if (NR) printf "%.4f", v[int((NR + 1) / 2)] }' "$BENCH_WORK/turns")
    [ -n "$value" ] || return 1
    figure "$kind" "$work" per-fdatasync "$value"
    say "    p999 in turns with fdatasync: $value times that of fdatasync, the middle of $(wc -l <"$BENCH_WORK/turns") turns"
}

# sync_flush KIND WORK GENERATOR-OPTIONS...
sync_flush() {
    local kind=$1 work=$2
    produce "$@"
    wanted "$work" || return 0
    quotient "$kind" "$work" p999 disk p999 per-fdatasync
}

work_durability_sync() {
    local kind=$1 dir=$BENCH_WORK/store-$1
    use_memory
    start "$kind" "$dir" flushDiskType=SYNC_FLUSH
    "$CROCKET" bench produce -n "$NAMESRV" -t BenchWarm --connections 64 --inflight 4 --duration "$warm_seconds" --warmup 0 >/dev/null 2>&1
    # Beside the idle server, so that both see the same disk at the same time.
    wanted disk && measure "$kind" disk disk --dir "$BENCH_WORK" --duration "$seconds"
    produce "$kind" sync-1
    against_disk "$kind" sync-1
    sync_flush "$kind" sync-16 --connections 16
    sync_flush "$kind" sync-16-128 --connections 16 --size 128
    sync_flush "$kind" sync-256 --connections 256
    wanted sync-256 && quotient "$kind" sync-256 rate async-256 rate of-async
    sync_flush "$kind" sync-1024 --connections 1024
    written "$kind" written-sync --connections 64 --inflight 4
    end_server "$kind" "$dir"
    remove "$dir"
}

run_durability() {
    wanted_any async-256 e2e-30k e2e-30k-cold e2e-30k-writeback written-async && work_durability_async "$1"
    wanted_any disk sync-1 sync-16 sync-16-128 sync-256 sync-1024 written-sync && work_durability_sync "$1"
    return 0
}
