#!/bin/sh
# Creates or updates everything pnlcache needs in a PostgreSQL database (14 or later), in one transaction:
#
#     sql/apply.sh [CONNECTION]
#
# CONNECTION is a libpq URI or keyword string of the database's owner; without it, the PG* environment.
# Running it again is harmless. The numbered files are applied in order; an application with its own
# tables applies 10 and 20 with psql, and then its own version of 40 instead of the rest (70 works over any version of 40); its dataset
# files are its own too.
set -eu

here=$(dirname "$0")
set -- --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --single-transaction ${1:+--dbname="$1"}
for file in "$here"/[0-9]*.sql; do
    set -- "$@" --file="$file"
done
# "already exists, skipping" is what a second run is for: not worth a line.
PGOPTIONS="${PGOPTIONS:-} -c client_min_messages=warning" exec psql "$@"
