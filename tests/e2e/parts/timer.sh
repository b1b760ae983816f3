# Messages with a delivery time over stops and deaths of the server: none is lost. Sourced by run.sh after exchange.sh, whose step it uses.

# timed TOPIC MS: 300 messages of the topic for later. Each death gets a topic of its own: a broker forgets the last seconds of offsets.
timed() { java_run Produce topic="$1" count=300 later="$2" acked="$E2E_WORK/timer.acked"; }

# timed_come TOPIC [ARGS...]: they come, each once.
timed_come() {
    local topic=$1
    shift
    java_run ConsumeAll topic="$topic" group="${topic}_group" expected=300 "$@"
}

timed_over_stops() {
    local kind=$1 dir=$E2E_WORK/timer name='timer:' repeats
    repeats=$(timed_repeats "$kind")
    step "$name the server starts" server_start "$kind" "$dir" || return
    step "$name topic" java_run Admin topic=timed_1:2,timed_2:2,timed_3:2 || return
    step "$name 300 messages for 3 s later" timed timed_1 3000 || return
    step "$name kill -9 while they wait" server_kill "$kind" "$dir" || return
    sleep 3
    step "$name the server starts after their time" server_start "$kind" "$dir" || return
    step "$name all come" timed_come timed_1 repeats=$repeats || return
    step "$name 300 more for 6 s later" timed timed_2 6000 || return
    step "$name kill -9 while they wait" server_kill "$kind" "$dir" || return
    step "$name the server starts before their time" server_start "$kind" "$dir" || return
    step "$name all come" timed_come timed_2 repeats=$repeats || return
    step "$name 300 more for 3 s later" timed timed_3 3000 || return
    step "$name the server stops" server_stop "$kind" "$dir" || return
    sleep 3
    step "$name the server starts after their time" server_start "$kind" "$dir" || return
    step "$name all come, once" timed_come timed_3 || return
    step "$name the server stops" server_stop "$kind" "$dir"
}

part_timer() {
    build_java
    timed_over_stops "$1"
    kill_leftovers
}
