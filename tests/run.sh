#!/bin/bash
# run.sh SUITE...: runs test suites and ends with one line "N passed, N failed"; fails when anything failed. A suite that
# cannot even report is one failed test. Suites: unit, store, checks, integration, long. The Makefile passes BUILD_DIR,
# UNIT_TESTS, STORE_TESTS (programs), CC and PYTHON.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT
export BUILD_DIR="${BUILD_DIR:-build/release}"

count() {
    passed=$((passed + $1))
    failed=$((failed + $2))
}

# number PATTERN: the sum of the numbers that a pattern with one group finds in the output.
number() {
    sed -nE "s/$1/\1/p" "$output" | awk '{ n += $1 } END { print n + 0 }'
}

# A cmocka program: its own report counts; a crash is one failure more.
cmocka_program() {
    local status good bad
    "$@" >"$output" 2>&1
    status=$?
    good=$(number '^\[  PASSED  \] ([0-9]+) test\(s\)\.$')
    bad=$(number '^\[  FAILED  \] ([0-9]+) test\(s\),.*$')
    if [ $status -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    if [ "$bad" -gt 0 ]; then
        cat "$output"
        echo "FAILED: ${*: -1} (status $status)"
    fi
    count "$good" "$bad"
}

check() {
    if "$@" >"$output" 2>&1; then
        count 1 0
        echo "ok: $*"
    else
        count 0 1
        cat "$output"
        echo "FAILED: $*"
    fi
}

run_unit() {
    local program
    for program in $UNIT_TESTS; do cmocka_program "$program"; done
}

run_store() {
    local program
    for program in $STORE_TESTS; do cmocka_program tests/with_servers.sh "$program"; done
}

run_checks() {
    check tools/check_layers.sh
    # shellcheck disable=SC2046 # flags are separate words
    check tools/check_headers.sh $(pkg-config --cflags libpq hiredis libcjson libcrypto libdeflate libxxhash)
    check tools/check_docs.sh "$BUILD_DIR"
    check shellcheck tools/*.sh tests/*.sh sql/*.sh .ci/run
    check tools/check_units.sh "$BUILD_DIR"
}

# What pytest's XML report says: tests="12" and the like.
report() {
    sed -nE "s/.*<testsuite [^>]*\b$1=\"([0-9]+)\".*/\1/p" "$output"
}

run_pytest() {
    local status bad
    : >"$output"
    PYTHONDONTWRITEBYTECODE=1 "$PYTHON" -m pytest -p no:cacheprovider -q --durations=5 --junitxml="$output" "$@"
    status=$?
    [ $status -ne 5 ] || return 0 # nothing was selected
    bad=$(($(report failures) + $(report errors)))
    if [ $status -ne 0 ] && [ $bad -eq 0 ]; then bad=1; fi
    count $(($(report tests) - $(report failures) - $(report errors) - $(report skipped))) $bad
}

for suite in "$@"; do
    echo "== $suite"
    before=$((passed + failed))
    case $suite in
    unit | store | checks) "run_$suite" ;;
    # Two at a time, each with servers of its own, file by file: they wait for most of their time.
    integration) run_pytest tests/integration -m 'not long' -n 2 --dist loadfile ;;
    long) run_pytest tests/integration -m long ;;
    *) echo "run.sh: there is no suite '$suite'" && exit 2 ;;
    esac
    echo "$suite: $((passed + failed - before)) tests"
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
