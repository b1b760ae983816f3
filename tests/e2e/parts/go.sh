# The tests with the Go client. Sourced by run.sh.

part_go() {
    local kind=$1 dir=$E2E_WORK/go log=$E2E_WORK/go.log begin
    command -v go >/dev/null || die "go is not installed: install Go 1.19 or later (Debian: golang-go)"
    mkdir -p "$E2E_BUILD"
    if ! (cd "$E2E_DIR/go" && go test -c -o "$E2E_BUILD/go-client.test" .) >"$log" 2>&1; then
        show_tail "$log"
        fail "go: the tests build"
        return
    fi
    begin=$(seconds)
    server_start "$kind" "$dir" enablePropertyFilter=true transactionCheckInterval=2000 transactionTimeOut=2000 \
        transactionOpBatchInterval=500 ||
        { fail 'go: the server starts'; return; }
    if (cd "$E2E_WORK" && HOME=$E2E_BUILD/home CROCKET_E2E_NAMESRV=$NAMESRV CROCKET_E2E_BROKER=$E2E_BROKER \
        CROCKET_E2E_BROKER_ADDR=127.0.0.1:$BROKER_PORT "$E2E_BUILD/go-client.test" -test.v -test.parallel 8 -test.timeout 300s) >"$log" 2>&1; then
        pass "go: suite of rocketmq-client-go v2" "$(grep -c '^--- PASS' "$log") tests, $(($(seconds) - begin)) s"
    else
        fail "go: suite of rocketmq-client-go v2" "log: $log"
        grep -E '^(--- FAIL|panic:| +[a-z_]+\.go:[0-9]+:)' "$log" | cut -c1-400 | sed 's/^/      | /'
    fi
    if server_stop "$kind" "$dir"; then pass "go: the server ends well"; else fail "go: the server ends well"; fi
}
