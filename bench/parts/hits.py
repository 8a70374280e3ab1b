"""Hits through nginx: the responder against what else could answer the same bytes."""
import statistics

from common import ROUNDS, SECONDS, figure, part, say
from web_rivals import Rivals


def measure(asks, connections, rounds):
    """Requests per second, a row of all for each round; in each round everybody has a turn of a second, each time another one first."""
    names, rows = list(asks), []
    for round_ in range(rounds):
        order = [names[(i + round_) % len(names)] for i in range(len(names))]
        rows.append({name: asks[name](connections) for name in order})
        say(f"  {connections} connections, round {round_ + 1}/{rounds}: " + ", ".join(f"{name} {rows[-1][name]:.0f}/s" for name in names))
    say(f"  {connections} connections, medians: " + ", ".join(f"{name} {statistics.median(row[name] for row in rows):.0f}/s" for name in names))
    return rows


def over(rows, name, rival):
    """The median of the rounds' ratios: a machine that is slow for half a minute is so for both."""
    return statistics.median(row[name] / row[rival] for row in rows)


@part("hits", 40)
def bench_hits(servers):
    say("hits through nginx, JWT verified: from the responder's memory, from Redis, 304, not compressed; the rivals")
    rivals = Rivals(servers, 1)
    try:
        say(f"  body of {len(rivals.body)} bytes")
        few = measure(rivals.asks, 64, ROUNDS * SECONDS)
        many = measure({name: rivals.asks[name] for name in ("l1", "redis", "not_modified", "echo")}, 1000, ROUNDS * SECONDS)
    finally:
        rivals.close()
    for rival in "echo", "static", "lua", "lua_open", "webdis":
        figure(f"hit_l1_vs_{rival}", over(few, "l1", rival))
    figure("hit_l1_vs_same_bytes", over(few, "l1", "same"))
    for rival in "echo", "lua", "webdis":
        figure(f"same_bytes_vs_{rival}", over(few, "same", rival))
    figure("hit_redis_vs_echo", over(few, "redis", "echo"))
    figure("hit_redis_vs_webdis", over(few, "redis", "webdis"))
    figure("hit_l1_users_vs_echo", over(few, "l1_users", "echo_users"))
    figure("hit_redis_users_vs_echo", over(few, "redis_users", "echo_users"))
    figure("not_modified_vs_echo", over(few, "not_modified", "echo"))
    figure("hit_identity_vs_echo", over(few, "identity", "echo"))
    for name in "l1", "redis", "not_modified":
        figure(f"{name if name == 'not_modified' else 'hit_' + name}_vs_echo_1000", over(many, name, "echo"))
