#!/bin/sh
# Tells pnlcache that a user's trades changed. Needs curl and openssl.
#
#   WEBHOOK_SECRET=whsec_... PNLCACHE_URL=https://journal.example ./send.sh BODY
#
# BODY is an event, or an array of up to 1000:
#   {"type":"trade.updated","timestamp":"2026-01-05T15:00:00Z","data":{"user_id":"u-42","asset":"stocks","trade_ids":[7]}}
#
# Prints the answer. Ends with 0 once the change is in effect: from then on nobody is served an older number.
set -eu
body=$1
key=$(printf %s "${WEBHOOK_SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
id=msg_$(openssl rand -hex 16) # one for each event, the same for each attempt
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

attempt=1
while :; do
    now=$(date +%s) # of this attempt
    signature=$(printf %s "$id.$now.$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
    status=$(curl -s -o "$answer" -w '%{http_code}' --max-time 30 "$PNLCACHE_URL/api/webhooks/trades" \
        -H 'Content-Type: application/json' -H "webhook-id: $id" -H "webhook-timestamp: $now" \
        -H "webhook-signature: v1,$signature" --data-binary "$body") || status=000
    case $status in
    2??) break ;;
    000 | 429 | 5??) ;; # not now: send it again
    *) attempt=99 ;;    # never: the event or the secret is wrong
    esac
    if [ "$attempt" -ge 5 ]; then
        echo "webhook refused: $status $(cat "$answer")" >&2
        exit 1
    fi
    sleep "$attempt"
    attempt=$((attempt + 1))
done
cat "$answer"
echo
