#!/usr/bin/python3
"""A WebSocket server that tells browsers when to fetch again: pnlcache's messages go to those who may see them.

    REDIS_URL=unix:///run/redis/redis.sock JWT_SECRET=... ./push.py 127.0.0.1 8765

    const socket = new WebSocket("wss://example.com/push?token=" + token);
    socket.onmessage = message => refetch(JSON.parse(message.data).sections);

Needs Debian's python3-redis and python3-websockets. Each user's connections get that user's messages only; one that does not read is
dropped. After a lost connection to Redis everybody is told to fetch everything, because messages may have been missed.
"""
import asyncio
import base64
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.parse

import redis.asyncio
import websockets

CHANNEL = os.environ.get("KEY_PREFIX", "") + "pnlcache:updated"
connections = {}  # user -> set of sockets


def user_of(token, secret):
    """The user of an HS256 token, as pnlcache issues and checks them; None when it is not good."""
    try:
        head, claims, signature = token.split(".")
        mac = hmac.new(secret, f"{head}.{claims}".encode(), hashlib.sha256).digest()
        decode = lambda text: base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if json.loads(decode(head))["alg"] != "HS256" or not hmac.compare_digest(mac, decode(signature)):
            return None
        claims = json.loads(decode(claims))
        return claims["sub"] if claims["exp"] > time.time() else None
    except (ValueError, KeyError, TypeError):
        return None


def path_of(socket):
    """From version 14 of websockets on it is the request's."""
    return socket.request.path if hasattr(socket, "request") else socket.path


async def serve(socket):
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(path_of(socket)).query)
    user = user_of(query.get("token", [""])[0], os.environ["JWT_SECRET"].encode())
    if user is None:
        await socket.close(1008, "a valid token is needed")
        return
    connections.setdefault(user, set()).add(socket)
    try:
        await socket.wait_closed()
    finally:
        connections[user].discard(socket)
        if not connections[user]:
            del connections[user]


async def forward():
    while True:
        try:
            async with redis.asyncio.from_url(os.environ["REDIS_URL"]) as client, client.pubsub() as subscription:
                await subscription.subscribe(CHANNEL)
                websockets.broadcast([s for sockets in connections.values() for s in sockets], '{"sections": null}')
                async for message in subscription.listen():
                    if message["type"] == "message":
                        text = message["data"].decode()
                        websockets.broadcast(connections.get(json.loads(text)["user"], ()), text)
        except (redis.exceptions.RedisError, OSError):
            await asyncio.sleep(1)


async def main(address, port):
    async with websockets.serve(serve, address, int(port), ping_interval=20):
        await forward()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
