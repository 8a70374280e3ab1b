#!/bin/bash
# with_servers.sh COMMAND...: runs COMMAND with a private PostgreSQL (journal schema applied) and Redis, which are
# gone afterwards. COMMAND finds TEST_DATABASE_URL (the journal's owner), TEST_PNLCACHE_DATABASE_URL (the programs'
# role) and TEST_REDIS_URL. Its exit status is the result.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
servers=$root/tools/private_servers.sh

[ $# -gt 0 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
state=$(mktemp -d /tmp/pnlcache-state.XXXXXXXX)
export SERVERS_OWNER=$$
trap '"$servers" stop "$state"; rm -rf "$state"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$servers" start "$state" redis postgres
eval "$("$servers" env "$state")"
"$root/sql/apply.sh" "$DATABASE_URL"
export -n SERVERS_OWNER # COMMAND may run servers of its own
export TEST_DATABASE_URL=$DATABASE_URL TEST_PNLCACHE_DATABASE_URL=$PNLCACHE_DATABASE_URL TEST_REDIS_URL=$REDIS_URL
# In the background, so that a signal is not left waiting for the end of COMMAND, which ends when we are killed.
setpriv --pdeathsig TERM -- "$@" &
child=$!
trap 'kill -TERM $child 2>/dev/null; exit 130' INT
trap 'kill -TERM $child 2>/dev/null; exit 143' TERM
wait $child
