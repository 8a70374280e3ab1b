#!/bin/bash
# man_page.sh WORKER TEMPLATE: prints a manual page: the template with @VERSION@ and, for the line @SETTINGS@, the list
# that the program itself generates from its table.
set -euo pipefail
worker=$1 template=$2
settings=$(mktemp)
trap 'rm -f "$settings"' EXIT
"$worker" settings --man >"$settings"
version=$("$worker" --version | awk '{ print $2 }')
sed -e "s/@VERSION@/$version/" -e "/^@SETTINGS@\$/{r $settings" -e 'd}' "$template"
