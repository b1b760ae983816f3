# Shell functions all parts of the end-to-end tests share. Sourced, never run.
#
# A server is named by KIND (oracle = Apache RocketMQ 5.3.3, crocket = ours) and by its store directory DIR. Everything else that
# belongs to it (logs, pid files, configuration) lives in DIR.run beside it, so that DIR holds only what the broker wrote.

E2E_DIR=${E2E_DIR:?the sourcing script must set E2E_DIR to the folder of lib.sh}
CHECKOUT=$(cd "$E2E_DIR/../.." && pwd)
E2E_BUILD=${CROCKET_E2E_BUILD:-$CHECKOUT/build/e2e}
E2E_CLUSTER=${CROCKET_E2E_CLUSTER:-DefaultCluster}
E2E_BROKER=${CROCKET_E2E_BROKER:-broker-a}
E2E_PASSED=0
E2E_FAILED=0

say() { printf '%s\n' "$*"; }
die() { printf 'e2e: %s\n' "$*" >&2; exit 1; }

# seconds: wall clock, for the durations in the result lines.
seconds() { date +%s; }

# pass/fail NAME [DETAIL]: the one line a check leaves behind.
pass() { E2E_PASSED=$((E2E_PASSED + 1)); say "pass  $1${2:+  ($2)}"; }
fail() { E2E_FAILED=$((E2E_FAILED + 1)); say "FAIL  $1${2:+  ($2)}"; }

# show_tail FILE [LINES]: the end of a log, indented, to explain a failure.
show_tail() { [ -f "$1" ] && tail -n "${2:-20}" "$1" | sed 's/^/      | /'; return 0; }

# port_is_free PORT: nothing listens on it, in either address family. Read from the kernel so that no tool is needed.
port_is_free() {
    local hex
    hex=$(printf '%04X' "$1")
    ! awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# pick_ports: sets NAMESRV_PORT and BROKER_PORT. A broker also uses BROKER_PORT - 2 (fast) and + 1 (replication); a block of ten is
# taken so that the four never meet another run's. The start varies with the process id to keep parallel runs apart.
pick_ports() {
    local base=${CROCKET_E2E_PORT_BASE:-30000} blocks=99 at i
    at=$(($$ % blocks))
    i=0
    while [ $i -lt $blocks ]; do
        NAMESRV_PORT=$((base + at * 10))
        BROKER_PORT=$((NAMESRV_PORT + 5))
        if port_is_free "$NAMESRV_PORT" && port_is_free "$BROKER_PORT" && port_is_free $((BROKER_PORT - 2)) &&
            port_is_free $((BROKER_PORT + 1)); then
            NAMESRV=127.0.0.1:$NAMESRV_PORT
            export NAMESRV_PORT BROKER_PORT NAMESRV
            return 0
        fi
        at=$(((at + 1) % blocks))
        i=$((i + 1))
    done
    die "no free ports between $base and $((base + 990)): stop what listens there or set CROCKET_E2E_PORT_BASE"
}

# wait_until SECONDS COMMAND...: repeats the command every 50 ms until it succeeds; 1 when the time is over.
wait_until() {
    local left=$(($1 * 20))
    shift
    while ! "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 0.05
    done
}

pid_is_gone() { ! kill -0 "$1" 2>/dev/null; }

# The process ids this run started and has not yet seen end; whatever is left when the run ends is killed.
E2E_PIDS=
remember_pid() { E2E_PIDS="$E2E_PIDS $1"; }
forget_pid() {
    local pid rest=
    for pid in $E2E_PIDS; do [ "$pid" = "$1" ] || rest="$rest $pid"; done
    E2E_PIDS=$rest
}
kill_leftovers() {
    local pid
    for pid in $E2E_PIDS; do kill -9 "$pid" 2>/dev/null; done
    E2E_PIDS=
    return 0
}

# server_start KIND DIR [key=value ...]: a name server and a broker over DIR on NAMESRV_PORT and BROKER_PORT, ready for clients.
server_start() { local kind=$1; shift; "${kind}_start" "$@"; }
# server_stop KIND DIR: orderly end; fails unless the server ended well by itself.
server_stop() { "${1}_stop" "$2"; }
# server_kill KIND DIR: kill -9.
server_kill() { "${1}_kill" "$2"; }

# java_run PROGRAM ARGS...: one of the programs of tests/e2e/java with the class path that build_java left. JAVA_RUN_OPTIONS: more
# options for the JVM. JAVA_RUN=exec makes it the shell itself, so that $! of one in the background is what has to be killed.
java_run() {
    local program=$1
    shift
    export CROCKET_E2E_NAMESRV=$NAMESRV
    ${JAVA_RUN:-} java -Xms32m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Duser.home="$E2E_BUILD/home" \
        -Drmq.logback.configurationFile="$E2E_DIR/logback-quiet.xml" ${JAVA_RUN_OPTIONS:-} \
        -cp "$E2E_BUILD/java/classes:$E2E_BUILD/java/lib/*" "crocket.e2e.$program" "$@"
}

# mqadmin ARGS...: the Java admin tool, unmodified.
mqadmin() {
    ROCKETMQ_HOME="$E2E_BUILD/home" java -Xms32m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Duser.home="$E2E_BUILD/home" \
        -Drocketmq.namesrv.addr="$NAMESRV" -Drmq.logback.configurationFile="$E2E_DIR/logback-quiet.xml" -cp "$E2E_BUILD/java/lib/*" \
        org.apache.rocketmq.tools.command.MQAdminStartup "$@"
}

# build_java: compiles the programs and gathers the class path under build/e2e/java, once for a state of the sources.
build_java() {
    local stamp=$E2E_BUILD/java/built log=$E2E_BUILD/java-build.log
    mkdir -p "$E2E_BUILD/home"
    if [ -f "$stamp" ] && [ -z "$(find "$E2E_DIR/java" -newer "$stamp" -type f)" ]; then return 0; fi
    command -v mvn >/dev/null || die "mvn is not installed: install a JDK 11 or later and Maven (Debian: default-jdk-headless maven)"
    say "building the Java programs (log: $log)"
    if ! mvn -B -q -ntp -f "$E2E_DIR/java/pom.xml" -De2e.build="$E2E_BUILD/java" test-compile \
        dependency:copy-dependencies -DoutputDirectory="$E2E_BUILD/java/lib" -DincludeScope=runtime >"$log" 2>&1; then
        show_tail "$log"
        die "the Java programs do not build; see $log"
    fi
    touch "$stamp"
}
