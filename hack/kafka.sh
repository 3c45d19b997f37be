#!/usr/bin/env bash
# One real Apache Kafka node (KRaft, no Docker) for the tests that want one.
#
#   hack/kafka.sh run COMMAND…   start a broker, run COMMAND with WEIR_TEST_BROKER=host:port, stop the broker
#   hack/kafka.sh check          say whether a broker could be started here
#   hack/kafka.sh fetch          only download the jars
#   hack/kafka.sh libs           the same, and print the folder that they are in
#
# Needs Java 17 or newer, and Maven for the first download. Everything is kept below .build/kafka: the jars in
# libs-VERSION, each run's data in run.*, which is removed when the run ends.
# WEIR_SKIP_BROKER=1 runs COMMAND without a broker; WEIR_TEST_BROKER=host:port, if set already, is used as it is.
# WEIR_TEST_BROKER_PORT=port starts the broker on that port, and its controller on the next one; else two free ones are chosen.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=4.3.1
base=$root/.build/kafka
libs=$base/libs-$version
heap=${WEIR_TEST_BROKER_HEAP:-512m}

say() { printf 'kafka.sh: %s\n' "$*" >&2; }

java_version() { # the major version of java, or nothing
    command -v java >/dev/null || return 0
    java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1
}

check() {
    local missing=() have
    have=$(java_version)
    if [ -z "$have" ]; then
        missing+=("Java 17 or newer (Debian, Ubuntu: apt-get install default-jre-headless; macOS: brew install openjdk)")
    elif [ "$have" -lt 17 ]; then
        missing+=("Java 17 or newer: $(command -v java) is version $have (Debian, Ubuntu: apt-get install default-jre-headless)")
    fi
    if [ ! -e "$libs/.complete" ] && ! command -v mvn >/dev/null; then
        missing+=("Maven, to download Kafka $version once (Debian, Ubuntu: apt-get install maven; macOS: brew install maven)")
    fi
    [ ${#missing[@]} -eq 0 ] && return 0
    say "the tests against a real Kafka broker need:"
    printf '  - %s\n' "${missing[@]}" >&2
    say "or leave them out with WEIR_SKIP_BROKER=1, or name a broker of your own with WEIR_TEST_BROKER=host:port."
    return 1
}

fetch() {
    [ -e "$libs/.complete" ] && return 0
    check
    say "downloading Kafka $version (about 45 MB, once)"
    rm -rf "$libs"
    mkdir -p "$libs"
    mvn -q -B -f "$root/hack/kafka/pom.xml" dependency:copy-dependencies \
        -Dkafka.version="$version" -DincludeScope=runtime -DoutputDirectory="$libs" </dev/null >&2
    touch "$libs/.complete"
}

arguments() { # the command line of a process, where there is /proc or ps
    tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null || ps -p "$1" -o args= 2>/dev/null || true
}

# A broker whose script was killed with SIGKILL is still there: end it before another is started.
reap() {
    local dir owner pid
    for dir in "$base"/run.*; do
        [ -d "$dir" ] || continue
        owner=$(cat "$dir/owner" 2>/dev/null || true)
        [ -n "$owner" ] && arguments "$owner" | grep -q kafka.sh && continue
        pid=$(cat "$dir/pid" 2>/dev/null || true)
        if [ -n "$pid" ] && arguments "$pid" | grep -qF "$dir/server.properties"; then
            say "ending broker $pid of an earlier run"
            kill -KILL "$pid" 2>/dev/null || true
        fi
        rm -rf "$dir"
    done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Two ports below the range from which the system takes those of outgoing connections.
choose_ports() {
    local p
    if [ -n "${WEIR_TEST_BROKER_PORT:-}" ]; then
        port=$WEIR_TEST_BROKER_PORT controller=$((WEIR_TEST_BROKER_PORT + 1))
        for p in "$port" "$controller"; do
            if listens "$p"; then
                say "port $p is taken: choose another with WEIR_TEST_BROKER_PORT, which takes the port after it too"
                return 1
            fi
        done
        return
    fi
    while :; do
        p=$((20000 + RANDOM % 6000 * 2))
        if ! listens "$p" && ! listens $((p + 1)); then
            port=$p controller=$((p + 1))
            return
        fi
    done
}

configure() {
    cat >"$run/server.properties" <<PROPERTIES
# This node is its own controller.
node.id=1
process.roles=controller,broker
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listeners=CONTROLLER://127.0.0.1:$controller,PLAINTEXT://127.0.0.1:$port

# Folders, and a thread or two for each kind of work: it shares the machine with the tests.
log.dirs=$run/data
background.threads=2
num.io.threads=4
num.network.threads=2

# A topic that a test forgot to create, or that Weir ought to have created, must be an error.
auto.create.topics.enable=false

# Nobody to copy to.
default.replication.factor=1
share.coordinator.state.topic.replication.factor=1
transaction.state.log.replication.factor=1
offsets.topic.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.min.isr=1

# Few partitions: it starts and stops fast.
transaction.state.log.num.partitions=4
offsets.topic.num.partitions=4
num.partitions=1

# Tests kill members and wait for the others to take over: nothing waits longer than it must.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.min.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0

# Compaction runs within a test's patience.
log.retention.check.interval.ms=10000
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.backoff.ms=1000
PROPERTIES
}

# start fails only if the broker ended at once, as when another process took its port in between.
start() {
    local deadline
    run=$(mktemp -d "$base/run.XXXXXX")
    echo $$ >"$run/owner"
    choose_ports
    configure
    java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$libs/*" kafka.tools.StorageTool \
        format -t "$(cluster_id)" -c "$run/server.properties" >"$run/format.log" 2>&1 ||
        { cat "$run/format.log" >&2; return 1; }
    java "-Xmx$heap" "-Xms$heap" -XX:+UseSerialGC -Xshare:auto -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
        -cp "$libs/*" kafka.Kafka "$run/server.properties" </dev/null >"$run/broker.log" 2>&1 &
    broker=$!
    echo "$broker" >"$run/pid"
    deadline=$((SECONDS + 60))
    until listens "$port"; do
        if ! kill -0 "$broker" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 20 "$run/broker.log" >&2
            stop
            return 1
        fi
        sleep 0.05
    done
}

cluster_id() { head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | cut -c 1-22; }

stop() {
    if [ -n "${broker:-}" ]; then
        kill -TERM "$broker" 2>/dev/null || true
        for _ in $(seq 100); do
            kill -0 "$broker" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$broker" 2>/dev/null || true
        wait "$broker" 2>/dev/null || true
        broker=
    fi
    [ -n "${run:-}" ] && rm -rf "$run"
    run=
}

with_broker() {
    if [ "${WEIR_SKIP_BROKER:-}" = 1 ]; then
        say "WEIR_SKIP_BROKER=1: the tests against a real Kafka broker are left out"
        env -u WEIR_TEST_BROKER "$@"
        return
    fi
    if [ -n "${WEIR_TEST_BROKER:-}" ]; then
        say "using the broker at $WEIR_TEST_BROKER"
        "$@"
        return
    fi
    check
    fetch
    mkdir -p "$base"
    reap
    trap stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    local began=$SECONDS status=0
    start || start || start
    say "Kafka $version at 127.0.0.1:$port after $((SECONDS - began)) s"
    # In the background and with a process group of its own: a signal to this script ends the command and all that
    # it started, at once.
    set -m
    WEIR_TEST_BROKER=127.0.0.1:$port "$@" &
    local command=$!
    set +m
    trap 'kill -TERM -- -$command 2>/dev/null; wait $command 2>/dev/null; exit 143' TERM HUP
    trap 'kill -INT -- -$command 2>/dev/null; wait $command 2>/dev/null; exit 130' INT
    wait "$command" || status=$?
    if ! kill -0 "$broker" 2>/dev/null; then
        say "the broker ended before the command did; its last lines:"
        tail -n 20 "$run/broker.log" >&2
        [ "$status" -ne 0 ] || status=1
    fi
    return "$status"
}

case ${1:-} in
run)
    shift
    [ $# -gt 0 ] || { say "run what?"; exit 2; }
    with_broker "$@"
    ;;
check) check ;;
fetch) fetch ;;
libs)
    fetch
    echo "$libs"
    ;;
*)
    sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 2
    ;;
esac
