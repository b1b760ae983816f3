# Consumers that filter by SQL92: the suite against a broker that has it switched on, and a group whose broker dies. Sourced by run.sh.

part_filter() {
    local kind=$1 dir=$E2E_WORK/filter log=$E2E_WORK/filter.log acked=$E2E_WORK/filter.acked name='filter:' begin
    build_java
    begin=$(seconds)
    server_start "$kind" "$dir" enablePropertyFilter=true flushConsumerOffsetInterval=200 || { fail "$name the server starts"; return; }
    if surefire "$log" -Dtest=SqlFilterTest; then
        pass "$name suite of rocketmq-client 5.3.3" "$(surefire_summary "$log"), $(($(seconds) - begin)) s"
    else
        fail "$name suite of rocketmq-client 5.3.3" "$(surefire_summary "$log"); reports: $E2E_BUILD/java/surefire-reports"
        surefire_failures "$log"
    fi
    # Every third message has tag1: ids 1, 4, 7 ...
    step "$name a topic" java_run Admin topic=sql_topic:2 || return
    step "$name 300 messages" java_run Produce topic=sql_topic count=300 acked="$acked" || return
    step "$name a group consumes those that fit" java_run ConsumeAll topic=sql_topic group=sql_group sql="TAGS = 'tag1'" expected=100 || return
    step "$name the broker has saved the expression" wait_until 60 grep -q "TAGS = 'tag1'" "$dir/config/consumerFilter.json" || return
    step "$name the broker has saved the offsets" wait_until 60 grep -q 'sql_topic@sql_group' "$dir/config/consumerOffset.json" || return
    step "$name 300 more messages" java_run Produce topic=sql_topic first=300 count=300 acked="$acked" || return
    step "$name the server dies" server_kill "$kind" "$dir" || return
    step "$name the server starts again" server_start "$kind" "$dir" enablePropertyFilter=true flushConsumerOffsetInterval=200 || return
    step "$name the group carries on" java_run ConsumeAll topic=sql_topic group=sql_group sql="TAGS = 'tag1'" expected=100 || return
    step "$name 300 messages again" java_run Produce topic=sql_topic first=600 count=300 acked="$acked" || return
    step "$name another expression for the same group" java_run ConsumeAll topic=sql_topic group=sql_group sql="KEYS = 'key777'" expected=1 ||
        return
    if server_stop "$kind" "$dir"; then pass "$name the server ends well"; else fail "$name the server ends well"; fi
}
