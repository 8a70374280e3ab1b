#!/bin/bash
# What `make run` runs after building: private servers, schema, sample data, precompute, both programs, nginx with the
# page; then it waits and, when interrupted or when one of them dies, stops everything it started.
#
# Environment: STATE, PORT, BUILD_DIR; SAMPLE and SHIFT_TO for the data of an empty journal. Under STATE:
#   env             for a shell to source: BASE_URL, DATABASE_URL, PNLCACHE_DATABASE_URL, REDIS_URL, PNLCACHE_CONF, DATASET_DIR, secrets
#   pnlcache.conf   settings of both programs, written once with fresh secrets, yours to edit
#   datasets/       dataset files of yours, served beside those of sql/datasets; `make reload` has the programs read them
#   log/, postgres/, web/
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
servers=tools/private_servers.sh
STATE=${STATE:-var} PORT=${PORT:-8080} BUILD_DIR=${BUILD_DIR:-build/release}
base_url=http://127.0.0.1:$PORT
child=

export SERVERS_OWNER=$$ DURABLE=1 PORT
# Settings come from STATE/pnlcache.conf and from here, not from what else the caller's shell holds.
unset JWT_SECRET WEBHOOK_SECRETS REDIS_PRIVATE_URL REDIS_URL DATABASE_URL LISTEN_GROUP LISTEN_MODE "${!UPSTASH_@}" "${!PG@}"

say() { printf '%s\n' "$*"; }

fail() {
    printf 'make run: %s\n' "$*" >&2
    exit 1
}

stop_all() {
    trap '' INT TERM HUP
    [ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null || kill -TERM "$child" 2>/dev/null || true
    "$servers" stop "$STATE" || true
}

# A long step, in a process group of its own that can be ended as a whole, and that ends with us.
during() {
    setsid setpriv --pdeathsig TERM -- "$@" &
    child=$!
    local status=0
    wait "$child" || status=$?
    child=
    return $status
}

psql_owner() { psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$owner_url" "$@"; }

# --- steps -----------------------------------------------------------------------------------------------

prepare_state() {
    mkdir -p "$STATE/datasets" 2>/dev/null || fail "$STATE cannot be made: choose another directory with STATE=DIR"
    STATE=$(realpath "$STATE")
    if [ ! -s "$STATE/pnlcache.conf" ]; then
        (
            umask 077
            cat >"$STATE/pnlcache.conf.new" <<END
# Settings of pnlcache.fcgi and pnlcache-worker under make run; pnlcache-worker settings lists them all.
# DATABASE_URL, REDIS_URL, LISTEN and DATASET_DIR are given by make run.
JWT_SECRET=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
WEBHOOK_SECRETS=whsec_$(head -c 24 /dev/urandom | base64)
END
        )
        mv "$STATE/pnlcache.conf.new" "$STATE/pnlcache.conf"
    fi
    setting() { sed -n "s/^$1=//p" "$STATE/pnlcache.conf" | tail -n 1; }
    jwt_secret=$(setting JWT_SECRET)
    webhook_secrets=$(setting WEBHOOK_SECRETS)
}

start_servers() {
    say "starting PostgreSQL and Redis"
    "$servers" take "$STATE" # fails when it is another's
    trap stop_all EXIT
    trap 'say; say stopping; exit 0' INT TERM HUP
    "$servers" start "$STATE" redis postgres
    RUN_DIR=
    eval "$("$servers" env "$STATE")"
    run_dir=$RUN_DIR owner_url=$DATABASE_URL
    export DATABASE_URL=$PNLCACHE_DATABASE_URL REDIS_URL LISTEN=$run_dir/pnlcache.sock
    export PNLCACHE_CONF=$STATE/pnlcache.conf DATASET_DIR=$PWD/sql/datasets:$STATE/datasets
    (
        umask 077
        cat >"$STATE/env.new" <<END
BASE_URL=$base_url
DATABASE_URL=$owner_url
PNLCACHE_DATABASE_URL=$PNLCACHE_DATABASE_URL
REDIS_URL=$REDIS_URL
PNLCACHE_CONF=$PNLCACHE_CONF
DATASET_DIR=$DATASET_DIR
JWT_SECRET=$jwt_secret
WEBHOOK_SECRETS=$webhook_secrets
END
    )
    mv "$STATE/env.new" "$STATE/env"
}

# Early, so that a port in use is known before the data is loaded.
start_nginx() {
    mkdir -p "$STATE/web"
    cp web/* "$STATE/web/"
    # Without it the page has its tables and says what is missing.
    cp /usr/share/javascript/chart.js/chart.min.js "$STATE/web/" || true
    tools/nginx_conf.sh "$run_dir" "$PORT" "$STATE/web" >"$STATE/nginx.conf"
    "$servers" start "$STATE" nginx
}

fill_journal() {
    sql/apply.sh "$owner_url" || fail "the schema could not be applied"
    fill_empty_journal
    # Redis has just started empty: there is nothing that a change until now could invalidate.
    psql_owner -c 'DELETE FROM pnlcache.change_log'
}

fill_empty_journal() {
    [ "$(psql_owner -c 'SELECT EXISTS (SELECT FROM stocks) OR EXISTS (SELECT FROM options)')" = f ] || return 0
    if [ -n "${SAMPLE:-}" ]; then
        say "loading the trades of $SAMPLE"
        DATABASE_URL=$owner_url during tools/load_sample.sh "$SAMPLE" ${SHIFT_TO:+"SHIFT_TO=$SHIFT_TO"} || fail "$SAMPLE was not loaded"
    else
        say "generating a sample journal"
        DATABASE_URL=$owner_url during tools/load_sample.sh || fail "the sample was not loaded"
    fi
    psql_owner -c ANALYZE
}

start_programs() {
    say "precomputing"
    during "$BUILD_DIR/pnlcache-worker" job precompute --all || fail "precompute failed"
    "$servers" spawn "$STATE" responder "$BUILD_DIR/pnlcache.fcgi"
    "$servers" spawn "$STATE" worker "$BUILD_DIR/pnlcache-worker" run --schedule
    find_programs
    local tries=0
    until curl -s -f -o /dev/null --max-time 5 "$base_url/readyz"; do
        check_alive
        [ $((tries += 1)) -lt 300 ] || fail "$base_url/readyz does not answer 200 (see $STATE/log)"
        sleep 0.1
    done
}

# What the page knows about the sample: a token for each of the users with the most trades.
write_users() {
    local name count user separator='' token
    first_user='' first_token=''
    {
        printf '['
        while IFS=$'\t' read -r name count user; do
            token=$(JWT_SECRET=$jwt_secret "$BUILD_DIR/pnlcache-worker" token --user "$user" --ttl 604800) || continue
            printf '%s{"user": %s, "trades": %s, "token": "%s"}' "$separator" "$name" "$count" "$token"
            separator=$',\n'
            [ -n "$first_user" ] || first_user=$user first_token=$token
        done < <(psql_owner -F $'\t' -c "
            SELECT to_json(user_id), count(*), user_id
            FROM (SELECT user_id FROM stocks UNION ALL SELECT user_id FROM options) t
            GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT 20")
        printf ']\n'
    } >"$STATE/web/users.json"
}

# --- watching ----------------------------------------------------------------------------------------------

find_programs() {
    programs=() pids=()
    local name word pid
    while read -r name word pid; do
        [ "$word" = running ] || fail "$name has ended: $(tail -n 1 "$STATE/log/$name.log")"
        programs+=("$name") pids+=("$pid")
    done < <("$servers" status "$STATE")
}

check_alive() {
    local i stat
    for i in "${!pids[@]}"; do
        read -r stat 2>/dev/null <"/proc/${pids[$i]}/stat" || stat=') Z'
        [[ ${stat##*) } != Z* ]] ||
            fail "${programs[$i]} has ended: $(tail -n 1 "$STATE/log/${programs[$i]}.log") (more in $STATE/log/${programs[$i]}.log)"
    done
}

# --- here we go ----------------------------------------------------------------------------------------------

prepare_state
trap 'exit 0' INT TERM HUP
start_servers
start_nginx
fill_journal
start_programs
write_users
say "ready: $base_url/"
[ -z "$first_user" ] ||
    say "curl -s -H 'Authorization: Bearer $first_token' '$base_url/api/stocks/analytics?time_range=all_time'"
while :; do
    check_alive
    sleep 1 &
    child=$!
    wait "$child"
done
