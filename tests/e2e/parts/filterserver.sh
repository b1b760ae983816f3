# Consumers that bring their own code: filter servers, with the unmodified clients of releases that still upload it. Sourced by run.sh.
# Apache RocketMQ 5.3.3 has no filter servers any more (the last that had them are the brokers of 5.1), so there is nothing to compare with.

# build_filter_client VERSION: the program and rocketmq-client of that release under build/e2e/filter-client-VERSION.
build_filter_client() {
    local home=$E2E_BUILD/filter-client-$1 log=$E2E_BUILD/filter-client-$1.log
    if [ -f "$home/built" ] && [ -z "$(find "$E2E_DIR/filter-client" -newer "$home/built" -type f)" ]; then return 0; fi
    say "building the client $1 (log: $log)"
    if ! mvn -B -q -ntp -f "$E2E_DIR/filter-client/pom.xml" -De2e.build="$home" -Drocketmq.version="$1" compile \
        dependency:copy-dependencies -DoutputDirectory="$home/lib" -DincludeScope=runtime >"$log" 2>&1; then
        show_tail "$log"
        die "the filter client does not build; see $log"
    fi
    touch "$home/built"
}

# filter_consume VERSION ARGS...: FilterConsume with that client.
filter_consume() {
    local home=$E2E_BUILD/filter-client-$1
    shift
    CROCKET_E2E_NAMESRV=$NAMESRV java -Xms32m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Duser.home="$E2E_BUILD/home" \
        -Drocketmq.client.logUseSlf4j=true -cp "$home/classes:$home/lib/*" crocket.e2e.FilterConsume "$@"
}

# filter_servers_in_route TOPIC N: the route of the topic lists so many.
filter_servers_in_route() {
    local n
    n=$(mqadmin topicRoute -n "$NAMESRV" -t "$1" 2>/dev/null | tr -d ' \n\t' | sed 's/.*"filterServerTable":{//; s/}.*//' |
        grep -o '"127\.0\.0\.1:[0-9]*"' | grep -vc ":$BROKER_PORT\"")
    [ "$n" -eq "$2" ]
}

filter_server_log_has() { grep -q "$2" "$1.run/crocket.err" "$1.run/crocket.log"; }

part_filterserver() {
    local kind=$1 dir=$E2E_WORK/filterserver acked=$E2E_WORK/filterserver.acked code=$E2E_WORK name='filterserver:' version pid
    build_java
    if [ "$kind" = oracle ]; then
        say "skip  $name Apache RocketMQ 5.3.3 has no filter servers"
        return
    fi
    for version in 4.9.8 5.1.0; do build_filter_client $version; done
    cat >"$code/third.lua" <<'END'
-- Every third message, told by its key; the body must be the one of the key.
return function(message, context)
    local id = message.keys:match("^key(%d+)$")
    assert(message.body:match("^(%d+)\n") == id, "the body is another message's")
    assert(context.topic == message.topic)
    return id % 3 == 1 and message.tags == "tag1"
end
END
    printf 'return function(message) while true do end end\n' >"$code/endless.lua"
    printf 'return function(message) return message.tagz == "tag1" end\n' >"$code/slip.lua"
    printf 'return function(message) return tru\n' >"$code/broken.lua"
    step "$name the server starts with two filter servers" server_start "$kind" "$dir" filterServerNums=2 flushConsumerOffsetInterval=200 || return
    step "$name a topic" java_run Admin topic=code_topic:2 || return
    step "$name the route lists them" wait_until 10 filter_servers_in_route code_topic 2 || return
    step "$name 3000 messages" java_run Produce topic=code_topic count=3000 acked="$acked" || return
    for version in 4.9.8 5.1.0; do
        step "$name client $version gets those its code wants" filter_consume $version topic=code_topic group=code_${version%%.*} source="$code/third.lua" \
            expected=1000 modulo=3 remainder=1 retry=301 || return
    done
    # What has no end, a slip of the pen, no Lua: no message comes, each is told, nobody else is held up.
    for version in endless slip broken; do
        step "$name nothing comes by $version code" filter_consume 4.9.8 topic=code_topic group=bad_code source="$code/$version.lua" expected=0 seconds=5 ||
            return
    done
    step "$name endless code is told" filter_server_log_has "$dir" 'more than 1000000 steps' || return
    step "$name the slip is told" filter_server_log_has "$dir" "a message has no field 'tagz'" || return
    step "$name what does not compile is told" filter_server_log_has "$dir" 'Filter.lua of group bad_code for topic code_topic is refused: Filter.lua:' || return
    step "$name then good code gets all it wants" filter_consume 5.1.0 topic=code_topic group=bad_code source="$code/third.lua" expected=1000 modulo=3 \
        remainder=1 || return
    step "$name 300 more messages" java_run Produce topic=code_topic first=3000 count=300 acked="$acked" || return
    step "$name the server dies" server_kill "$kind" "$dir" || return
    step "$name it starts again with one filter server" server_start "$kind" "$dir" filterServerNums=1 flushConsumerOffsetInterval=200 || return
    step "$name the route lists it" wait_until 10 filter_servers_in_route code_topic 1 || return
    step "$name the group carries on" filter_consume 4.9.8 topic=code_topic group=code_4 source="$code/third.lua" expected=100 modulo=3 remainder=1 ||
        return
    step "$name without filter servers" server_stop "$kind" "$dir" || return
    step "$name the server starts" server_start "$kind" "$dir" || return
    step "$name the route lists none" filter_servers_in_route code_topic 0 || return
    if server_stop "$kind" "$dir"; then pass "$name the server ends well"; else fail "$name the server ends well"; fi
}
