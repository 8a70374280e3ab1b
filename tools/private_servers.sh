#!/bin/bash
# Private PostgreSQL, Redis and nginx for `make run` and the tests, never a system instance.
#
#   private_servers.sh take   STATE                              make it ours, or fail: another's
#   private_servers.sh start  STATE [redis] [postgres] [nginx]   start what is not running (no name: redis postgres)
#   private_servers.sh spawn  STATE NAME COMMAND...              run another program under the same care
#   private_servers.sh stop   STATE [NAME...]                    stop these, or all and everything left of them
#   private_servers.sh status STATE                              one line a program: NAME running|dead PID
#   private_servers.sh env    STATE                              RUN_DIR, DATABASE_URL and REDIS_URL for a shell to source
#
# Data lives in STATE/postgres and outlives a stop. Sockets and pid files live in a directory under /tmp that
# STATE/run points to, because a socket's path may have 107 bytes only and STATE may be long. A pid file holds pid,
# start time, boot and pid namespace, so that a number the kernel gave to another process is never mistaken for ours.
#
# A run belongs to SERVERS_OWNER, a pid (default 1: until stopped). What a dead owner left running (kill -9) is
# stopped by whoever starts next, be it for the same STATE or not; a living owner's STATE is refused to others.
#
# Environment: PORT (nginx), NGINX_CONF (default STATE/nginx.conf), DURABLE=1 (PostgreSQL flushes to disk; without it
# a crash of the machine may cost the data), REDIS_MAXMEMORY (default 256mb).
set -euo pipefail
umask 022
unset PGPORT PGHOST PGUSER PGDATABASE PGOPTIONS PGSERVICE PGDATA PGSSLMODE

DATABASE=journal
TEMPORARY_STATE=/tmp/pnlcache-state. # a STATE so named goes with its dead owner

fail() {
    printf 'private_servers: %s\n' "$*" >&2
    exit 1
}

# --- processes -------------------------------------------------------------------------------------

# Where pids mean what they say: this boot, this pid namespace.
realm="$(cat /proc/sys/kernel/random/boot_id) $(readlink /proc/self/ns/pid)"

# Prints "pid start-time realm" of a living process (a zombie is none), or fails.
identity() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    read -r -a stat <<<"${stat##*) }"
    [ "${stat[0]}" != Z ] || return 1
    echo "$1 ${stat[19]} $realm"
}

# The pid in a pid file, if that very process still lives.
living_pid() {
    local line
    line=$(cat "$1" 2>/dev/null) && [ -n "$line" ] && [ "$line" = "$(identity "${line%% *}")" ] && echo "${line%% *}"
}

# spawn NAME LOG COMMAND...: the child writes its own pid file and becomes the command, so there is no moment at
# which a program runs unnoted. It gets a session of its own: Ctrl-C is for the caller, who stops things in order.
spawn() {
    local name=$1 log=$2
    shift 2
    mkdir -p "$(dirname "$log")"
    # shellcheck disable=SC2016
    setsid bash -c '
        read -r -a stat <<<"$(sed "s/.*) //" /proc/$$/stat)"
        echo "$$ ${stat[19]} $1" >"$0.new" && mv "$0.new" "$0"
        shift
        exec "$@"' "$run/$name.pid" "$realm" "$@" </dev/null >>"$log" 2>&1 &
    local tries=0
    until [ -s "$run/$name.pid" ] && [ "$(cut -d' ' -f1 "$run/$name.pid")" = $! ]; do
        if [ $((tries += 1)) -gt 500 ] || ! kill -0 $! 2>/dev/null; then
            fail "$name could not be started: $(last_line "$log")"
        fi
        sleep 0.01
    done
}

last_line() {
    [ -s "$1" ] && tail -n 1 "$1" || echo "it wrote nothing to $1"
}

# wait_ready NAME LOG COMMAND...: until COMMAND succeeds; fails at once when the program has died.
wait_ready() {
    local name=$1 log=$2 deadline=$((SECONDS + 120))
    shift 2
    until "$@" >/dev/null 2>&1; do
        living_pid "$run/$name.pid" >/dev/null || fail "$name did not start: $(last_line "$log") (more in $log)"
        [ $SECONDS -lt $deadline ] || fail "$name is not ready after 120 s: $(last_line "$log") (more in $log)"
        sleep 0.05
    done
}

# stop_one PIDFILE: politely, then by force.
stop_one() {
    local file=$1 signal pid tries
    for signal in TERM KILL; do
        pid=$(living_pid "$file") || break
        # For PostgreSQL INT ends the sessions, TERM would wait for them.
        [ "$signal $(basename "$file")" != "TERM postgres.pid" ] || signal=INT
        kill -s $signal "$pid" 2>/dev/null || true
        for ((tries = 0; tries < 600; tries++)); do
            living_pid "$file" >/dev/null || break
            sleep 0.05
        done
    done
    rm -f "$file"
}

# stop_all RUN: programs before the servers they use.
stop_all() {
    local file
    for file in "$1"/*.pid; do
        case $(basename "$file") in
        redis.pid | postgres.pid | '*.pid') ;;
        *) stop_one "$file" ;;
        esac
    done
    stop_one "$1/redis.pid"
    stop_one "$1/postgres.pid"
}

# --- the run directory ---------------------------------------------------------------------------------

# End a run: its programs, its directory, and its STATE if that was a temporary one.
end_run() {
    local of
    stop_all "$1"
    of=$(cat "$1/state" 2>/dev/null || true)
    rm -rf "$1"
    case $of in
    "$TEMPORARY_STATE"*) rm -rf "$of" ;;
    esac
}

is_ours() { # a directory of our own, not a link somebody laid
    [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]
}

# What dead owners left. A directory without an owner is being made at this moment; in another container that shares
# /tmp we cannot tell the dead from the living.
sweep() {
    local dir boot namespace
    for dir in /tmp/pnlcache-run.*; do
        is_ours "$dir" || continue
        read -r _ _ boot namespace <"$dir/owner" || continue
        [ "${realm% *}" != "$boot" ] || [ "${realm#* }" = "$namespace" ] || continue
        living_pid "$dir/owner" >/dev/null || end_run "$dir"
    done 2>/dev/null
}

# Makes STATE and its run directory, or takes over the one there is.
open_run() {
    local owner=${SERVERS_OWNER:-1} present tries
    mkdir -p "$state"
    for ((tries = 0; ; tries++)); do
        sweep
        run=$(readlink "$state/run" || true)
        if [ -z "$run" ] || ! is_ours "$run" || [ "$(cat "$run/state" 2>/dev/null)" != "$state" ]; then break; fi
        present=$(cut -d' ' -f1 "$run/owner")
        if [ "$present" = "$owner" ] || [ "$present" = 1 ]; then return; fi
        [ $tries -lt 30 ] || fail "$state is in use by process $present" # it may be stopping at this moment
        sleep 0.1
    done
    run=$(mktemp -d /tmp/pnlcache-run.XXXXXXXX)
    chmod 711 "$run" # PostgreSQL, as a user of its own, passes through
    echo "$state" >"$run/state"
    identity "$owner" >"$run/owner.new" || fail "SERVERS_OWNER: there is no process $owner"
    mv "$run/owner.new" "$run/owner"
    ln -sfn "$run" "$state/run"
}

# --- PostgreSQL ----------------------------------------------------------------------------------------

# PostgreSQL refuses to run as root: then the distribution's user for it takes over, or nobody.
postgres_user() {
    if [ "$(id -u)" != 0 ]; then id -un; elif id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && HOME=/ setpriv --reuid="$pg_user" --regid="$(id -g "$pg_user")" --clear-groups -- "$@")
    else
        "$@"
    fi
}

# The programs of the version that made the data, or of the newest one installed.
postgres_bin() {
    local version dir
    version=$(cat "$state/postgres/data/PG_VERSION" 2>/dev/null || true)
    for dir in $(printf '%s\n' /usr/lib/postgresql/"${version:-*}"/bin | sort -rV) "$(pg_config --bindir 2>/dev/null || true)"; do
        if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then
            [ -z "$version" ] || "$dir/postgres" --version | grep -q " ${version}[. ]" || continue
            echo "$dir"
            return
        fi
    done
    [ -z "$version" ] || fail "$state/postgres was made by PostgreSQL $version, which is not installed"
    fail "PostgreSQL is not installed (tools/install_packages.sh run)"
}

# STATE/postgres; where its user cannot get there (a clone in /root), a link to a directory in /var/tmp.
postgres_directory() {
    local dir=$state/postgres far
    [ ! -d "$dir/data" ] || return 0
    rm -f "$dir" # a link to what is no more
    mkdir -p "$dir"
    if [ "$(id -u)" = 0 ]; then
        chmod 711 "$state"
        if ! as_postgres test -x "$dir"; then
            rmdir "$dir"
            far=$(mktemp -d /var/tmp/pnlcache-postgres.XXXXXXXX)
            ln -s "$far" "$dir"
        fi
        chown "$pg_user:" "$dir/."
    fi
    chmod 700 "$dir/."
}

# As root the path to the data is resolved first: the user may reach the end of a link but not the link.
init_postgres() {
    local data
    data=$(readlink -f "$state/postgres")/data
    [ -s "$data/PG_VERSION" ] && return
    as_postgres rm -rf "$data.new"
    as_postgres "$1/initdb" -D "$data.new" -U "$DATABASE" -A trust -E UTF8 --locale=C.UTF-8 -N >"$state/log/initdb.log" 2>&1 ||
        fail "initdb failed: $(last_line "$state/log/initdb.log")"
    as_postgres mv "$data.new" "$data"
}

start_postgres() {
    local bin log=$state/log/postgres.log flush=off psql
    pg_user=$(postgres_user)
    postgres_directory
    bin=$(postgres_bin)
    init_postgres "$bin"
    install -d -m 700 "$run/pg"
    [ "$(id -u)" != 0 ] || chown "$pg_user:" "$run/pg"
    [ "${DURABLE:-0}" = 0 ] || flush=on
    local user=()
    [ "$(id -u)" != 0 ] ||
        user=(setpriv --reuid="$pg_user" --regid="$(id -g "$pg_user")" --clear-groups --)
    local data
    data=$(readlink -f "$state/postgres")/data
    spawn postgres "$log" env -C / "${user[@]}" "$bin/postgres" -D "$data" \
        -c listen_addresses= -c unix_socket_directories="$run/pg" -c unix_socket_permissions=0700 -c port=5432 \
        -c fsync=$flush -c synchronous_commit=$flush -c full_page_writes=$flush \
        -c shared_buffers=64MB -c work_mem=16MB -c maintenance_work_mem=64MB -c max_wal_size=512MB \
        -c max_connections=60 -c jit=off -c timezone=UTC -c log_timezone=UTC -c lc_messages=C
    psql=("$bin/psql" -X -q -A -t -h "$run/pg" -U "$DATABASE" -d postgres)
    wait_ready postgres "$log" "${psql[@]}" -c 'SELECT 1'
    [ "$("${psql[@]}" -c "SELECT count(*) FROM pg_database WHERE datname = '$DATABASE'")" = 1 ] ||
        "${psql[@]}" -c "CREATE DATABASE $DATABASE" >>"$log" 2>&1 || fail "could not create the database (see $log)"
}

# --- Redis and nginx -----------------------------------------------------------------------------------

start_redis() {
    local log=$state/log/redis.log
    command -v redis-server >/dev/null || fail "Redis is not installed (tools/install_packages.sh run)"
    spawn redis "$log" redis-server --port 0 --unixsocket "$run/redis.sock" --unixsocketperm 700 --dir "$run" \
        --save '' --appendonly no --maxmemory "${REDIS_MAXMEMORY:-256mb}" --maxmemory-policy allkeys-lru
    wait_ready redis "$log" redis_answers
}

redis_answers() { [ "$(redis-cli -s "$run/redis.sock" ping)" = PONG ]; }

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }

start_nginx() {
    local log=$state/log/nginx.log conf=${NGINX_CONF:-$state/nginx.conf} nginx
    [[ ${PORT:-} =~ ^[1-9][0-9]{0,4}$ && $PORT -lt 65536 ]] || fail "PORT '${PORT:-}' is not a port number"
    nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || fail "nginx is not installed (tools/install_packages.sh run)"
    ! port_answers || fail "port $PORT of 127.0.0.1 is in use by another program: choose another one with PORT=NUMBER"
    "$nginx" -p "$run/" -e "$log" -c "$conf" -t >"$state/log/nginx-test.log" 2>&1 ||
        fail "$conf: $(head -n 1 "$state/log/nginx-test.log")"
    spawn nginx "$log" "$nginx" -p "$run/" -e "$log" -c "$conf" -g 'daemon off;'
    wait_ready nginx "$log" port_answers
}

# --- commands ------------------------------------------------------------------------------------------

usage() {
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}

[ $# -ge 2 ] || usage
command=$1
state=$(realpath -m "$2")
shift 2

case $command in
take | start | spawn)
    mkdir -p "$state/log" 2>/dev/null || fail "$state cannot be written"
    open_run
    ;;
stop | status | env)
    run=$(readlink "$state/run" || true)
    is_ours "${run:-/nonexistent}" || run=
    # An owner named explicitly cannot stop what is another's.
    if [ -n "$run" ] && [ "$command" = stop ] && [ -n "${SERVERS_OWNER:-}" ]; then
        case $(cut -d' ' -f1 "$run/owner") in "$SERVERS_OWNER" | 1) ;; *) fail "$state is another's" ;; esac
    fi
    ;;
*) usage ;;
esac

case $command in
take) ;;
start)
    [ $# -gt 0 ] || set -- redis postgres
    for name in "$@"; do
        case $name in
        redis | postgres | nginx) living_pid "$run/$name.pid" >/dev/null || "start_$name" ;;
        *) fail "there is no server '$name' (redis, postgres, nginx)" ;;
        esac
    done
    ;;
spawn)
    [ $# -ge 2 ] || usage
    name=$1
    shift
    ! living_pid "$run/$name.pid" >/dev/null || fail "$name is running already"
    spawn "$name" "$state/log/$name.log" "$@"
    ;;
stop)
    if [ -n "$run" ] && [ $# -gt 0 ]; then
        for name in "$@"; do stop_one "$run/$name.pid"; done
    elif [ -n "$run" ]; then
        end_run "$run"
        rm -f "$state/run"
    fi
    ;;
status)
    for file in ${run:+"$run"/*.pid}; do
        name=$(basename "$file" .pid)
        if pid=$(living_pid "$file"); then echo "$name running $pid"; elif [ -s "$file" ]; then echo "$name dead"; fi
    done
    ;;
env)
    [ -n "$run" ] || fail "nothing runs for $state"
    echo "RUN_DIR='$run'"
    echo "DATABASE_URL='postgresql://$DATABASE@/$DATABASE?host=$run/pg'"
    echo "PNLCACHE_DATABASE_URL='postgresql://pnlcache@/$DATABASE?host=$run/pg'"
    echo "REDIS_URL='unix://$run/redis.sock'"
    ;;
esac
