#!/bin/sh
# End-to-end tests with real, unmodified clients.
#
#   tests/e2e/run.sh [oracle|crocket] [PART...]
#
# The first argument is the server under test: crocket (default; executable in CROCKET or build/crocket) or oracle, Apache RocketMQ 5.3.3
# from its Maven artifacts, which shows that the expectations themselves are right. Parts, all of them if none is named:
#
#   java      JUnit suite of the Java client and admin API, also with binary headers
#   go        suite of the Go client
#   admin     the Java admin tool: its commands print what is there
#   refusals  bad requests of every feature get the code and the text that clients know, and nothing else suffers
#   filter    consumers that filter by SQL92
#   filterserver  consumers that bring their own code, with the clients of older releases that can
#   exchange  one store directory opened in turn by Java and by the server under test, after clean stops and after kill -9
#   timer     messages with a delivery time over stops and kill -9
#   stream    batch topics and light message queues, and one store directory with both opened in turn by Java and the server under test
#   restart   every feature with a restart in its middle: clean, kill -9, from Java to the server under test and back
#   rebuild   lost folders are built again, while old messages are read
#   kill      kill -9 during production, with asynchronous and synchronous flush
#
# Needs a JDK 11 or later, Maven and Go; downloads only through them. Everything it makes is under build/e2e.
# CROCKET_E2E_TEST=Class#method runs only that of the java part. CROCKET_E2E_PORT_BASE moves the ports.
# CROCKET_E2E_KILL_CYCLES: see parts/kill.sh. CROCKET_E2E_KEEP=yes leaves the store directories behind.
set -u

E2E_DIR=$(cd "$(dirname "$0")" && pwd)
. "$E2E_DIR/lib.sh"
. "$E2E_DIR/oracle.sh"
. "$E2E_DIR/crocket.sh"
E2E_PARTS='java go admin refusals filter filterserver exchange timer stream compaction restart rebuild kill'
for part in $E2E_PARTS; do . "$E2E_DIR/parts/$part.sh"; done

kind=crocket
case ${1:-} in
oracle | crocket)
    kind=$1
    shift
    ;;
-h | --help)
    sed -n '2,/^set -u/p' "$0" | sed '/^set -u/d; s/^# \{0,1\}//'
    exit 0
    ;;
esac
[ $# -gt 0 ] || set -- $E2E_PARTS
for part; do
    case " $E2E_PARTS " in
    *" $part "*) ;;
    *) die "there is no part named $part; parts: $E2E_PARTS" ;;
    esac
done
[ "$kind" = oracle ] || [ -x "$CROCKET" ] || die "$CROCKET is not there or not executable: build it first or set CROCKET"

E2E_WORK=$E2E_BUILD/work-$kind
rm -rf "$E2E_WORK"
mkdir -p "$E2E_WORK" "$E2E_BUILD/home"
trap 'kill_leftovers' EXIT
trap 'exit 130' INT TERM HUP
# A sanitizer build reports into files, so that no report is lost with a server that is killed.
ASAN_OPTIONS="log_path=$E2E_WORK/sanitizer ${ASAN_OPTIONS:-}"
UBSAN_OPTIONS="log_path=$E2E_WORK/sanitizer ${UBSAN_OPTIONS:-}"
TSAN_OPTIONS="log_path=$E2E_WORK/sanitizer ${TSAN_OPTIONS:-}"
export ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS
pick_ports
begin=$(seconds)
for part; do
    "part_$part" "$kind"
    kill_leftovers # a part that gave up leaves its server, and that its ports
done
for report in "$E2E_WORK"/sanitizer.*; do
    [ -e "$report" ] || continue
    fail "no sanitizer report" "$report"
    show_tail "$report" 60
done
if [ "$E2E_FAILED" -eq 0 ] && [ "${CROCKET_E2E_KEEP:-no}" != yes ]; then rm -rf "$E2E_WORK"; fi
say "$E2E_PASSED passed, $E2E_FAILED failed  ($kind: $*, $(($(seconds) - begin)) s)"
[ "$E2E_FAILED" -eq 0 ]
