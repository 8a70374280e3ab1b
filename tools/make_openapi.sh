#!/bin/bash
# make_openapi.sh BUILD_DIR: prints docs/openapi.yaml with the paths of the datasets made anew. Starts a private PostgreSQL, which
# tells the columns.
set -euo pipefail
cd "$(dirname "$0")/.."
export PNLCACHE_CONF=/dev/null DATASET_DIR=sql/datasets
# shellcheck disable=SC2016 # the inner shell expands it
tests/with_servers.sh sh -c 'DATABASE_URL=$TEST_PNLCACHE_DATABASE_URL exec "$0" datasets --json' "$1/pnlcache-worker" |
    tools/openapi.py docs/openapi.yaml
