#!/bin/bash
# check_layers.sh: every include must be allowed for its folder by the list below. First what a folder may include of
# ours (its own headers always), then which third-party headers; everything else of <> is libc and free.
set -euo pipefail
cd "$(dirname "$0")/.."

layers='
lib/base        |                                                    |
lib/json        | lib/base                                           | cjson/
lib/store       | lib/base lib/json                                  | libpq-fe.h hiredis/ libdeflate.h isa-l/ xxhash.h openssl/
jobs/analytics  | lib/base lib/json                                  |
jobs            | lib/base lib/json lib/store jobs/analytics         | xxhash.h openssl/
fcgi            | lib/base lib/json lib/store jobs/analytics jobs    | fcgiapp.h fcgios.h fastcgi.h openssl/
worker          | lib/base lib/json lib/store jobs/analytics jobs    | openssl/
'
third_party='^(cjson/|libpq-fe\.h|libpq/|hiredis/|libdeflate\.h|isa-l/|xxhash\.h|openssl/|fcgi|fastcgi\.h|zlib\.h|cmocka\.h)'

bad=0
complain() {
    echo "$1: $2" >&2
    bad=1
}

while IFS='|' read -r folder ours theirs; do
    folder=$(xargs <<<"$folder")
    [ -n "$folder" ] || continue
    for file in "$folder"/*.[ch]; do
        [ -e "$file" ] || continue
        while read -r line; do
            name=$(sed -E 's/^[^"<]*["<]([^">]*)[">].*/\1/' <<<"$line")
            if [[ $line == *'"'* ]]; then
                [[ $name == */* ]] || complain "$file" "includes \"$name\": write the path from the repository root"
                [[ " $ours $folder " == *" $(dirname "$name") "* ]] || complain "$file" "$folder may not include \"$name\""
            elif [[ $name =~ $third_party ]]; then
                allowed=no
                for prefix in $theirs; do [[ $name != "$prefix"* ]] || allowed=yes; done
                [ $allowed = yes ] || complain "$file" "$folder may not include <$name>"
            fi
        done < <(grep -E '^[[:space:]]*#[[:space:]]*include[[:space:]]' "$file" || true)
    done
done <<<"$layers"

# A folder that is not in the list would escape it.
while read -r folder; do
    grep -qE "^$folder +\|" <<<"$layers" || complain "$folder" "has no line in tools/check_layers.sh"
done < <(git ls-files 'lib/*.[ch]' 'jobs/*.[ch]' 'fcgi/*.[ch]' 'worker/*.[ch]' | xargs -r -n1 dirname | sort -u)
exit $bad
