#!/bin/bash
# nginx_conf.sh RUN_DIR PORT WEB_DIR: prints a configuration for a private nginx: conf/nginx.conf.example, as an operator
# would use it, with our port, socket and folder, inside the frame that a distribution's nginx.conf gives.
set -euo pipefail
conf=$(cd "$(dirname "$0")/../conf" && pwd)
run=$1 port=$2 web=$3

# Started by root, the workers stay root: what they need lies in that user's own tree, and they listen on loopback only.
[ "$(id -u)" != 0 ] || echo 'user root;'
cat <<END
worker_processes 2;
pid $run/nginx_pid;
events { worker_connections 4096; }
http {
    types { text/html html; application/json json; text/css css; application/javascript js; image/svg+xml svg; }
    default_type application/octet-stream;
    access_log off;
    server_tokens off;
    keepalive_requests 100000;
    client_body_temp_path $run/nginx_body;
    proxy_temp_path $run/nginx_proxy;
    fastcgi_temp_path $run/nginx_fastcgi;
    uwsgi_temp_path $run/nginx_uwsgi;
    scgi_temp_path $run/nginx_scgi;
END
sed -e "s|unix:/run/pnlcache/pnlcache.sock|unix:$run/pnlcache.sock|" -e "s|listen 80;|listen 127.0.0.1:$port;|" \
    -e "s|root /usr/local/share/pnlcache/web;|root '$web';|" -e "s|include pnlcache_params;|include '$conf/pnlcache_params';|" \
    "$conf/nginx.conf.example"
echo '}'
