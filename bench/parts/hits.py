"""Hits through nginx: the responder against what else could answer the same bytes."""
import statistics

from common import ROUNDS, SECONDS, figure, part, say
from web_rivals import Rivals


def measure(asks, connections):
    """Medians of requests per second; in each round everybody has a turn, each time another one first."""
    rates = {name: [] for name in asks}
    names = list(asks)
    for round_ in range(ROUNDS):
        for i in range(len(names)):
            name = names[(i + round_) % len(names)]
            rates[name].append(asks[name](connections))
        say(f"  {connections} connections, round {round_ + 1}/{ROUNDS}: " + ", ".join(f"{name} {rates[name][-1]:.0f}/s" for name in names))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    say(f"  {connections} connections, medians: " + ", ".join(f"{name} {rate:.0f}/s" for name, rate in medians.items()))
    return medians


@part("hits", 40)
def bench_hits(servers):
    say("hits through nginx, JWT verified: from the responder's memory, from Redis, 304, not compressed; the rivals")
    rivals = Rivals(servers, SECONDS)
    try:
        say(f"  body of {len(rivals.body)} bytes")
        few = measure(rivals.asks, 64)
        many = measure({name: rivals.asks[name] for name in ("l1", "redis", "not_modified", "echo")}, 1000)
    finally:
        rivals.close()
    for rival in "echo", "static", "lua", "lua_open", "webdis":
        figure(f"hit_l1_vs_{rival}", few["l1"] / few[rival])
    figure("hit_l1_vs_same_bytes", few["l1"] / few["same"])
    figure("hit_redis_vs_echo", few["redis"] / few["echo"])
    figure("hit_redis_vs_webdis", few["redis"] / few["webdis"])
    figure("hit_l1_users_vs_echo", few["l1_users"] / few["echo_users"])
    figure("hit_redis_users_vs_echo", few["redis_users"] / few["echo_users"])
    figure("not_modified_vs_echo", few["not_modified"] / few["echo"])
    figure("hit_identity_vs_echo", few["identity"] / few["echo"])
    figure("hit_l1_vs_echo_1000", many["l1"] / many["echo"])
    figure("hit_redis_vs_echo_1000", many["redis"] / many["echo"])
    figure("not_modified_vs_echo_1000", many["not_modified"] / many["echo"])
