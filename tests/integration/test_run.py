"""`make run`, from a fresh state to Ctrl-C, as a newcomer would use it."""
import base64
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg2
import pytest

from harness import BUILD, ROOT, SANITIZER_REPORT, Web, free_port, sign_webhook, token, wait_until

CSV = {
    "stocks.csv": """id,user_id,symbol,trade_type,order_type,number_shares,entry_price,exit_price,stop_loss,commissions,fees,entry_date,exit_date
1,ann,ACME,BUY,MARKET,100,10,11,,1,0,2024-03-01T15:00:00Z,2024-03-04T15:00:00Z
2,ann,ACME,BUY,MARKET,100,10,9.5,,1,0,2024-03-05T15:00:00Z,2024-03-06T15:00:00Z
3,bob,XYZ,SELL,MARKET,10,50,40,,0,0,2024-03-01T15:00:00Z,2024-03-04T15:00:00Z
""",
    "options.csv": """id,user_id,symbol,strategy_type,trade_direction,side,option_type,strike_price,expiration_date,number_of_contracts,multiplier,entry_price,exit_price,commissions,fees,entry_date,exit_date,status
1,ann,ACME,Long Call,Bullish,long,Call,10,2024-06-21,1,100,2,3,1,0,2024-03-01T15:00:00Z,2024-03-04T15:00:00Z,closed
""",
}

# The build under test, with the flags it was made with.
MAKE_RUN = ["make", "--no-print-directory", "run", f"B={BUILD.relative_to(ROOT)}",
            "VARIANT=" + (BUILD.name if BUILD.name in ("asan", "tsan") else "release")]


class Run:
    """A make run in the background."""

    def __init__(self, state, port, *variables):
        self.state, self.port = state, port
        self.log = Path(f"{state}.out")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [*MAKE_RUN, f"STATE={state}", f"PORT={port}", *variables],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # ignored when the tests run in the background
        self.web = Web(port)

    def output(self):
        return self.log.read_text()

    def wait_ready(self):
        def ready():
            assert self.process.poll() is None or "ready:" in self.output(), self.output()
            return re.search(r"^ready: (\S+)$", self.output(), re.M)

        assert wait_until(ready, timeout=300, what="make run to be ready").group(1) == f"http://127.0.0.1:{self.port}/"
        return self

    def env(self):
        return dict(word.split("=", 1) for word in shlex.split((self.state / "env").read_text()))

    def interrupt(self):
        """Ctrl-C: the terminal signals the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(60)

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def processes_of(run_dir):
    """Command lines and environments that name a run directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or entry.name == str(os.getpid()):
            continue
        try:
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(run_dir).encode() in words:
            found.append(words[:100])
    return found


@pytest.fixture
def place():
    """A directory for a state, and its sample folder; whatever still runs there afterwards is stopped."""
    directory = Path(tempfile.mkdtemp(prefix="pnlcache-run-test.", dir="/tmp"))
    os.chmod(directory, 0o755)
    sample = directory / "sample"
    sample.mkdir()
    for name, text in CSV.items():
        (sample / name).write_text(text)
    runs = []

    def start(*variables, port=None):
        run = Run(directory / "state", port or free_port(), *variables)
        runs.append(run)
        return run

    start.sample = sample
    start.state = directory / "state"
    yield start
    for run in runs:
        if run.process.poll() is None:
            run.kill()
    subprocess.run([ROOT / "tools/private_servers.sh", "stop", directory / "state"], check=True)
    logs = "".join(log.read_text(errors="replace") for log in directory.glob("state/log/*.log"))
    shutil.rmtree(directory)
    assert not SANITIZER_REPORT.search(logs), logs


def analytics(run, user, path="/api/stocks/analytics?time_range=all_time"):
    answer = run.web.get(path, token_=token(user, secret=run.env()["JWT_SECRET"]))
    assert answer.status == 200, answer
    return answer


def test_run_serves_the_sample_and_the_tour_works(place):
    run = place(f"SAMPLE={place.sample}", "SHIFT_TO=today").wait_ready()
    env = run.env()
    assert set(env) == {"BASE_URL", "DATABASE_URL", "PNLCACHE_DATABASE_URL", "REDIS_URL", "PNLCACHE_CONF", "DATASET_DIR", "JWT_SECRET",
                        "WEBHOOK_SECRETS"}
    assert (place.state / "env").stat().st_mode & 0o777 == 0o600

    # The page, and the ready-made curl line as printed.
    page = run.web.get("/")
    files = re.findall(r'(?:src|href)="([^"/:]+\.(?:js|css))"', page.body.decode())
    assert page.status == 200 and len(files) == 3
    assert [run.web.get("/" + name).status for name in files] == [200] * 3
    line = next(line for line in run.output().splitlines() if line.startswith("curl "))
    shown = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert '"success":true' in shown.replace(" ", "")

    # A page's user, its token and the precomputed document.
    users = run.web.get("/users.json").json()
    assert [(u["user"], u["trades"]) for u in users] == [("ann", 3), ("bob", 1)]
    answer = run.web.get("/api/stocks/analytics?time_range=7d", token_=users[0]["token"])
    assert answer.json()["meta"]["trade_count"] == 2, "the last exit falls in the past seven days"
    assert "hit" in answer.headers["Cache-Status"], "make run precomputes"

    # A change with its webhook shows in the very next read.
    connection = psycopg2.connect(env["DATABASE_URL"])
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("UPDATE stocks SET is_deleted = true WHERE user_id = 'ann' AND id = 2")
    key = env["WEBHOOK_SECRETS"].removeprefix("whsec_")
    body = b'{"type": "trade.deleted", "timestamp": "%s", "data": {"user_id": "ann", "asset": "stocks", "trade_ids": [2]}}' % (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()).encode())
    assert run.web.post("/api/webhooks/trades", body, headers=sign_webhook(body, key=base64.b64decode(key))).status == 202
    assert analytics(run, "ann").json()["meta"]["trade_count"] == 1

    # A change without one is carried out by trigger and worker.
    with connection.cursor() as cursor:
        cursor.execute("UPDATE stocks SET is_deleted = false WHERE user_id = 'ann' AND id = 2")
    wait_until(lambda: analytics(run, "ann").json()["meta"]["trade_count"] == 2, what="the trigger's effect")

    # `pnlcache-worker token` makes the same kind of token.
    made = subprocess.run([BUILD / "pnlcache-worker", "token", "--user", "bob"], check=True, capture_output=True, text=True,
                          env={**os.environ, "PNLCACHE_CONF": str(place.state / "pnlcache.conf")}).stdout.strip()
    assert run.web.get("/api/stocks/analytics", token_=made).json()["meta"]["user_id"] == "bob"
    connection.close()

    run_dir = os.readlink(place.state / "run")
    run.interrupt()
    assert not Path(run_dir).exists()
    assert processes_of(run_dir) == []


def blocks(document, heading=""):
    """What a document has its reader type: its blocks of shell, as they stand there, but for the programs' folder."""
    text = (ROOT / document).read_text().partition(heading)[2] if heading else (ROOT / document).read_text()
    found = re.findall(r"^```sh\n(.*?)^```", text.partition("\n## ")[0], re.M | re.S)
    return ["set -e\n" + block.replace("build/release", str(BUILD.relative_to(ROOT))) for block in found]


MISS, HIT = "fwd=miss; stored", "hit"


def test_the_first_steps_with_datasets_work_as_written(place):
    run = place(f"SAMPLE={place.sample}").wait_ready()

    def shell(block):
        done = subprocess.run(["bash", "-c", block], cwd=ROOT, env={"PATH": os.environ["PATH"], "STATE": str(place.state)},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done
        return done.stdout

    def follow(document, heading, path, words, states):
        """Makes the endpoints, and uses them: how each answer came about, and in which a word was."""
        make, use = blocks(document, heading)
        assert re.search(r"^\d+ datasets are good$", shell(make), re.M)
        wait_until(lambda: run.web.get(path).status == 200, what="the new endpoint")
        shown = shell(use)
        answers = re.findall(r"^Cache-Status: pnlcache; (fwd=miss; stored|hit).*\r?\n(.*)$", shown, re.M)
        assert [state for state, _ in answers] == states, shown
        for word, where in words.items():
            assert [i for i, (_, body) in enumerate(answers) if word in body] == where, shown

    follow("docs/datasets.md", "## A first one", "/api/brokers?limit=3", {"Gamma": [2, 3]}, [MISS, HIT, MISS, HIT])
    follow("docs/examples/travel/README.md", "", "/api/occurrences/700", {"Eva": [5, 7], "Ida": [8, 9], "Bergen": [2, 3, 4, 7, 10]},
           [MISS] * 4 + [HIT, MISS, HIT, MISS, MISS, HIT, HIT])
    run.interrupt()


def test_a_second_run_keeps_data_and_secrets(place):
    first = place(f"SAMPLE={place.sample}").wait_ready()
    secret = first.env()["JWT_SECRET"]
    first.interrupt()
    second = place(f"SAMPLE={place.sample}").wait_ready()
    assert second.env()["JWT_SECRET"] == secret
    assert "loading" not in second.output()
    assert analytics(second, "ann").json()["meta"]["trade_count"] == 2
    second.interrupt()


def test_after_kill_9_the_next_start_cleans_up(place):
    first = place(f"SAMPLE={place.sample}").wait_ready()
    run_dir = os.readlink(place.state / "run")
    first.kill()
    assert processes_of(run_dir) != [], "the servers outlive a killed parent; else this test shows nothing"
    second = place(port=first.port).wait_ready()
    assert not Path(run_dir).exists()
    assert processes_of(run_dir) == []
    assert analytics(second, "ann").json()["meta"]["trade_count"] == 2
    second.interrupt()


def test_when_only_make_is_killed_everything_stops(place):
    run = place(f"SAMPLE={place.sample}").wait_ready()
    run_dir = os.readlink(place.state / "run")
    run.process.kill()
    wait_until(lambda: processes_of(run_dir) == [], what="everything to stop")


def test_a_state_or_port_in_use_is_refused_in_a_line_and_disturbs_nobody(place):
    first = place(f"SAMPLE={place.sample}").wait_ready()
    same_state = place()
    same_state.process.wait(60)
    assert f"{place.state} is in use by process" in same_state.output()
    other = subprocess.run([*MAKE_RUN, f"STATE={place.state}-other", f"PORT={first.port}"], cwd=ROOT, stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=60, check=False)
    assert other.returncode != 0
    assert f"port {first.port} of 127.0.0.1 is in use" in other.stderr
    assert analytics(first, "ann").status == 200
    first.interrupt()


def test_a_bad_csv_line_is_named_and_nothing_is_loaded(place):
    with open(place.sample / "stocks.csv", "a", encoding="utf-8") as out:
        out.write("4,bob,XYZ,SELL,MARKET,minus one,50,40,,0,0,2024-03-01T15:00:00Z,2024-03-04T15:00:00Z\n")
    run = place(f"SAMPLE={place.sample}")
    assert run.process.wait(120) != 0
    assert re.search(r"stocks\.csv:5\b", run.output()), run.output()
    assert "ready:" not in run.output()


def test_a_program_that_dies_stops_the_run_with_a_message(place):
    run = place(f"SAMPLE={place.sample}").wait_ready()
    run_dir = Path(os.readlink(place.state / "run"))
    os.kill(int((run_dir / "worker.pid").read_text().split()[0]), signal.SIGKILL)
    assert run.process.wait(60) != 0
    assert "worker has ended" in run.output()
    assert processes_of(run_dir) == []
