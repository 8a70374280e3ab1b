#!/bin/sh
# Fills a journal that sql/apply.sh created:
#
#     tools/load_sample.sh                          a generated journal (sql/sample/generate.sql)
#     tools/load_sample.sh DIR [SHIFT_TO=today]     stocks.csv, options.csv, daily_bars.csv, latest_price.csv of a folder
#
# Any of the files may be missing, but not all. A bad line is reported with its file, number and reason, and
# then nothing is loaded. SHIFT_TO=today moves each user's dates by whole weeks so that the last exit falls in the past seven days.
# The database is DATABASE_URL (the journal's owner), or what the PG* environment says.
set -eu

here=$(dirname "$0")
fail() {
    echo "load_sample.sh: $*" >&2
    exit 2
}

run_psql() {
    exec psql --no-psqlrc --quiet ${DATABASE_URL:+--dbname="$DATABASE_URL"} "$@"
}

[ $# -le 2 ] || fail "expected DIR [SHIFT_TO=today]"
[ $# -gt 0 ] || run_psql --file="$here/../sql/sample/generate.sql"

directory=$1
case ${2:-} in
    '') shift_dates=off ;;
    SHIFT_TO=today) shift_dates=on ;;
    *) fail "$2: expected SHIFT_TO=today" ;;
esac
found=
for file in stocks.csv options.csv daily_bars.csv latest_price.csv; do
    [ ! -e "$directory/$file" ] || found=yes
    [ ! -e "$directory/$file" ] || [ -r "$directory/$file" ] || fail "$directory/$file: cannot be read"
done
[ -n "$found" ] || fail "$directory: no stocks.csv, options.csv, daily_bars.csv or latest_price.csv in it"

/usr/bin/python3 "$here/csv_to_copy.py" "$directory" | run_psql --set=shift="$shift_dates" --file="$here/load_sample.sql"
