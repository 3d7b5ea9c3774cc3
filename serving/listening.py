"""Listens to many clients, and lets none that are slow, silent or many keep the others waiting."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ctypes
import gc
import threading
from collections.abc import Callable

import grpc

_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", 100),  # of a connection
    ("grpc.server_handshake_timeout_ms", 10_000),  # who says nothing, or nothing any more, is let go
    ("grpc.max_connection_idle_ms", 600_000),
    ("grpc.keepalive_time_ms", 60_000),
]
_TIDY = 5.0  # seconds from one giving back of memory to the next

Services = Callable[[grpc.aio.Server, concurrent.futures.Executor], None]


class Server:
    """A server that listens, and answers in threads of its own.

    A request takes one of the threads once all of it has arrived. So those who begin requests and send nothing take
    none from the others.
    """

    def __init__(self, services: Services, address: str, threads: int, max_bytes: int):
        """Starts to listen.

        Args:
          services: adds to a server the services that answer, in threads.
          address: host and port; port 0 for any that is free, which `port` says then.
          threads: how many requests may run at once.
          max_bytes: the size of the largest message.

        Raises:
          RuntimeError: if it cannot listen there.
        """
        self._loop = asyncio.new_event_loop()
        self._threads = concurrent.futures.ThreadPoolExecutor(threads)
        self._turning = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._turning.start()
        try:
            self.port: int = self._run(self._start(services, address, max_bytes))
        except BaseException:
            self._end()
            raise

    def stop(self, grace: float) -> None:
        """Takes no more requests; those that run have `grace` seconds left."""
        self._loop.call_soon_threadsafe(self._tidying.cancel)
        self._run(self._server.stop(grace))
        self._end()

    async def _start(self, services, address, max_bytes):
        options = [("grpc.max_receive_message_length", max_bytes), *_OPTIONS]
        self._server = grpc.aio.server(options=options)
        services(self._server, self._threads)
        port = self._server.add_insecure_port(address)
        await self._server.start()
        self._tidying = asyncio.create_task(self._tidy())
        return port

    async def _tidy(self):
        while True:
            await asyncio.sleep(_TIDY)
            await self._loop.run_in_executor(None, _give_back)

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _end(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._turning.join()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _give_back() -> None:
    """Gives memory that large requests took back to the system, where its C library can; else it would stay."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
