#!/bin/bash
# install_packages.sh SET...: installs the Debian or Ubuntu packages of these sets that are missing, as root or through
# sudo. Says nothing and takes no time when nothing is missing. Sets: run, test, bench, lint.
#
# No service of the system is started or enabled, and PostgreSQL makes no cluster: we run private instances of our own.
# What is needed for that (a policy-rc.d, a line for postgresql-common) is put back when the script ends.
set -euo pipefail

# Ubuntu has Chromium as a snap only, which needs services of the system: there the dashboard's tests are skipped.
browser_packages() {
    grep -qs '^ID=ubuntu' /etc/os-release || echo chromium chromium-driver python3-selenium
}

# Built for few architectures; elsewhere we do without.
isal_packages() {
    case $(dpkg --print-architecture 2>/dev/null) in amd64 | arm64) echo libisal-dev ;; esac
}

packages_of() {
    case $1 in
    run)
        echo gcc libc6-dev make pkg-config libfcgi-dev libpq-dev libhiredis-dev libcjson-dev libssl-dev libdeflate-dev \
            libxxhash-dev "$(isal_packages)" libjs-chart.js postgresql postgresql-client redis-server redis-tools nginx tzdata util-linux curl python3
        ;;
    test)
        echo libcmocka-dev python3-pytest python3-pytest-xdist python3-psycopg2 python3-redis python3-websockets python3-jsonschema python3-yaml pgbouncer apache2-bin libapache2-mod-fcgid \
            lighttpd caddy jq locales nodejs openssl prometheus shellcheck systemd "$(browser_packages)"
        ;;
    bench) echo wrk webdis libnginx-mod-http-lua lua-nginx-redis python3-psycopg2 python3-redis strace valgrind ;;
    lint) echo clang clang-tidy clang-format libclang-rt-dev cppcheck shellcheck pyflakes3 mandoc ;;
    *) echo "install_packages: there is no set '$1' (run, test, bench, lint)" >&2 && exit 2 ;;
    esac
}
SERVICES='nginx redis-server postgresql pgbouncer webdis lighttpd caddy prometheus' # that the packages above bring

fail() {
    printf 'install_packages: %s\n' "$*" >&2
    exit 1
}

# Without dpkg: the commands and libraries must be there already, however they came.
check_foreign_system() {
    local missing=() name
    for name in gcc make pkg-config psql pg_config redis-server nginx setpriv; do
        command -v "$name" >/dev/null || [ -x "/usr/sbin/$name" ] || missing+=("$name")
    done
    for name in libpq hiredis libcjson libcrypto libdeflate libxxhash; do
        pkg-config --exists "$name" 2>/dev/null || missing+=("$name (headers)")
    done
    [ -e /usr/include/fcgiapp.h ] || missing+=("libfcgi (headers)")
    [ ${#missing[@]} -eq 0 ] || fail "this is not Debian or Ubuntu; please install: ${missing[*]}"
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# --- as root -------------------------------------------------------------------------------------------

made_policy=
restore() {
    [ -z "$made_policy" ] || rm -f /usr/sbin/policy-rc.d
    [ ! -e "$CLUSTER_CONF.pnlcache" ] || mv -f "$CLUSTER_CONF.pnlcache" "$CLUSTER_CONF"
}
CLUSTER_CONF=/etc/postgresql-common/createcluster.conf

apt() {
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >>"$log" 2>&1
}
apt_install() { apt install -y --no-install-recommends "$@"; }

install_as_root() {
    local new_services=() name
    log=$(mktemp)
    trap restore EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        made_policy=yes
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
    fi
    for name in $SERVICES; do is_installed "$name" || new_services+=("$name"); done

    apt update || echo "install_packages: apt-get update failed, trying with the package lists there are" >&2
    if [[ " $* " == *" postgresql "* ]]; then
        apt_install postgresql-common || fail "apt-get failed: $(grep -m1 '^E:' "$log") (more in $log)"
        cp -p "$CLUSTER_CONF" "$CLUSTER_CONF.pnlcache"
        echo 'create_main_cluster = false' >>"$CLUSTER_CONF"
    fi
    apt_install "$@" || fail "apt-get failed: $(grep -m1 '^E:' "$log") (more in $log)"

    # Installing enables a service for the next boot; only those that are new through us are disabled.
    for name in "${new_services[@]}"; do
        is_installed "$name" || continue
        if command -v systemctl >/dev/null; then systemctl disable "$name"; else update-rc.d "$name" disable; fi >>"$log" 2>&1 || true
    done
    rm -f "$log"
}

# --- here we go ----------------------------------------------------------------------------------------

if [ "${1:-}" = --as-root ]; then
    shift
    install_as_root "$@"
    exit
fi
[ $# -gt 0 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
wanted=$(for set in "$@"; do packages_of "$set"; done)
if ! command -v apt-get >/dev/null; then
    check_foreign_system
    exit
fi

missing=()
for name in $wanted; do
    is_installed "$name" || missing+=("$name")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing: ${missing[*]}"
if [ "$(id -u)" = 0 ]; then
    "$0" --as-root "${missing[@]}"
elif command -v sudo >/dev/null; then
    sudo "$0" --as-root "${missing[@]}"
else
    fail "root or sudo is needed, once: apt-get install --no-install-recommends ${missing[*]}"
fi
