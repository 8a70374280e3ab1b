"""Drives tests/programs/fault_proxy.c, which says what each command does. Directions: "up" (to the server), "down", "both".

    with FaultProxy("unix:/tmp/proxy.sock", "unix:/tmp/redis.sock") as proxy:
        proxy.stall("down")
        ...
        proxy.let_pass()

In front of the private servers stand the fixtures redis_proxy and postgres_proxy, and as many more as start_redis_proxy()
and start_postgres_proxy() make; `url` is what a program connects to instead.
"""
import subprocess

from harness import BUILD, wait_until


def escape(text):
    return text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")


def redis_words(*words):
    """A command as it travels, for hold(): "$5\\r\\nHMGET\\r\\n$9\\r\\nepoch:{u}\\r\\n"."""
    return "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)


class FaultProxy:
    url = None

    def __init__(self, listen, upstream):
        self.process = subprocess.Popen([BUILD / "tests/programs/fault_proxy", listen, upstream], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        line = self.process.stdout.readline()
        assert line.startswith("listening "), "the fault proxy did not start"
        self.address = line.split()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process.stdin.closed:
            return
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        self.process.stdout.close()

    def command(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        answer = self.process.stdout.readline()
        assert answer.startswith("ok"), (words, answer)
        return answer.strip()

    # Rules, until let_pass()

    def delay(self, ms, direction="both"):
        self.command("delay", direction, ms)

    def throttle(self, bytes_per_second, direction="both"):
        self.command("throttle", direction, bytes_per_second)

    def stall(self, direction="both"):
        self.command("stall", direction)

    # Traps: for the first connection that meets them

    def stall_after(self, n, direction="down"):
        self.command("stall", direction, n)

    def hold(self, text, direction="up"):
        """Holds back the first piece that contains the text, and what follows it on that connection."""
        self.command("hold", direction, escape(text))

    def cut(self, n, direction="down"):
        self.command("cut", direction, n)

    def reset(self, n, direction="down"):
        self.command("reset", direction, n)

    def flip(self, n, direction="down"):
        self.command("flip", direction, n)

    def half_close(self, n, direction="down"):
        self.command("half-close", direction, n)

    def wait_sprung(self, n=1, timeout=20):
        """Until n traps have been sprung since the proxy began."""
        wait_until(lambda: self.status()["sprung"] >= n, timeout, what="a connection to meet the trap")

    # At once

    def let_pass(self):
        self.command("pass")

    def close_all(self):
        self.command("close")

    def reset_all(self):
        self.command("reset")

    def refuse(self):
        """As if the server did not run; present connections stay."""
        self.command("listen", "off")

    def accept(self):
        self.command("listen", "on")

    def status(self):
        return {name: int(value) for name, value in (word.split("=") for word in self.command("status").split()[1:])}
