# Starts and stops the oracle: name server and broker of Apache RocketMQ 5.3.3 from their Maven artifacts. Sourced after lib.sh.
#
# DIR is the broker's store directory. ORACLE_HEAP=4g and the like gives the broker a bigger heap, for measurements.

# The settings of every test broker. A setting given to oracle_start comes later in the file and therefore wins. The files are small to
# keep the disk small (mappedFileSizeCommitLog=1073741824 gives the shipped size), and a request may wait longer in the send queue
# than the 200 ms of the default, because the tests share few cores with others.
oracle_settings() {
    cat <<END
brokerClusterName=$E2E_CLUSTER
brokerName=$E2E_BROKER
brokerId=0
brokerIP1=127.0.0.1
namesrvAddr=$NAMESRV
listenPort=$BROKER_PORT
storePathRootDir=$1
mappedFileSizeCommitLog=67108864
waitTimeMillsInSendQueue=5000
END
    shift
    for setting; do printf '%s\n' "$setting"; done
}

# oracle_java LOG HEAP MAIN ARGS...: starts a JVM in the background and leaves its process id in ORACLE_PID.
oracle_java() {
    local log=$1 heap=$2
    shift 2
    ROCKETMQ_HOME="$E2E_BUILD/home" java -Xms"$heap" -Xmx"$heap" -XX:MaxDirectMemorySize=1g -XX:+UseSerialGC \
        -XX:-OmitStackTraceInFastThrow -Duser.home="$E2E_BUILD/home" \
        -Drmq.logback.configurationFile="$E2E_DIR/logback-server.xml" -cp "$E2E_BUILD/java/lib/*" "$@" >>"$log" 2>&1 &
    ORACLE_PID=$!
    remember_pid $ORACLE_PID
}

# oracle_says PID LOG TEXT: the log holds the text, or the process is gone and waiting for it is pointless.
oracle_says() { grep -q "$3" "$2" || pid_is_gone "$1"; }

# oracle_start DIR [key=value ...]
oracle_start() {
    local dir=$1 run=$1.run
    shift
    mkdir -p "$dir" "$run"
    oracle_settings "$dir" "$@" >"$run/broker.conf"
    printf 'listenPort=%s\nkvConfigPath=%s/kvConfig.json\n' "$NAMESRV_PORT" "$run" >"$run/namesrv.conf"
    : >"$run/namesrv.log"
    : >"$run/broker.log"
    oracle_java "$run/namesrv.log" 96m org.apache.rocketmq.namesrv.NamesrvStartup -c "$run/namesrv.conf"
    echo $ORACLE_PID >"$run/namesrv.pid"
    wait_until 60 oracle_says $ORACLE_PID "$run/namesrv.log" 'Name Server boot success'
    if ! grep -q 'Name Server boot success' "$run/namesrv.log"; then
        show_tail "$run/namesrv.log"
        return 1
    fi
    oracle_java "$run/broker.log" "${ORACLE_HEAP:-384m}" org.apache.rocketmq.broker.BrokerStartup -c "$run/broker.conf"
    echo $ORACLE_PID >"$run/broker.pid"
    wait_until 120 oracle_says $ORACLE_PID "$run/broker.log" 'boot success'
    # It says so before the name server knows its topics; on a busy machine that takes seconds more.
    wait_until 60 oracle_says $ORACLE_PID "$run/namesrv.log" 'new topic registered, SCHEDULE_TOPIC_XXXX'
    if ! grep -q 'boot success' "$run/broker.log" || ! grep -q 'new topic registered' "$run/namesrv.log"; then
        show_tail "$run/broker.log"
        return 1
    fi
}

# oracle_end DIR SIGNAL: both processes, the broker first so that it can unregister.
oracle_end() {
    local run=$1.run name pid status=0
    for name in broker namesrv; do
        [ -f "$run/$name.pid" ] || continue
        pid=$(cat "$run/$name.pid")
        kill -"$2" "$pid" 2>/dev/null || status=1
        if ! wait_until 60 pid_is_gone "$pid"; then
            kill -9 "$pid" 2>/dev/null
            status=1
        fi
        wait "$pid" 2>/dev/null
        forget_pid "$pid"
        rm -f "$run/$name.pid"
    done
    return $status
}

oracle_stop() {
    oracle_end "$1" TERM || return 1
    # A clean stop of the Java broker removes its abort marker.
    [ ! -e "$1/abort" ]
}

oracle_kill() { oracle_end "$1" KILL; }
