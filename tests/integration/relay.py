"""A relay between a program and a server on Unix sockets, whose replies a test can hold back, as a network that swallows
them does, without either end noticing."""
import os
import socket
import threading


class _Connection:
    def __init__(self, relay, client, server):
        self.relay, self.client, self.server = relay, client, server
        self.asked = b""  # all that the client has said
        self.told = b""  # all that was passed on to it
        self.may_pass = threading.Event()
        self.may_pass.set()
        for pump in (self._pump_requests, self._pump_replies):
            threading.Thread(target=pump, daemon=True).start()

    def _pump_requests(self):
        try:
            while data := self.client.recv(65536):
                self.asked += data
                if self.relay.pattern and self.relay.pattern in data:
                    self.may_pass.clear()
                self.server.sendall(data)
        except OSError:
            pass
        self.close()

    def _pump_replies(self):
        try:
            while data := self.server.recv(65536):
                self.may_pass.wait()
                self.client.sendall(data)
                self.told += data
        except OSError:
            pass
        self.close()

    def close(self):
        for s in (self.client, self.server):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Relay:
    """Listens at `path` and passes on to `target`."""

    def __init__(self, path, target):
        self.path, self.target = str(path), str(target)
        self.connections = []
        self.pattern = None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.target)
            except OSError:
                client.close()
                continue
            self.connections.append(_Connection(self, client, server))

    def of(self, words):
        """The connections on which these bytes were asked."""
        return [c for c in self.connections if words in c.asked]

    def hold(self, connections):
        """From now on their replies do not arrive, nor does anything else."""
        for c in connections:
            c.may_pass.clear()

    def hold_replies_to(self, pattern):
        """From now on no connection gets a reply any more once it has asked something with these bytes."""
        self.pattern = pattern

    def release(self):
        """What was held arrives, late."""
        self.pattern = None
        for c in self.connections:
            c.may_pass.set()

    def close(self):
        self.listener.close()
        self.release()
        for c in self.connections:
            c.close()
        os.unlink(self.path)
