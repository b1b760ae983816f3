# Starts both kinds of server for measurements, without waiting, so that the start itself can be measured. Sourced by bench.sh.

seconds_now() { date +%s; }
millis_now() { echo $(($(date +%s%N) / 1000000)); }
kind_name() { [ "$1" = oracle ] && echo "Java 5.3.3" || echo "Crocket"; }

# The shipped size of files, and brokers that do not refuse sends because the generator takes their cores.
bench_settings="mappedFileSizeCommitLog=1073741824 waitTimeMillsInSendQueue=5000"

# bench_java LOG MAIN ARGS...: a JVM with the options of the shipped start scripts and 4 GiB of heap.
bench_java() {
    local log=$1
    shift
    ROCKETMQ_HOME="$E2E_BUILD/home" java -server "$@" >>"$log" 2>&1 &
    BENCH_PID=$!
    remember_pid $BENCH_PID
}

# A virtual machine that has nothing to do for a moment halts, and is woken when its host likes to, up to 0.4 ms later where this was
# written: the figures of a server that waits for each message would tell how busy that host is. So idle processors of a guest look for
# work for a millisecond before they halt, for both servers alike, where the kernel can do that and this may be asked of it.
HALT_POLL=/sys/module/haltpoll/parameters/guest_halt_poll_ns
# It also gives its free memory back to its host, in blocks of 2 MiB, and its first touch of each page after that waits for the host: up
# to 7 % of the processors' time where this was written. So only larger blocks go back, which there are none of where that size is allowed.
PAGE_REPORTING=/sys/module/page_reporting/parameters/page_reporting_order
# set_for_now FILE VALUE...: writes the first value that is taken, if that may be done, and prints what was there before.
set_for_now() {
    local file=$1 value
    [ -w "$file" ] || return 0
    cat "$file"
    shift
    for value; do echo "$value" 2>/dev/null >"$file" && return 0; done
}
calm_guest() {
    halt_poll_before=$(set_for_now $HALT_POLL 1000000)
    page_reporting_before=$(set_for_now $PAGE_REPORTING 11 10)
}
guest_as_before() {
    [ -z "$halt_poll_before" ] || echo "$halt_poll_before" >$HALT_POLL
    [ -z "$page_reporting_before" ] || echo "$page_reporting_before" >$PAGE_REPORTING
}

port_is_taken() { ! port_is_free "$1"; }

# launch KIND DIR [key=value ...]: the broker begins to start. Java's name server is up before: a broker that misses it waits long until
# it asks again. BENCH_PID: the process that serves messages. LAUNCHED: when it was launched, in ms.
launch() {
    local kind=$1 dir=$2 run=$2.run setting
    shift 2
    mkdir -p "$dir" "$run"
    if [ "$kind" = oracle ]; then
        # shellcheck disable=SC2086
        oracle_settings "$dir" $bench_settings "$@" >"$run/broker.conf"
        printf 'listenPort=%s\nkvConfigPath=%s/kvConfig.json\n' "$NAMESRV_PORT" "$run" >"$run/namesrv.conf"
        bench_java "$run/namesrv.log" -Xms256m -Xmx256m -Duser.home="$E2E_BUILD/home" \
            -Drmq.logback.configurationFile="$E2E_DIR/logback-quiet.xml" -cp "$E2E_BUILD/java/lib/*" \
            org.apache.rocketmq.namesrv.NamesrvStartup -c "$run/namesrv.conf"
        echo $BENCH_PID >"$run/namesrv.pid"
        wait_until 60 port_is_taken "$NAMESRV_PORT" || die "the Java name server does not come up; see $run/namesrv.log"
        LAUNCHED=$(millis_now)
        bench_java "$run/broker.log" -Xms4g -Xmx4g -XX:+UseG1GC -XX:G1HeapRegionSize=16m -XX:G1ReservePercent=25 \
            -XX:InitiatingHeapOccupancyPercent=30 -XX:SoftRefLRUPolicyMSPerMB=0 -XX:-OmitStackTraceInFastThrow \
            -XX:MaxDirectMemorySize=15g -XX:-UseLargePages -Duser.home="$E2E_BUILD/home" \
            -Drmq.logback.configurationFile="$E2E_DIR/logback-quiet.xml" -cp "$E2E_BUILD/java/lib/*" \
            org.apache.rocketmq.broker.BrokerStartup -c "$run/broker.conf"
        echo $BENCH_PID >"$run/broker.pid"
        return 0
    fi
    set -- $bench_settings "$@"
    for setting; do
        shift
        set -- "$@" --set "$setting"
    done
    LAUNCHED=$(millis_now)
    "$CROCKET" server --data "$dir" --namesrv-port "$NAMESRV_PORT" --broker-port "$BROKER_PORT" \
        --set "brokerClusterName=$E2E_CLUSTER" --set "brokerName=$E2E_BROKER" "$@" >"$run/crocket.log" 2>"$run/crocket.err" &
    BENCH_PID=$!
    remember_pid $BENCH_PID
    echo $BENCH_PID >"$run/crocket.pid"
}

# Straight to the broker: Java's comes up to ten seconds late in the name server's routes, which is another matter.
try_send() { "$CROCKET" send -q --address "127.0.0.1:$BROKER_PORT" "$1" -m hello >/dev/null 2>&1; }

is_routed() { "$CROCKET" admin topicRoute -n "$NAMESRV" -t "$1" >/dev/null 2>&1; }

# wait_for_send TOPIC: until a message is acknowledged.
wait_for_send() {
    local left=60000
    until try_send "$1"; do
        left=$((left - 1))
        { [ $left -gt 0 ] && ! pid_is_gone "$BENCH_PID"; } || return 1
        sleep 0.001
    done
}

# start KIND DIR [key=value ...]: up and serving. START_MS: from the launch to the first acknowledged message.
start() {
    launch "$@"
    if ! wait_for_send "StartTopic"; then
        show_tail "$2.run/broker.log"
        show_tail "$2.run/crocket.err"
        die "$(kind_name "$1") does not serve; see $2.run"
    fi
    START_MS=$(($(millis_now) - LAUNCHED))
    wait_until 60 is_routed StartTopic || die "the name server of $(kind_name "$1") has no route to the first topic; see $2.run"
}

meminfo_kib() { sed -n "s/^$1: *\([0-9]*\).*/\1/p" /proc/meminfo; }

# Fills free memory with the pages of a file of holes. On a machine that has run for days every page a server asks for was in use
# before; on a fresh virtual machine the first touch of a page goes to the hypervisor and costs more than all the work on a message.
use_memory() {
    local file=$BENCH_WORK/filler from more
    more=$((($(meminfo_kib MemFree) - 768 * 1024) / 1024))
    [ $more -gt 0 ] || return 0
    # Only what is new is read: pages that are read twice would push out those of the stores.
    from=$(($(stat -c %s "$file" 2>/dev/null || echo 0) / 1048576))
    truncate -s $((from + more))M "$file"
    dd "if=$file" of=/dev/null bs=1M skip=$from status=none
}

# drop_pages: takes the files that are named on standard input out of memory; their next reader gets them from the disk.
drop_pages() {
    local file
    while read -r file; do dd "if=$file" iflag=nocache count=0 status=none; done
}

# drop_from_memory DIR: the same for all of a store's files.
drop_from_memory() {
    sync
    find "$1" -type f | drop_pages
}

end_server() { server_stop "$1" "$2" || say "$(kind_name "$1") did not end well"; }
remove() { rm -rf "$1" "$1.run"; }

# Anonymous memory of all processes of the server, in KiB.
anonymous_kib() {
    local pid sum=0
    for pid in $(cat "$1.run"/*.pid); do
        sum=$((sum + $(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status")))
    done
    echo $sum
}
