# Medians, ratios and verdicts. Sourced by bench.sh.

# work | metric | unit | which way is better | wanted ratio to Java | wanted value | divide by (for the unit shown)
report_rows() {
    cat <<'END'
produce-1x1|rate|messages/s|up|3.3||1
produce-1x1|p50|us|down|||1
produce-4x32|rate|messages/s|up|6||1
produce-4x32|p99|us|down|8||1
produce-4x32|cpu|CPU s/million|down||1.5|1
produce-4x256|rate|messages/s|up|6||1
produce-4x256|p99|us|down|8||1
produce-128|rate|messages/s|up|8||1
produce-128|cpu|CPU s/million|down|||1
produce-batch|rate|messages/s|up|3||1
produce-batch|cpu|CPU s/million|down|||1
consume-warm|rate|messages/s|up|2.5||1
consume-warm|cpu|CPU s/million|down||0.35|1
consume-cold|rate|messages/s|up|2.5||1
e2e|p50|us|down|8||1
e2e|p99|us|down|10||1
e2e|p999|us|down|8||1
e2e|cpu|CPU s/million|down|8||1
sync-1x1|rate|messages/s|up|6||1
sync-64x4|rate|messages/s|up|5||1
sync-64x4|p99|us|down|5||1
start|ms|ms|down||50|1
kill|ms|ms|down||300|1
memory|kib|MiB|down||16|1024
topics|ms|s|down||5|1000
topics|kib|MiB|down||200|1024
topics|restart|s|down||2|1000
topics|p50|us|down|||1
async-256|rate|messages/s|up|||1
e2e-30k|p50|us|down|||1
e2e-30k|p99|us|down|||1
e2e-30k|p999|us|down|||1
e2e-30k|max|us|down|||1
e2e-30k-cold|p50|us|down|||1
e2e-30k-cold|p99|us|down|||1
e2e-30k-cold|p999|us|down|||1
e2e-30k-cold|max|us|down|||1
e2e-30k-cold|times-alone|p99.9/p99.9|down||2|1
e2e-30k-writeback|p50|us|down|||1
e2e-30k-writeback|p99|us|down|||1
e2e-30k-writeback|p999|us|down|||1
e2e-30k-writeback|max|us|down|||1
e2e-30k-writeback|times-alone|p99.9/p99.9|down|||1
written-async|amplification|bytes/byte|down|||1
disk|p50|us|down|||1
disk|p999|us|down|||1
sync-1|rate|messages/s|up|||1
sync-1|p50|us|down|||1
sync-1|p99|us|down|||1
sync-1|p999|us|down|||1
sync-1|max|us|down|||1
sync-1|per-fdatasync|p99.9/p99.9|down||2|1
sync-16|rate|messages/s|up|||1
sync-16|p50|us|down|||1
sync-16|p99|us|down|||1
sync-16|p999|us|down|||1
sync-16|max|us|down|||1
sync-16|per-fdatasync|p99.9/p99.9|down||2|1
sync-16-128|rate|messages/s|up|||1
sync-16-128|p50|us|down|||1
sync-16-128|p99|us|down|||1
sync-16-128|p999|us|down|||1
sync-16-128|max|us|down|||1
sync-16-128|per-fdatasync|p99.9/p99.9|down||2|1
sync-256|rate|messages/s|up|||1
sync-256|p50|us|down|||1
sync-256|p99|us|down|||1
sync-256|p999|us|down|||1
sync-256|max|us|down|||1
sync-256|per-fdatasync|p99.9/p99.9|down||2|1
sync-256|of-async|rate/rate|up||0.5|1
sync-1024|rate|messages/s|up|||1
sync-1024|p50|us|down|||1
sync-1024|p99|us|down|||1
sync-1024|p999|us|down|||1
sync-1024|max|us|down|||1
sync-1024|per-fdatasync|p99.9/p99.9|down||2|1
written-sync|amplification|bytes/byte|down|||1
transaction|rate|messages/s|up|4||1
transaction|cpu|CPU s/million|down|||1
transaction|p99|us|down|||1
pop-ack|rate|messages/s|up|5||1
pop-ack|cpu|CPU s/million|down|||1
pop-batch-ack|rate|messages/s|up|5||1
pop-batch-ack|cpu|CPU s/million|down|||1
orderly|rate|messages/s|up|3||1
orderly|cpu|CPU s/million|down|||1
sql-none|rate|messages/s|up|5||1
sql-none|cpu|CPU s/million|down|||1
sql-none|matched|messages|up|||1
sql-some|rate|messages/s|up|5||1
sql-some|cpu|CPU s/million|down|||1
sql-some|matched|messages|up|||1
sql-told|rate|messages/s|up|||1
sql-told|cpu|CPU s/million|down|||1
sql-told|matched|messages|up|||1
sql-told-cold|rate|messages/s|up|||1
sql-told-cold|cpu|CPU s/million|down|||1
sql-told-cold|matched|messages|up|||1
timer|p50|ms|down|||1000
timer|p99|ms|down|||1000
timer|p999|ms|down|||1000
timer|max|ms|down||1000|1000
timer|cpu|CPU s/million|down|||1
END
}

# report RESULTS JSON RUNS
report() {
    report_rows >"$BENCH_WORK/rows"
    awk -v json="$2" -v runs="$3" -v kernel="$(uname -r)" -v cores="$(getconf _NPROCESSORS_ONLN)" -v when="$(date -u +%Y-%m-%dT%H:%M:%SZ)" '
    function median(key,    n, i, j, t, v) {
        n = split(values[key], v, " ")
        if (n == 0) return ""
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
    }
    # The ratio of each run, since the machine drifts over an hour: both of a run saw about the same machine.
    function paired(work, metric, up,    a, b, n, i, list) {
        n = split(values["oracle" SUBSEP work SUBSEP metric], a, " ")
        if (n == 0 || n != split(values["crocket" SUBSEP work SUBSEP metric], b, " ")) return ""
        for (i = 1; i <= n; i++)
            if (a[i] > 0 && b[i] > 0) list = list " " (up ? b[i] / a[i] : a[i] / b[i])
        values["ratios"] = list
        return median("ratios")
    }
    function sum(key,    n, i, v, s) { n = split(values[key], v, " "); for (i = 1; i <= n; i++) s += v[i]; return s + 0 }
    function shown(x) { return x == "" ? "-" : x >= 1000 ? sprintf("%.0f", x) : x >= 10 ? sprintf("%.1f", x) : sprintf("%.2f", x) }
    function number(x) { return x == "" ? "null" : x }
    FILENAME != ARGV[2] && $3 == "stolen" { stolen[$1] += $4; measured[$1]++ }
    FILENAME != ARGV[2] { if (NF == 4) values[$1 SUBSEP $2 SUBSEP $3] = values[$1 SUBSEP $2 SUBSEP $3] " " $4; next }
    {
        if (FNR == 1) {
            printf "\n%-17s %-13s %-14s %12s %12s %9s  %-14s\n", "work", "figure", "unit", "Java 5.3.3", "Crocket", "ratio", "wanted"
            printf "{\"when\":\"%s\",\"kernel\":\"%s\",\"cores\":%d,\"runs\":%d,\"results\":[", when, kernel, cores, runs >json
        }
        split($0, r, "|")
        java = median("oracle" SUBSEP r[1] SUBSEP r[2]); ours = median("crocket" SUBSEP r[1] SUBSEP r[2])
        if (java == "" && ours == "") next
        if (java != "") java /= r[7]
        if (ours != "") ours /= r[7]
        ratio = paired(r[1], r[2], r[4] == "up")
        want = r[5] != "" ? r[5] "x" : r[6] != "" ? (r[4] == "up" ? ">= " : "<= ") r[6] : ""
        verdict = ""
        if (r[5] != "" && ratio != "") verdict = ratio >= r[5] ? "reached" : "short"
        if (r[6] != "" && ours != "") verdict = (r[4] == "up" ? ours >= r[6] : ours <= r[6]) ? "reached" : "short"
        failed = ""
        if (sum("oracle" SUBSEP r[1] SUBSEP "errors")) failed = failed " " sum("oracle" SUBSEP r[1] SUBSEP "errors") " errors of Java"
        if (sum("crocket" SUBSEP r[1] SUBSEP "errors")) failed = failed " " sum("crocket" SUBSEP r[1] SUBSEP "errors") " errors of Crocket"
        if (failed != "") verdict = "void:" failed
        printf "%-17s %-13s %-14s %12s %12s %9s  %-10s %s\n", r[1], r[2], r[3], shown(java), shown(ours), ratio == "" ? "-" : sprintf("%.2fx", ratio), want, verdict
        printf "%s\n{\"work\":\"%s\",\"figure\":\"%s\",\"unit\":\"%s\",\"java\":%s,\"crocket\":%s,\"ratio\":%s,\"wanted\":\"%s\",\"verdict\":\"%s\"}", any++ ? "," : "", r[1], r[2], r[3], number(java), number(ours), number(ratio), want, verdict >json
    }
    END {
        printf "\n]}\n" >json
        if (measured["oracle"]) printf "The host took %.1f %% of the processors while Java was measured", stolen["oracle"] / measured["oracle"]
        if (measured["crocket"]) printf "%s %.1f %% while Crocket was", measured["oracle"] ? "," : "The host took", stolen["crocket"] / measured["crocket"]
        if (measured["oracle"] || measured["crocket"]) printf " (mean of the works).\n"
    }
    ' "$1" "$BENCH_WORK/rows"
}
