# Every feature with a restart in its middle (FeaturesOverRestart): in good order, by kill -9, and over to the other broker with the same
# store directory. Sourced by run.sh.

RESTART_SETTINGS='transactionCheckInterval=2000 transactionTimeOut=2000 transactionOpBatchInterval=500 enablePropertyFilter=true
recallMessageEnable=true traceTopicEnable=true transactionCheckMax=1000 timerPrecisionMs=1000'

# restart_server HOW KIND OTHER DIR: leaves the kind of server that runs now in RESTART_KIND.
restart_server() {
    local how=$1 kind=$2 other=$3 dir=$4
    # Java saves every five seconds that a deleted group has no offsets any more.
    [ "$how$kind" != killoracle ] || sleep 6
    if [ "$how" = kill ]; then server_kill "$kind" "$dir"; else server_stop "$kind" "$dir"; fi || return 1
    RESTART_KIND=$other
    server_start "$other" "$dir" $RESTART_SETTINGS
}

# features_over HOW KIND OTHER NAME: one run of the suite.
features_over() {
    local how=$1 kind=$2 other=$3 name=$4 dir=$E2E_WORK/restart-$4 log=$E2E_WORK/restart-$4.log
    local control=$E2E_WORK/restart-$4.control begin suite status=0
    begin=$(seconds)
    RESTART_KIND=$kind
    server_start "$kind" "$dir" $RESTART_SETTINGS || { fail "restart: $name: the server starts"; return; }
    CROCKET_E2E_CONTROL=$control CROCKET_E2E_RESTART=$how surefire "$log" -Dtest=FeaturesOverRestart &
    suite=$!
    remember_pid $suite
    while kill -0 $suite 2>/dev/null; do
        if [ -e "$control" ]; then
            restart_server "$how" "$kind" "$other" "$dir" || status=1
            rm -f "$control"
        fi
        sleep 0.1
    done
    wait $suite || status=1
    forget_pid $suite
    if [ $status -eq 0 ]; then
        pass "restart: $name" "$(surefire_summary "$log"), $(($(seconds) - begin)) s"
    else
        fail "restart: $name" "$(surefire_summary "$log"); log: $log"
        surefire_failures "$log"
    fi
    server_stop "$RESTART_KIND" "$dir" || fail "restart: $name: the server ends well"
    kill_leftovers
}

part_restart() {
    build_java
    features_over stop "$1" "$1" stop
    features_over kill "$1" "$1" kill
    if [ "$1" != oracle ]; then
        features_over switch oracle "$1" from-java
        features_over switch "$1" oracle to-java
    fi
}
