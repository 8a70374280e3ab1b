"""A wall clock that a test sets, for every program that is started with its settings (tests/preload/wall_clock.c)."""
import mmap
import os
import struct
import time

from harness import BUILD

NS = 10**9


class WallClock:
    def __init__(self, path):
        path.write_bytes(struct.pack("=q", 0))
        path.chmod(0o644)
        with open(path, "r+b") as f:
            self.file = mmap.mmap(f.fileno(), 8)
        self.settings = {"LD_PRELOAD": str(BUILD / "tests/preload/wall_clock.so"), "PNLCACHE_WALL_CLOCK": str(path)}
        if "ASAN_OPTIONS" in os.environ:  # the library comes before the sanitizer's own
            self.settings["ASAN_OPTIONS"] = os.environ["ASAN_OPTIONS"] + ":verify_asan_link_order=0"

    def set_offset(self, seconds):
        """What it is ahead of the true time."""
        self.file[:8] = struct.pack("=q", int(seconds * NS))

    def set(self, seconds):
        """Seconds since 1970; it goes on from there."""
        self.set_offset(seconds - time.time())

    def now(self):
        return time.time() + struct.unpack("=q", self.file[:8])[0] / NS
