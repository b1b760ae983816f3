# What must not be served: bad requests of every feature, against a broker that makes no topics and no groups by itself. Sourced by run.sh.

part_refusals() {
    local kind=$1 dir=$E2E_WORK/refusals log=$E2E_WORK/refusals.log begin
    build_java
    begin=$(seconds)
    server_start "$kind" "$dir" autoCreateTopicEnable=false autoCreateSubscriptionGroup=false recallMessageEnable=true \
        timerMaxDelaySec=60 || { fail 'refusals: the server starts'; return; }
    if surefire "$log" -Dtest="${CROCKET_E2E_TEST:-RefusedSends,RefusedReads,RefusedPops}"; then
        pass "refusals: bad requests" "$(surefire_summary "$log"), $(($(seconds) - begin)) s"
    else
        fail "refusals: bad requests" "$(surefire_summary "$log"); reports: $E2E_BUILD/java/surefire-reports"
        surefire_failures "$log"
    fi
    if server_stop "$kind" "$dir"; then pass "refusals: the server ends well"; else fail "refusals: the server ends well"; fi
}
