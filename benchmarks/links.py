"""Links between the processes of one machine, as slow as a network of some delay and bandwidth; bytes are counted.

Each process is told its own address, and in the place of every other one's that of a proxy, which hands on what either
says as late as the network would. This needs no rights that a user lacks, nor a kernel that can delay packets.
"""

import dataclasses
import json
import queue
import socket
import threading
import time

_CHUNK = 1 << 16  # bytes that are handed on at once, far less than a step sends
_AHEAD = 256  # chunks that are on their way between two processes


@dataclasses.dataclass(frozen=True)
class Link:
    """What each worker is connected by: seconds from one to another, and bytes per second that it can send."""

    delay: float = 0.0
    bandwidth: float = float("inf")


class _Sender:
    """The side of a worker that sends: its bytes leave one after another."""

    def __init__(self, link):
        self.bytes, self._link, self._free, self._lock = 0, link, 0.0, threading.Lock()

    def due(self, size):
        """Takes up so many bytes; returns when they are there."""
        with self._lock:
            self.bytes += size
            self._free = max(self._free, time.monotonic()) + size / self._link.bandwidth
            return self._free + self._link.delay


class Cluster:
    """The workers of one machine, as TF_CONFIG names them, and the links between them.

    Args:
      count: of the workers.
      link: between any two of them.
    """

    def __init__(self, count, link):
        self._own = free_addresses(count)
        self._senders = [_Sender(link) for _ in range(count)]
        self._listeners = {(one, other): _listener() for one in range(count) for other in range(count) if one != other}
        for (one, other), listener in self._listeners.items():
            threading.Thread(target=self._serve, args=[one, other, listener], daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for listener in self._listeners.values():
            listener.close()

    def task(self, index):
        """The TF_CONFIG of a worker."""
        ports = {other: listener.getsockname()[1] for (one, other), listener in self._listeners.items() if one == index}
        addresses = [f"127.0.0.1:{ports[other]}" if other in ports else own for other, own in enumerate(self._own)]
        return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})

    def sent(self):
        """Bytes that each worker has sent so far."""
        return [sender.bytes for sender in self._senders]

    def _serve(self, one, other, listener):
        """Takes connections of a worker to another."""
        host, port = self._own[other].split(":")
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection((host, int(port)))
            except OSError:  # closed at the end; before that, the other worker is not there yet, and is tried again
                if listener.fileno() < 0:
                    return
                near.close()
                continue
            for source, target, sender in [(near, far, one), (far, near, other)]:
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=_hand_on, args=[source, target, self._senders[sender]], daemon=True).start()


def free_addresses(count):
    """Addresses of this machine with ports, all different, that nobody listens on."""
    sockets = [_listener() for _ in range(count)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def _listener():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def _hand_on(source, target, sender):
    """Hands bytes on when they are due, until either side closes."""
    chunks = queue.Queue(_AHEAD)
    threading.Thread(target=_deliver, args=[chunks, target], daemon=True).start()
    try:
        while chunk := source.recv(_CHUNK):
            chunks.put((sender.due(len(chunk)), chunk))
    except OSError:
        pass  # it was killed
    chunks.put((0.0, b""))


def _deliver(chunks, target):
    while True:
        due, chunk = chunks.get()
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            if chunk:
                target.sendall(chunk)
            else:
                return target.shutdown(socket.SHUT_WR)
        except OSError:
            return None
