# The Java admin tool against the server: every command has to print what the broker really holds. Sourced by run.sh.

# tool NAME PATTERN... -- ARGS...: starts the tool in the background; tools_checked will require a line for each extended regular
# expression. A pattern that begins with "!" must not be found. The tool takes seconds to end, so several run side by side.
tool() {
    local name=$1
    shift
    : >"$E2E_WORK/admin-$name.patterns"
    while [ "$1" != -- ]; do
        printf '%s\n' "$1" >>"$E2E_WORK/admin-$name.patterns"
        shift
    done
    shift
    run_tool "$E2E_WORK/admin-$name.out" "$@" &
    remember_pid $!
    ADMIN_PENDING="$ADMIN_PENDING $name:$!"
}

# run_tool FILE ARGS...: the tool gives its JVM five seconds to warm up and to get all answers, which is little on a busy machine: one
# that ran out of time may try again.
run_tool() {
    local out=$1 try
    shift
    for try in 1 2 3 4 5; do
        mqadmin "$@" -n "$NAMESRV" >"$out" 2>&1
        grep -Eq 'RemotingTimeoutException|RemotingTooMuchRequestException' "$out" || return 0
    done
}

# tools_checked: waits for the tools started so far and judges what they printed.
tools_checked() {
    local one name out pattern missing
    for one in $ADMIN_PENDING; do
        name=${one%:*}
        out=$E2E_WORK/admin-$name.out
        missing=
        wait "${one#*:}" || missing=", exit status $?"
        forget_pid "${one#*:}"
        while IFS= read -r pattern; do
            case $pattern in
            !*) if grep -Eq -- "${pattern#!}" "$out"; then missing="$missing, unwanted: ${pattern#!}"; fi ;;
            *) if ! grep -Eq -- "$pattern" "$out"; then missing="$missing, missing: $pattern"; fi ;;
            esac
        done <"$E2E_WORK/admin-$name.patterns"
        if grep -q SubCommandException "$out"; then missing="$missing, an exception"; fi
        if [ -z "$missing" ]; then
            pass "admin: $name"
        else
            fail "admin: $name" "${missing#, }"
            cut -c1-200 "$out" | head -n 30 | sed 's/^/      | /'
        fi
    done
    ADMIN_PENDING=
}

part_admin() {
    local kind=$1 dir=$E2E_WORK/admin acked=$E2E_WORK/admin.acked broker id
    build_java
    server_start "$kind" "$dir" || { fail 'admin: the server starts'; return; }
    broker=127.0.0.1:$BROKER_PORT
    ADMIN_PENDING=

    tool updateTopic "create topic to $broker success" 'readQueueNums=3, writeQueueNums=3, perm=RW-' -- \
        updateTopic -b "$broker" -t admin_topic -r 3 -w 3
    tool updateSubGroup "create subscription group to $broker success" 'groupName=admin_group.*retryMaxTimes=5' -- \
        updateSubGroup -b "$broker" -g admin_group -r 5
    tool updateKvConfig '^create or update kv config to namespace success' -- updateKvConfig -s e2e -k colour -v blue
    tool updateBrokerConfig "^update broker config success, $broker\$" -- updateBrokerConfig -b "$broker" -k defaultQueryMaxNum -v 33
    tools_checked
    java_run Produce topic=admin_topic count=30 queues=3 acked="$acked" >"$E2E_WORK/admin-produce.out" || fail 'admin: messages to look at'
    java_run ConsumeAll topic=admin_topic group=admin_group expected=30 >"$E2E_WORK/admin-consume.out" || fail 'admin: a group to look at'
    id=$(awk '$1 == 7 { print $2 }' "$acked")

    tool clusterList '^#Cluster Name +#Broker Name +#BID +#Addr' \
        "^$E2E_CLUSTER +$E2E_BROKER +0 +$broker +[A-Z][A-Za-z0-9_.-]+ +[0-9.]+\([0-9]+,[0-9]+ms\) +[0-9.]+\(" -- clusterList
    tool clusterListMore "^$E2E_CLUSTER +$E2E_BROKER +0 +0 +30 +30 *$" -- clusterList -m
    tool topicList '^admin_topic$' '^TBW102$' '^SCHEDULE_TOPIC_XXXX$' "^$E2E_CLUSTER\$" "^$E2E_BROKER\$" '^%RETRY%admin_group$' -- topicList
    tool topicRoute "\"brokerAddrs\":\{0:\"$broker\"" "\"brokerName\":\"$E2E_BROKER\"" '"readQueueNums":3' '"writeQueueNums":3' -- \
        topicRoute -t admin_topic
    tool topicClusterList "^$E2E_CLUSTER\$" -- topicClusterList -t admin_topic
    tools_checked
    tool topicStatus '^#Broker Name +#QID +#Min Offset +#Max Offset' "^$E2E_BROKER +0 +0 +10 +20[0-9-]+ " "^$E2E_BROKER +1 +0 +10 +20" \
        "^$E2E_BROKER +2 +0 +10 +20" -- topicStatus -t admin_topic
    tool consumerProgress '^admin_group +0 +OFFLINE' -- consumerProgress
    tool consumerProgressOfGroup '^#Topic +#Broker Name +#QID +#Broker Offset +#Consumer Offset +#Diff' \
        "^admin_topic +$E2E_BROKER +0 +10 +10 +0 " "^admin_topic +$E2E_BROKER +2 +10 +10 +0 " '^Consume Diff Total: 0$' -- \
        consumerProgress -g admin_group
    tool brokerStatus '^brokerVersionDesc +: ' '^bootTimestamp +: [0-9]+' '^msgPutTotalTodayNow +: 30$' '^msgGetTotalTodayNow +: 30$' \
        '^commitLogMaxOffset +: [1-9][0-9]*$' '^commitLogMinOffset +: 0$' '^dispatchBehindBytes +: 0$' '^putTps +: [0-9]' '^runtime +: ' \
        '^sendThreadPoolQueueSize +: 0$' '^commitLogDirCapacity +: Total' '^putMessageTimesTotal +: [1-9]' -- brokerStatus -b "$broker"
    tool statsAll '^admin_topic +admin_group +0 ' -- statsAll
    tools_checked
    tool getBrokerConfig "^brokerName += +$E2E_BROKER\$" "^brokerClusterName += +$E2E_CLUSTER\$" '^flushDiskType += +A?SYNC_FLUSH$' \
        '^brokerIP1 += +127\.0\.0\.1$' '^defaultQueryMaxNum += +33$' -- getBrokerConfig -b "$broker"
    tool deleteKvConfig '^delete kv config from namespace success' -- deleteKvConfig -s e2e -k colour
    tool queryMsgByKey "^$id +[0-2] +[0-9]+" -- queryMsgByKey -t admin_topic -k key7
    tool queryMsgByUniqueKey '^Topic: +admin_topic$' '^Tags: +\[tag1\]$' '^Keys: +\[key7\]$' "^Store Host: +$broker\$" -- \
        queryMsgByUniqueKey -t admin_topic -i "$id"
    tool queryMsgByOffset '^Topic: +admin_topic$' '^Queue ID: +1$' '^Queue Offset: +9$' -- \
        queryMsgByOffset -t admin_topic -b "$E2E_BROKER" -i 1 -o 9
    tools_checked
    tool sendMessage "^$E2E_BROKER +[0-2] +SEND_OK +[0-9A-F]{32,}" -- sendMessage -t admin_topic -p hello -k hellokey -c hellotag
    tools_checked
    tool queryMsgByKeyOfSent '^[0-9A-F]{32,} +[0-2] +10' -- queryMsgByKey -t admin_topic -k hellokey
    tool resetOffsetByTime "^$E2E_BROKER +0 +0 *$" "^$E2E_BROKER +1 +0 *$" "^$E2E_BROKER +2 +0 *$" -- \
        resetOffsetByTime -g admin_group -t admin_topic -s 0
    tools_checked
    tool progressAfterReset '^Consume Diff Total: 31$' -- consumerProgress -g admin_group
    tool updateTopicPerm "^update topic perm from 6 to 4 in $broker success" 'perm=R--' -- updateTopicPerm -b "$broker" -t admin_topic -p 4
    tools_checked
    tool deleteSubGroup "^delete subscription group \[admin_group\] from broker \[$broker\] success" -- \
        deleteSubGroup -b "$broker" -g admin_group
    tool deleteTopic "^delete topic \[admin_topic\] from cluster \[$E2E_CLUSTER\] success" -- deleteTopic -c "$E2E_CLUSTER" -t admin_topic
    tools_checked
    tool topicListAfterDelete '!^admin_topic$' '^TBW102$' -- topicList
    tools_checked
    if server_stop "$kind" "$dir"; then pass "admin: the server ends well"; else fail "admin: the server ends well"; fi
}
