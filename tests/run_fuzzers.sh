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
    mkdir -p "build/fuzz/corpus/$name" build/fuzz/crashes "tests/fuzz/corpus/$name"
    echo "fuzzing $name for $seconds s"
    "$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -artifact_prefix="build/fuzz/crashes/$name-" \
        -print_final_stats=0 -verbosity=0 "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" || { echo "FAILED: $name"; status=1; }
done
exit $status
