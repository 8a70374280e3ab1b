#!/bin/bash
# run_fuzzers.sh SECONDS FUZZER...: runs each for that long, from its seeds in tests/fuzz/corpus/NAME. What it finds new
# goes to build/fuzz/corpus, an input that crashes it to build/fuzz/crashes.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift
status=0
for fuzzer in "$@"; do
    name=${fuzzer##*/}
    log=build/fuzz/$name.log
    corpora=("build/fuzz/corpus/$name")
    [ ! -d "tests/fuzz/corpus/$name" ] || corpora+=("tests/fuzz/corpus/$name")
    mkdir -p "build/fuzz/corpus/$name" build/fuzz/crashes
    echo "fuzzing $name for $seconds s"
    if ! "$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -artifact_prefix="build/fuzz/crashes/$name-" \
        "${corpora[@]}" >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "FAILED: $name (all of it in $log)"
        status=1
    fi
done
exit $status
