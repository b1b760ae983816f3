# One store directory, opened in turn by the Java broker and by the server under test. Sourced by run.sh.

# Small files, so that a few thousand messages roll all of them over: log 8 MiB, queue 1000 entries, index 2000 entries.
EXCHANGE_SETTINGS='mappedFileSizeCommitLog=8388608 mappedFileSizeConsumeQueue=20000 maxHashSlotNum=1000 maxIndexNum=2000'
# Undecided half messages are found soon, and never given up.
EXCHANGE_SETTINGS="$EXCHANGE_SETTINGS transactionCheckInterval=3000 transactionTimeOut=2000 transactionOpBatchInterval=500 \
transactionCheckMax=1000"

# step NAME COMMAND...: one check.
step() {
    local name=$1 out=$E2E_WORK/step.out
    shift
    if "$@" >"$out" 2>&1; then
        pass "$name" "$(tail -n 1 "$out" | cut -c1-100)"
    else
        fail "$name"
        show_tail "$out"
        return 1
    fi
}

# start_on KIND DIR: the server over the directory with the settings of the exchange. (No quotes: several settings.)
start_on() { server_start "$1" "$2" $EXCHANGE_SETTINGS; }

# same_state FILE: the topics, groups and offsets are those of the file.
same_state() {
    java_run Admin state=swap:swap_group,swap_empty:swap_group >"$1.now" 2>&1
    diff "$1" "$1.now"
}

# store_check KIND DIR [OPTION...]: the offline check of a stopped store; the oracle has no such tool.
store_check() {
    local kind=$1
    shift
    [ "$kind" = crocket ] || { echo 'nothing to check with'; return 0; }
    "$CROCKET" store check "$@"
}

# exchange_check KIND DIR: the same with the sizes of the exchange.
exchange_check() { store_check "$1" --slots 1000 --entries 2000 "$2"; }

# Clean stops: Java, then the server under test, then Java.
exchange_clean() {
    local kind=$1 dir=$E2E_WORK/exchange acked=$E2E_WORK/exchange.acked state=$E2E_WORK/exchange.state
    local name='exchange:'
    step "$name Java opens a new directory" start_on oracle "$dir" || return
    step "$name topics and groups" java_run Admin topic=swap:4,swap_empty:3,swap_later:1,swap_half:3,swap_timed:2 group=swap_group:7 || return
    step "$name Java takes 1000" java_run Produce topic=swap count=1000 acked="$acked" batch=8 || return
    step "$name the group consumes them" java_run ConsumeAll topic=swap group=swap_group expected=1000 || return
    step "$name Java takes 3000 more" java_run Produce topic=swap first=1000 count=3000 acked="$acked" batch=8 || return
    java_run Admin state=swap:swap_group,swap_empty:swap_group >"$state" 2>&1
    step "$name the state is known" grep -q '^queue swap 3 swap_group consumed [1-9]' "$state" || return
    step "$name Java takes delayed messages (30 s)" java_run Produce topic=swap_later count=5 delay=4 acked="$E2E_WORK/later.acked" || return
    step "$name Java keeps undecided half messages" java_run Transact topic=swap_half group=swap_tx leave=0:40 || return
    step "$name Java takes timed messages (20 s)" java_run Produce topic=swap_timed count=20 later=20000 \
        acked="$E2E_WORK/timed.acked" || return
    step "$name Java stops" server_stop oracle "$dir" || return

    step "$name $kind opens the directory of Java" start_on "$kind" "$dir" || return
    step "$name topics, groups and offsets are there" same_state "$state" || return
    step "$name all messages are there, and found by key" java_run ReadAll topic=swap acked="$acked" exact=true || return
    step "$name the group carries on" java_run ConsumeAll topic=swap group=swap_group expected=3000 || return
    step "$name a new group reads by tag" java_run ConsumeAll topic=swap group=swap_tags tags=tag1 expected=1333 || return
    step "$name the delayed messages come" java_run ConsumeAll topic=swap_later group=swap_later_group expected=5 || return
    step "$name the half messages are decided" java_run Transact topic=swap_half group=swap_tx own=40 upto=41 || return
    step "$name $kind keeps undecided half messages" java_run Transact topic=swap_half group=swap_tx leave=42:40 || return
    step "$name the timed messages come" java_run ConsumeAll topic=swap_timed group=swap_timed_group expected=20 || return
    step "$name $kind takes 4000 more" java_run Produce topic=swap first=4000 count=4000 acked="$acked" batch=8 || return
    step "$name $kind takes delayed messages (10 s)" java_run Produce topic=swap_later first=5 count=5 delay=3 \
        acked="$E2E_WORK/later.acked" || return
    step "$name $kind takes timed messages (15 s)" java_run Produce topic=swap_timed first=20 count=20 later=15000 \
        acked="$E2E_WORK/timed.acked" || return
    step "$name $kind creates topics and groups" java_run Admin topic=swap_new:2 group=swap_new_group:3 || return
    step "$name the new topic takes 100" java_run Produce topic=swap_new count=100 acked="$E2E_WORK/new.acked" || return
    java_run Admin state=swap:swap_group,swap_empty:swap_group >"$state" 2>&1
    step "$name $kind stops" server_stop "$kind" "$dir" || return
    step "$name the store is sound" exchange_check "$kind" "$dir"

    step "$name Java opens the directory of $kind" start_on oracle "$dir" || return
    step "$name topics, groups and offsets are there" same_state "$state" || return
    step "$name all messages are there, and found by key" java_run ReadAll topic=swap acked="$acked" exact=true || return
    step "$name also those of the new topic" java_run ReadAll topic=swap_new acked="$E2E_WORK/new.acked" exact=true || return
    step "$name the group carries on" java_run ConsumeAll topic=swap group=swap_group expected=4000 || return
    step "$name the delayed messages come" java_run ConsumeAll topic=swap_later group=swap_later_group expected=5 || return
    step "$name the half messages are decided" java_run Transact topic=swap_half group=swap_tx own=82 upto=83 || return
    step "$name the timed messages come" java_run ConsumeAll topic=swap_timed group=swap_timed_group expected=20 || return
    step "$name Java takes 500 more" java_run Produce topic=swap first=8000 count=500 acked="$acked" batch=8 || return
    step "$name all messages are there" java_run ReadAll topic=swap acked="$acked" exact=true || return
    server_kill oracle "$dir"
}

# killed_while_producing KIND DIR TOPIC FIRST ACKED: produces at full speed, kills the server after two seconds, and expects the
# producer to have got some acknowledgements and then an error.
killed_while_producing() {
    local kind=$1 dir=$2 producer status
    JAVA_RUN=exec java_run Produce topic="$3" first="$4" count=10000000 inflight=256 batch=8 acked="$5" >"$5.out" 2>&1 &
    producer=$!
    remember_pid $producer
    if ! wait_until 90 test -s "$5"; then
        cat "$5.out"
        return 1
    fi
    sleep "${CROCKET_E2E_KILL_AFTER:-2}"
    server_kill "$kind" "$dir" || return 1
    wait "$producer"
    status=$?
    forget_pid $producer
    cat "$5.out"
    [ $status -eq 3 ] && [ -s "$5" ]
}

# kill -9 on either side: Java, then the server under test, then Java, then the server under test again.
exchange_killed() {
    local kind=$1 dir=$E2E_WORK/exchange-killed name='exchange after kill -9:'
    local acked=$E2E_WORK/killed.acked
    step "$name Java opens a new directory" start_on oracle "$dir" || return
    step "$name topic" java_run Admin topic=torn:4 || return
    step "$name Java dies while it takes messages" killed_while_producing oracle "$dir" torn 0 "$acked.1" || return
    step "$name $kind opens the directory of Java" start_on "$kind" "$dir" || return
    step "$name every acknowledged message is there" java_run ReadAll topic=torn acked="$acked.1" || return
    step "$name $kind dies while it takes messages" killed_while_producing "$kind" "$dir" torn 10000000 "$acked.2" || return
    step "$name Java opens the directory of $kind" start_on oracle "$dir" || return
    step "$name every acknowledged message is there" java_run ReadAll topic=torn acked="$acked.1,$acked.2" || return
    step "$name Java dies again" killed_while_producing oracle "$dir" torn 20000000 "$acked.3" || return
    step "$name $kind opens it again" start_on "$kind" "$dir" || return
    step "$name every acknowledged message is there" java_run ReadAll topic=torn acked="$acked.1,$acked.2,$acked.3" || return
    step "$name $kind stops" server_stop "$kind" "$dir" || return
    step "$name the store is sound" exchange_check "$kind" "$dir"
}

# timed_repeats KIND: after kill -9 Java delivers again what was put into the wheel since its checkpoint.
timed_repeats() { if [ "$1" = oracle ]; then echo true; else echo false; fi; }

# The same with messages that wait for their time: whoever opens the directory delivers them.
exchange_timed() {
    local kind=$1 dir=$E2E_WORK/exchange-timed name='exchange of timed messages after kill -9:' acked=$E2E_WORK/exchange-timed.acked
    step "$name Java opens a new directory" start_on oracle "$dir" || return
    step "$name topics" java_run Admin topic=timed_a:2,timed_b:2 || return
    step "$name Java takes 100 (12 s)" java_run Produce topic=timed_a count=100 later=12000 acked="$acked" || return
    step "$name Java dies" server_kill oracle "$dir" || return
    step "$name $kind opens the directory of Java" start_on "$kind" "$dir" || return
    step "$name they come" java_run ConsumeAll topic=timed_a group=timed_group expected=100 repeats=$(timed_repeats "$kind") || return
    step "$name $kind takes 100 (12 s)" java_run Produce topic=timed_b count=100 later=12000 acked="$acked" || return
    step "$name $kind dies" server_kill "$kind" "$dir" || return
    step "$name Java opens the directory of $kind" start_on oracle "$dir" || return
    step "$name they come" java_run ConsumeAll topic=timed_b group=timed_group expected=100 repeats=$(timed_repeats oracle) || return
    server_kill oracle "$dir"
}

# start_shared KIND DIR: queues with few entries share files from the first on. Java does not know the setting.
start_shared() { server_start "$1" "$2" $EXCHANGE_SETTINGS sharedQueuesFrom=0; }

# unshare KIND DIR: gives the queues files of their own; the oracle has nothing else.
unshare() {
    [ "$1" = crocket ] || { echo 'nothing to do'; return 0; }
    "$CROCKET" store unshare --queue-size 20000 "$2"
}

# Queues in shared files, which Java does not know: Java builds its own from the log, or finds them after "store unshare".
exchange_shared() {
    local kind=$1 dir=$E2E_WORK/exchange-shared name='exchange with shared queue files:' acked=$E2E_WORK/shared.acked
    step "$name $kind opens a new directory" start_shared "$kind" "$dir" || return
    step "$name topics" java_run Admin topic=few:8,many:1 || return
    step "$name $kind takes 400" java_run Produce topic=few count=400 acked="$acked.few" batch=8 || return
    step "$name a queue gets 300" java_run Produce topic=many count=300 acked="$acked.many" batch=8 || return
    step "$name $kind stops" server_stop "$kind" "$dir" || return
    step "$name the store is sound" exchange_check "$kind" "$dir"
    step "$name Java opens the directory of $kind" start_on oracle "$dir" || return
    step "$name all messages are there" java_run ReadAll topic=few acked="$acked.few" exact=true || return
    step "$name also of the long queue" java_run ReadAll topic=many acked="$acked.many" exact=true || return
    step "$name Java takes 80 more" java_run Produce topic=few first=400 count=80 acked="$acked.few" batch=8 || return
    step "$name Java stops" server_stop oracle "$dir" || return
    step "$name $kind opens the directory of Java" start_shared "$kind" "$dir" || return
    step "$name topic" java_run Admin topic=other:8 || return
    step "$name $kind takes 80 more" java_run Produce topic=few first=480 count=80 acked="$acked.few" batch=8 || return
    step "$name another topic takes 80" java_run Produce topic=other count=80 acked="$acked.other" batch=8 || return
    step "$name all messages are there" java_run ReadAll topic=few acked="$acked.few" exact=true || return
    step "$name $kind stops" server_stop "$kind" "$dir" || return
    step "$name the queues get their own files" unshare "$kind" "$dir" || return
    step "$name there is no other" test ! -e "$dir/sharedqueues" -a ! -e "$dir/abort" || return
    step "$name the store is sound" exchange_check "$kind" "$dir"
    step "$name Java opens the directory" start_on oracle "$dir" || return
    step "$name all messages are there" java_run ReadAll topic=few acked="$acked.few" exact=true || return
    step "$name also of the other topic" java_run ReadAll topic=other acked="$acked.other" exact=true || return
    server_kill oracle "$dir"
}

part_exchange() {
    build_java
    exchange_shared "$1"
    kill_leftovers
    exchange_clean "$1"
    kill_leftovers
    exchange_killed "$1"
    kill_leftovers
    exchange_timed "$1"
    kill_leftovers
}
