"""Tests of links that are as slow as a network: what comes out, when, and how many bytes are counted."""

import json
import socket
import threading
import time

from benchmarks import links

_DELAY, _BANDWIDTH, _SIZE = 0.1, 2e6, 500_000  # seconds, bytes per second, bytes


def _addresses(cluster, index):
    task = json.loads(cluster.task(index))
    assert task["task"] == {"type": "worker", "index": index}
    return [(host, int(port)) for host, port in (each.split(":") for each in task["cluster"]["worker"])]


def _echo(server):
    """Sends back what one connection says."""
    with server, server.accept()[0] as connection:
        while received := connection.recv(1 << 16):
            connection.sendall(received)


def test_bytes_come_out_as_they_went_in_and_as_late_as_the_network_is_slow():
    sent = bytes(range(256)) * (_SIZE // 256)
    with links.Cluster(2, links.Link(_DELAY, _BANDWIDTH)) as cluster:
        (own, to_other), (to_first, other) = _addresses(cluster, 0), _addresses(cluster, 1)
        assert len({own, to_other, to_first, other}) == 4
        threading.Thread(target=_echo, args=[socket.create_server(other)], daemon=True).start()
        begun, received = time.monotonic(), b""
        with socket.create_connection(to_other, timeout=30) as connection:
            threading.Thread(target=connection.sendall, args=[sent], daemon=True).start()
            while len(received) < len(sent):
                received += connection.recv(1 << 16)
        assert received == sent and cluster.sent() == [len(sent), len(sent)]
        assert time.monotonic() - begun > 2 * _DELAY + len(sent) / _BANDWIDTH


def test_one_that_is_not_there_yet_is_tried_again_by_who_asked():
    with links.Cluster(2, links.Link()) as cluster:
        _, to_other = _addresses(cluster, 0)
        for _ in range(2):
            with socket.create_connection(to_other, timeout=30) as connection:
                assert connection.recv(1) == b""  # closed, as if nobody listened
