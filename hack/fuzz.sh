#!/usr/bin/env bash
# Every fuzz target for FUZZTIME each (30s), FUZZJOBS at once (as many as there are processors), each on one processor.
#
#   hack/fuzz.sh [PACKAGE…]      all targets of the packages, ./... where none are given; FUZZ=REGEX chooses by name
#
# A corpus that an earlier run left behind is not used: seeds are those of the targets and of testdata/fuzz. Prints how often each
# target ran. An input that fails is printed, stays in the package's testdata/fuzz, where go test runs it again, and
# makes this exit with 1.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
go=${GO:-go}

# one DIR BINARY TARGET: runs a target in its package's folder.
one() {
    local dir=$1 binary=$2 target=$3 log status=0 name guard
    log=$(mktemp "$work/log.XXXXXX")
    name=${dir#"$root"/}
    cd "$dir"
    guard=()
    command -v timeout >/dev/null && guard=(timeout -k 10 30m) # an input that never ends would hang the fuzzer, too
    GOMAXPROCS=1 ${guard[@]+"${guard[@]}"} "$binary" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$FUZZTIME" -test.fuzzminimizetime 20x \
        -test.parallel 1 -test.fuzzcachedir "$work/corpus/$name" >"$log" 2>&1 </dev/null || status=$?
    printf '%-24s %-18s %10d execs\n' "$name" "$target" "$(sed -n 's/.*execs: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)"
    [ "$status" -eq 0 ] && return 0
    # The fuzzer may take the end of its own time for a failure (golang/go#75804). A real one has an input, or a report of its
    # worker's death.
    if grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input|panic|fuzzing process|DATA RACE|_test\.go:' "$log"; then
        printf '%-24s %-18s ended by its own deadline, which counts as an end\n' "$name" "$target"
        return 0
    fi
    grep -v '^fuzz: elapsed' "$log"
    sed -n 's/.*Failing input written to \(testdata[^ ]*\).*/\1/p' "$log" | while read -r input; do
        printf 'reproducer %s/%s:\n' "$name" "$input"
        cat "$input"
        printf 'run it again: go test -run %s ./%s\n' "$target/$(basename "$input")" "$name"
    done
    return 1
}

if [ "${1:-}" = --one ]; then
    shift
    one "$@"
    exit
fi

[ $# -gt 0 ] || set -- ./...
export FUZZTIME=${FUZZTIME:-30s}
FUZZJOBS=${FUZZJOBS:-$(getconf _NPROCESSORS_ONLN)}
mkdir -p "$root/.build"
work=$(mktemp -d "$root/.build/fuzz.XXXXXX")
export work
trap 'rm -rf "$work"' EXIT

cd "$root"
"$go" list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' "$@" | while read -r dir; do
    targets=$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go | { grep -E "${FUZZ:-.}" || true; } | sort)
    [ -n "$targets" ] || continue
    binary=$work/$(printf '%s' "${dir#"$root"/}" | tr / _).test
    "$go" test -c -fuzz=. -o "$binary" "$dir" # built to be guided by coverage
    printf '%s\n' "$targets" | while read -r target; do printf '%s\n' "$dir" "$binary" "$target"; done
done >"$work/targets"
[ -s "$work/targets" ] || { echo "fuzz.sh: no target is called like that" >&2; exit 1; }

status=0
xargs -n 3 -P "$FUZZJOBS" "$root/hack/fuzz.sh" --one <"$work/targets" | tee "$work/out" || status=1
awk '/ execs$/ {n++; sum += $(NF-1)} END {printf "%d targets, %d execs, %s each\n", n, sum, "'"$FUZZTIME"'"}' "$work/out"
exit "$status"
