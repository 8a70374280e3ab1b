#!/bin/bash
# check_units.sh BUILD_DIR: systemd-analyze accepts our units without a word and rates their confinement no worse than the
# limits below (0 best, 100 worst); all services are confined alike; install installs every unit. Where systemd is not
# installed there is nothing to check.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v systemd-analyze >/dev/null || { echo "systemd-analyze is not here: units not checked"; exit 0; }

NETWORKED=12 # a service that may reach other machines
LOCAL=5      # the responder with unix-sockets-only.conf

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# The programs are where the build left them; the rest is as shipped.
for unit in systemd/*.service systemd/*.socket systemd/*.timer; do
    sed -E "s#/usr/local/(bin|libexec/pnlcache)/#$PWD/$1/#" "$unit" >"$dir/${unit##*/}"
done

fail() {
    printf '%s\n' "$*"
    exit 1
}

# rate LIMIT UNIT
rate() {
    local rating
    rating=$(systemd-analyze security --offline=true --threshold="$1" "$2" 2>&1) || fail "${2##*/}: $(tail -n 1 <<<"$rating") (limit $1)"
}

# As the system would load them: each refers to others of them.
complaints=$(SYSTEMD_UNIT_PATH="$dir:" systemd-analyze verify --man=no "$dir"/* 2>&1 | grep -F pnlcache || true)
[ -z "$complaints" ] || fail "$complaints"
for unit in "$dir"/*.service; do rate $NETWORKED "$unit"; done
sed '/^\[Install\]/,$d' "$dir/pnlcache.service" | cat - systemd/unix-sockets-only.conf >"$dir/pnlcache-local.service"
rate $LOCAL "$dir/pnlcache-local.service"

confinement() { sed -n '/^# --- Confinement/,/^$/p' "$1" | sed '/^$/d'; }
for unit in systemd/*.service; do
    [ -n "$(confinement "$unit")" ] || fail "$unit has no part '# --- Confinement'"
    diff <(confinement systemd/pnlcache.service) <(confinement "$unit") || fail "$unit is confined otherwise than pnlcache.service"
    # Each directive of it has its reason in the line before.
    confinement "$unit" | awk '/^#/ { reason = 1; next } !reason { print "no reason is given for " $0; bad = 1 } { reason = 0 } END { exit bad }' ||
        fail "in $unit"
done
for unit in systemd/*.timer; do
    job=$(sed -n 's/^Unit=pnlcache-job@\(.*\)\.service$/\1/p' "$unit")
    [ "$unit" = "systemd/pnlcache-$job.timer" ] || fail "$unit: Unit= is not the job of its name"
    "$1/pnlcache-worker" job "$job" --help >/dev/null || fail "$unit: there is no such job"
done
