#!/bin/bash
# check_docs.sh BUILD_DIR: what `make docs` generates is up to date, every route of the responder's table appears in docs/api.md and
# docs/openapi.yaml, and every test that docs/reliability.md names exists.
set -euo pipefail
cd "$(dirname "$0")/.."
worker=$1/pnlcache-worker
status=0
compare() {
    diff -u "$2" <("$worker" settings "$1") || { echo "$2 is out of date: make docs"; status=1; }
}
compare --markdown docs/settings.md
compare --example conf/pnlcache.conf.example
PNLCACHE_CONF=/dev/null DATASET_DIR=sql/datasets "$worker" datasets --markdown | diff -u docs/datasets-table.md - ||
    { echo "docs/datasets-table.md is out of date: make docs"; status=1; }
tools/make_openapi.sh "$1" | diff -u docs/openapi.yaml - || { echo "docs/openapi.yaml is out of date: make docs"; status=1; }

routes=$(grep -hoE '"/(api/[^"]*|healthz|readyz|metrics)"' fcgi/router.c | tr -d '"' | sort -u)
[ -n "$routes" ] || { echo "fcgi/router.c: no route found"; status=1; }
for route in $routes; do
    grep -qF -- "$route" docs/api.md || { echo "docs/api.md does not mention $route"; status=1; }
    grep -qxF -- "  $route:" docs/openapi.yaml || { echo "docs/openapi.yaml has no path $route"; status=1; }
done

names=$(grep -oE '(test|fuzz)_[a-z0-9_]+(\.py)?' docs/reliability.md | grep -v '\.py$' | sort -u)
for name in $names; do
    [ -e "tests/fuzz/$name.c" ] || grep -rqE "(def|static void) $name\(" tests --include='*.py' --include='*.c' ||
        { echo "docs/reliability.md names $name, which no file of tests/ defines"; status=1; }
done
exit $status
