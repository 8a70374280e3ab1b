#!/usr/bin/env python3
"""Tells pnlcache that a user's trades changed. Standard library only; copy send().

    WEBHOOK_SECRET=whsec_... PNLCACHE_URL=https://journal.example ./send.py BODY

BODY is an event, or an array of up to 1000. Prints the answer.
"""
import base64
import hashlib
import hmac
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request


def send(url, secret, events, attempts=5):
    """Sends an event (a dict) or several (a list of them) and returns the answer, once the change is in effect: from
    then on nobody is served an older number. Raises urllib.error.URLError when it was refused or nobody answered."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    body = json.dumps(events).encode()
    id = "msg_" + secrets.token_hex(16)  # one for each event, the same for each attempt
    for attempt in range(1, attempts + 1):
        now = str(int(time.time()))  # of this attempt
        signature = base64.b64encode(hmac.digest(key, f"{id}.{now}.".encode() + body, hashlib.sha256)).decode()
        request = urllib.request.Request(url + "/api/webhooks/trades", data=body, headers={
            "Content-Type": "application/json", "webhook-id": id, "webhook-timestamp": now,
            "webhook-signature": "v1," + signature})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            if refused.code != 429 and refused.code < 500 or attempt == attempts:
                raise  # the event or the secret is wrong, or it was enough
        except OSError:
            if attempt == attempts:
                raise
        time.sleep(attempt)


if __name__ == "__main__":
    try:
        print(json.dumps(send(os.environ["PNLCACHE_URL"], os.environ["WEBHOOK_SECRET"], json.loads(sys.argv[1]))))
    except urllib.error.HTTPError as error:
        sys.exit(f"webhook refused: {error.code} {error.read().decode()}")
