# Consumers that filter by SQL92: the suite against a broker that has it switched on, and a group whose broker dies. Sourced by run.sh.

# Queue entries tell which filters want their messages; Java has extension files for it.
FILTER_SETTINGS='enablePropertyFilter=true enableCalcFilterBitMap=true enableConsumeQueueExt=true flushConsumerOffsetInterval=200'

# start_filtering KIND DIR. (No quotes: several settings.)
start_filtering() { server_start "$1" "$2" $FILTER_SETTINGS; }

part_filter() {
    local kind=$1 dir=$E2E_WORK/filter log=$E2E_WORK/filter.log acked=$E2E_WORK/filter.acked name='filter:' begin
    build_java
    begin=$(seconds)
    start_filtering "$kind" "$dir" || { fail "$name the server starts"; return; }
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
    step "$name the server starts again" start_filtering "$kind" "$dir" || return
    step "$name the group carries on" java_run ConsumeAll topic=sql_topic group=sql_group sql="TAGS = 'tag1'" expected=100 || return
    step "$name 300 messages again" java_run Produce topic=sql_topic first=600 count=300 acked="$acked" || return
    step "$name another expression for the same group" java_run ConsumeAll topic=sql_topic group=sql_group sql="KEYS = 'key777'" expected=1 ||
        return
    step "$name the server ends well" server_stop "$kind" "$dir" || return
    step "$name the store is sound" store_check "$kind" "$dir"
    step "$name Java opens the directory" start_filtering oracle "$dir" || return
    step "$name a new group reads by tag" java_run ConsumeAll topic=sql_topic group=sql_tags tags=tag1 expected=300 || return
    step "$name a new group reads by expression" java_run ConsumeAll topic=sql_topic group=sql_new sql="TAGS = 'tag1'" expected=300 || return
    step "$name Java ends" server_stop oracle "$dir" || return
    step "$name the server opens the directory of Java" start_filtering "$kind" "$dir" || return
    step "$name 300 messages more" java_run Produce topic=sql_topic first=900 count=300 acked="$acked" || return
    step "$name by tag" java_run ConsumeAll topic=sql_topic group=sql_tags tags=tag1 expected=100 || return
    step "$name by expression" java_run ConsumeAll topic=sql_topic group=sql_new sql="TAGS = 'tag1'" expected=100 || return
    step "$name everything is there" java_run ReadAll topic=sql_topic acked="$acked" exact=true || return
    if server_stop "$kind" "$dir"; then pass "$name the server ends well again"; else fail "$name the server ends well again"; fi
}
