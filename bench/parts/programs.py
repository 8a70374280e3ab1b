"""The engine, the JSON writer and L1 from memory: programs of their own."""
import re
import statistics
import subprocess

from harness import BUILD

from common import ROUNDS, figure, part, say


def program_figures(name):
    """Runs a benchmark program ROUNDS times: its remarks once, the median of each figure."""
    runs = [subprocess.run([BUILD / "bench" / name], capture_output=True, text=True, check=True).stdout for _ in range(ROUNDS)]
    for line in runs[0].splitlines():
        if not line.startswith("bench: "):
            say("  " + line)
    values = [dict(re.findall(r"^bench: (\w+) = ([\d.]+)$", run, re.MULTILINE)) for run in runs]
    for figure_name in values[0]:
        figure(figure_name, statistics.median(float(value[figure_name]) for value in values))


@part("engine", 10)
def bench_engine(_):
    say("the engine from memory: core, risk and performance over all eight ranges together")
    program_figures("engine_bench")


@part("l1", 30)
def bench_l1(_):
    say("a lookup in the responder's own memory, value and epochs, judged")
    program_figures("l1_bench")


@part("json", 20)
def bench_json(_):
    say("writing JSON: the precomputed sections of one report, beside the generic library")
    program_figures("json_bench")
