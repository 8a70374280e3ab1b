"""A FastCGI client that sends at a fixed rate, whatever the answers do: an answer's time counts from when its request was due,
so that a stall is seen in every request it holds up, not only in those that were under way."""
import collections
import selectors
import socket
import time

END = b"\x01\x03\x00\x01\x00\x08"  # of the record that ends request 1


class OpenLoop:
    def __init__(self, path, n_connections):
        self.selector = selectors.EpollSelector()
        self.free = collections.deque()
        self.pending = {}  # socket: [due, bytes so far]
        for _ in range(n_connections):
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            self.selector.register(s, selectors.EVENT_READ)
            self.free.append(s)

    def close(self):
        for s in [*self.free, *self.pending]:
            s.close()
        self.selector.close()

    def run(self, requests, rate, seconds):
        """Sends the iterator's requests (bytes) for so long, waits for all answers; [(status, seconds it took), ...]."""
        begin = time.monotonic()
        results, n_due, n = [], 0, int(rate * seconds)
        while n_due < n or self.pending:
            now = time.monotonic()
            while n_due < n and begin + n_due / rate <= now and self.free:
                s = self.free.popleft()
                s.sendall(next(requests))
                self.pending[s] = [begin + n_due / rate, b""]
                n_due += 1
            until = begin + n_due / rate if n_due < n and self.free else now + 1
            self._read(max(0, until - time.monotonic()), results)
        return results

    def _read(self, timeout, results):
        for key, _ in self.selector.select(timeout):
            s = key.fileobj
            entry = self.pending[s]
            more = s.recv(1 << 20)
            assert more, "the responder closed a connection"
            entry[1] += more
            if entry[1][-16:-10] == END:
                status = int(entry[1][16:19]) if entry[1][8:16] == b"Status: " else 200  # after the record's head
                results.append((status, time.monotonic() - entry[0]))
                del self.pending[s]
                self.free.append(s)


def percentile_ms(results, share):
    times = sorted(seconds for _, seconds in results)
    return times[min(len(times) - 1, int(share * len(times)))] * 1000
