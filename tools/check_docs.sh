#!/bin/bash
# check_docs.sh BUILD_DIR: docs/settings.md and conf/pnlcache.conf.example are what the program generates, and every
# route of the responder's table appears in docs/api.md.
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

routes=$(grep -hoE '"/(api/[^"]*|healthz|readyz|metrics)"' fcgi/router.c | tr -d '"' | sort -u)
[ -n "$routes" ] || { echo "fcgi/router.c: no route found"; status=1; }
for route in $routes; do
    grep -qF -- "$route" docs/api.md || { echo "docs/api.md does not mention $route"; status=1; }
done
exit $status
