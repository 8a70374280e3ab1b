#!/bin/bash
# check_headers.sh [FLAGS]: every header compiles on its own. settings_table.h is a table for others to include.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
for header in $(find . -path ./build -prune -o -name '*.h' ! -name settings_table.h -print | sort); do
    printf '#include "%s"\n' "${header#./}" |
        ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -I. -Wall -Wextra -Werror "$@" -fsyntax-only -x c - || bad=1
done
exit $bad
