#!/usr/bin/python3
"""make bench: speed, measured side by side with a yardstick in the same run, reported as ratios.

    bench.py [engine] [json] [l1] [hits] [hit_cost] [half_peak] [dataset_hit] [precompute] [webhooks] [whale] [collection]
             [preload] [events] [timeline] [outbox] [warm]
             [replay] [slow_db] [degraded] [recovery]        no name: all of them

Environment: BUILD_DIR (default build/release), ROUNDS (5), SECONDS (3) a measurement, USERS (1000), TRADES (2000), SQL_USERS (20),
WEBHOOKS (10000), WHALE_TRADES (1000000), EVENTS (200), REPLAY_USERS (1000).
The last lines are `bench: NAME = VALUE`. docs/benchmarks.md says what each figure means.
"""
import importlib
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path

from common import figures, fill_journal, parts
from harness import Servers


def load_parts():
    """The parts in their order; each file of parts/ registers its own."""
    for path in sorted((Path(__file__).parent / "parts").glob("*.py")):
        importlib.import_module(f"parts.{path.stem}")
    return {name: run for name, (_, run) in sorted(parts.items(), key=lambda item: item[1][0])}


def main():
    benches = load_parts()
    names = sys.argv[1:] or list(benches)
    for name in names:
        if name not in benches:
            sys.exit(f"bench: unknown benchmark '{name}'; there are: {', '.join(benches)}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    state = tempfile.mkdtemp(prefix="pnlcache-state.", dir="/tmp")
    os.chmod(state, 0o711)
    servers = None
    try:
        os.environ.setdefault("REDIS_MAXMEMORY", "2gb")
        servers = Servers(state)
        servers.apply_schema()
        fill_journal(servers)
        for name in names:
            benches[name](servers)
    finally:
        if servers:
            servers.stop()
        shutil.rmtree(state, ignore_errors=True)
    print("\n".join(figures))


if __name__ == "__main__":
    main()
