#!/bin/bash
# apache_conf.sh RUN_DIR PORT WEB_DIR EXAMPLE: prints a configuration for a private Apache: conf/EXAMPLE, as an operator would
# use it, with our port, socket and folder, inside a minimal frame.
set -euo pipefail
conf=$(cd "$(dirname "$0")/../conf" && pwd)
run=$1 port=$2 web=$3 example=$4

cat <<END
ServerRoot /usr/lib/apache2
ServerName 127.0.0.1
Listen 127.0.0.1:$port
PidFile $run/apache_pid
DefaultRuntimeDir $run
ErrorLog /dev/stderr
LogLevel warn
END
modules='mpm_event authz_core authz_host mime dir headers alias'
case $example in
*fcgid*) modules+=' fcgid' ;;
*-cgi.*) modules+=' env cgid' ;;
*) modules+=' proxy proxy_fcgi' ;;
esac
for module in $modules; do
    echo "LoadModule ${module}_module modules/mod_$module.so"
done
# Root hands over to a user of its own; the responder's socket is made reachable for it.
[ "$(id -u)" != 0 ] || printf 'User www-data\nGroup www-data\n'
printf 'TypesConfig /dev/null\nAddType text/html .html\n'
sed -e "s|unix:/run/pnlcache/pnlcache.sock|unix:$run/pnlcache.sock|" -e "s|/usr/local/share/pnlcache/web|$web|" \
    "$conf/$example"
