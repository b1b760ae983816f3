# The JUnit suite with the Java client, and the same client's ordinary work with binary headers. Sourced by run.sh.

# surefire LOG ARGS...: runs the compiled suite against NAMESRV.
surefire() {
    local log=$1
    shift
    CROCKET_E2E_NAMESRV=$NAMESRV CROCKET_E2E_CLUSTER=$E2E_CLUSTER CROCKET_E2E_BROKER=$E2E_BROKER \
        mvn -B -ntp -f "$E2E_DIR/java/pom.xml" -De2e.build="$E2E_BUILD/java" surefire:test "$@" >"$log" 2>&1
}

# surefire_summary LOG: the last "Tests run" line, and what failed.
surefire_summary() {
    grep -E '^\[(ERROR|INFO|WARNING)\] Tests run:.*[0-9]$' "$1" | tail -n 1 | sed 's/^[^T]*//'
}

surefire_failures() {
    sed -n '/^\[ERROR\] \(Failures\|Errors\):/,/^\[[A-Z]*\] Tests run:/p' "$1" | grep -E '^\[ERROR\]  ' | cut -c9-300 | head -n 40 |
        sed 's/^/      | /'
}

part_java() {
    local kind=$1 dir=$E2E_WORK/java log=$E2E_WORK/java.log begin
    build_java
    begin=$(seconds)
    # Java's broker asks about decided messages too while their op message is not written.
    server_start "$kind" "$dir" transactionCheckInterval=2000 transactionTimeOut=2000 transactionOpBatchInterval=500 || { fail 'java: the server starts'; return; }
    if surefire "$log" ${CROCKET_E2E_TEST:+-Dtest="$CROCKET_E2E_TEST"}; then
        pass "java: suite of rocketmq-client 5.3.3" "$(surefire_summary "$log"), $(($(seconds) - begin)) s"
    else
        fail "java: suite of rocketmq-client 5.3.3" "$(surefire_summary "$log"); reports: $E2E_BUILD/java/surefire-reports"
        surefire_failures "$log"
    fi
    begin=$(seconds)
    log=$E2E_WORK/java-binary.log
    if surefire "$log" -Dtest="${CROCKET_E2E_TEST:-SyncSendTest,AsyncSendTest,BatchSendTest,PullConsumerTest,PushConcurrentTest}" \
        -De2e.options=-Drocketmq.serialize.type=ROCKETMQ; then
        pass "java: binary headers" "$(surefire_summary "$log"), $(($(seconds) - begin)) s"
    else
        fail "java: binary headers" "$(surefire_summary "$log"); reports: $E2E_BUILD/java/surefire-reports"
        surefire_failures "$log"
    fi
    if server_stop "$kind" "$dir"; then pass "java: the server ends well"; else fail "java: the server ends well"; fi
}
