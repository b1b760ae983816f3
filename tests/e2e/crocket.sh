# Starts and stops crocket for the end-to-end tests. Sourced after lib.sh. DIR is the store directory; CROCKET names the executable.

CROCKET=${CROCKET:-$CHECKOUT/build/crocket}

# crocket_is_up PID LOG: it said that it is ready, or it is gone and waiting is pointless.
crocket_is_up() { grep -qx 'ready' "$2" || pid_is_gone "$1"; }

# crocket_start DIR [key=value ...]: name server and broker in one process.
crocket_start() {
    local dir=$1 run=$1.run pid setting
    shift
    [ -x "$CROCKET" ] || die "$CROCKET is not there or not executable: build it first or set CROCKET"
    mkdir -p "$dir" "$run"
    set -- "$@" # the settings become pairs of --set and key=value
    for setting; do
        shift
        set -- "$@" --set "$setting"
    done
    : >"$run/crocket.log"
    "$CROCKET" server --data "$dir" --listen 127.0.0.1 --advertise 127.0.0.1 --namesrv-port "$NAMESRV_PORT" \
        --broker-port "$BROKER_PORT" --set "brokerClusterName=$E2E_CLUSTER" --set "brokerName=$E2E_BROKER" \
        --set mappedFileSizeCommitLog=67108864 "$@" >"$run/crocket.log" 2>"$run/crocket.err" &
    pid=$!
    remember_pid $pid
    echo $pid >"$run/crocket.pid"
    wait_until 60 crocket_is_up $pid "$run/crocket.log"
    if ! grep -qx 'ready' "$run/crocket.log"; then
        show_tail "$run/crocket.log"
        show_tail "$run/crocket.err"
        return 1
    fi
}

# crocket_end DIR SIGNAL STATUS: sends the signal and returns 0 when the process ends with that exit status within 30 s.
crocket_end() {
    local run=$1.run pid status
    [ -f "$run/crocket.pid" ] || return 1
    pid=$(cat "$run/crocket.pid")
    kill -"$2" "$pid" 2>/dev/null
    if ! wait_until 30 pid_is_gone "$pid"; then
        say "crocket (process $pid) is still there 30 s after signal $2"
        kill -9 "$pid" 2>/dev/null
    fi
    wait "$pid" 2>/dev/null
    status=$?
    forget_pid "$pid"
    rm -f "$run/crocket.pid"
    if [ $status -ne "$3" ]; then
        say "crocket ended with status $status instead of $3"
        show_tail "$run/crocket.log"
        show_tail "$run/crocket.err"
        return 1
    fi
}

crocket_stop() {
    crocket_end "$1" TERM 0 || return 1
    # With shared queue files it stays, for Java to take the store for one that crashed.
    [ ! -e "$1/abort" ] || [ -d "$1/sharedqueues" ] || { say "crocket stopped but left $1/abort behind"; return 1; }
}

# 137 is how the shell reports death by signal 9.
crocket_kill() { crocket_end "$1" KILL 137; }
