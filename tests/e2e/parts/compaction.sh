# Compaction topics with small files: compacted while running, over stops and deaths, and by both servers in turn. Sourced by run.sh after
# exchange.sh, whose step it uses.

# Files of 100 messages; a queue is compacted every 2 to 3 s.
COMPACTION_SETTINGS='compactionCqMappedFileSize=4600 compactionMappedFileSize=32768 compactionScheduleInternal=1000 mappedFileSizeCommitLog=8388608'

compaction_on() { server_start "$1" "$2" $COMPACTION_SETTINGS; }

# compacted ARGS...: the topic with 20 keys.
compacted() { java_run Compacted topic=values keys=20 "$@"; }

# compaction_check KIND DIR
compaction_check() { store_check "$1" "$2"; }

# compacted_files DIR: the compaction log has at most three files: what was kept, what came since.
compacted_files() {
    ls "$1"/compaction/compactionLog/values/0
    [ "$(find "$1"/compaction/compactionLog/values/0 -type f | wc -l)" -le 3 ] &&
        [ "$(find "$1"/compaction/compactionCq/values/0 -type f | wc -l)" -le 3 ]
}

compaction_alone() {
    local kind=$1 dir=$E2E_WORK/compaction name='compaction:'
    step "$name the server starts" compaction_on "$kind" "$dir" || return
    step "$name topic" compacted create=true || return
    step "$name 1500 messages of 20 keys" compacted send=1500 || return
    step "$name the newest of each stay" compacted count=1500 most=220 || return
    step "$name a push consumer gets them" compacted count=1500 group=values_group || return
    step "$name kill -9" server_kill "$kind" "$dir" || return
    # A Java broker that dies between renaming a file and deleting it does not start again.
    [ "$kind" = crocket ] || find "$dir/compaction" -name '*.delete' -exec rm {} +
    step "$name the server starts" compaction_on "$kind" "$dir" || return
    step "$name they are there" compacted count=1500 most=220 || return
    step "$name 1000 more" compacted send=1000 first=1500 || return
    step "$name the newest of each stay" compacted count=2500 most=220 || return
    step "$name the server stops" server_stop "$kind" "$dir" || return
    step "$name the files of before are gone" compacted_files "$dir"
    step "$name the store is sound" compaction_check "$kind" "$dir"
    step "$name the server starts" compaction_on "$kind" "$dir" || return
    step "$name they are there" compacted count=2500 most=220 || return
    step "$name the server stops" server_stop "$kind" "$dir"
}

# Java, the server under test, Java, and after kill -9 the server under test again.
compaction_exchange() {
    local kind=$1 dir=$E2E_WORK/compaction-swap name='exchange of compaction topics:'
    step "$name Java opens a new directory" compaction_on oracle "$dir" || return
    step "$name topic" compacted create=true || return
    step "$name Java takes 1000" compacted send=1000 || return
    step "$name Java compacts" compacted count=1000 most=220 || return
    step "$name Java takes 130 more" compacted send=130 first=1000 || return
    step "$name Java stops" server_stop oracle "$dir" || return
    step "$name $kind opens the directory of Java" compaction_on "$kind" "$dir" || return
    step "$name what Java kept is there" compacted count=1130 most=350 || return
    step "$name $kind takes 1000" compacted send=1000 first=1130 || return
    step "$name $kind compacts" compacted count=2130 most=220 || return
    step "$name $kind takes 130 more" compacted send=130 first=2130 || return
    step "$name $kind stops" server_stop "$kind" "$dir" || return
    step "$name the store is sound" compaction_check "$kind" "$dir"
    step "$name Java opens the directory of $kind" compaction_on oracle "$dir" || return
    step "$name what $kind kept is there" compacted count=2260 most=350 || return
    step "$name Java takes 1000" compacted send=1000 first=2260 || return
    step "$name Java compacts" compacted count=3260 most=220 || return
    step "$name Java dies" server_kill oracle "$dir" || return
    step "$name $kind opens it again" compaction_on "$kind" "$dir" || return
    step "$name all is there" compacted count=3260 most=220 || return
    step "$name $kind takes 500" compacted send=500 first=3260 || return
    step "$name $kind dies" server_kill "$kind" "$dir" || return
    step "$name Java opens it again" compaction_on oracle "$dir" || return
    step "$name all is there" compacted count=3760 most=720 || return
    server_kill oracle "$dir"
}

part_compaction() {
    build_java
    compaction_alone "$1"
    kill_leftovers
    compaction_exchange "$1"
    kill_leftovers
}
