"""Pairs from a tf.data service: other processes or machines make them, and they are the same in the same order.

Each address is that of one service, `python -m input_pipeline.service`, with one worker: of W services, the k-th makes
the batches k, k + W, k + 2 W, ... Several workers behind one address would each make all batches, in any order. So a
batch comes with its number, and one that is not next ends the training.
"""

import re
import socket
import threading
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from dense_labels.registry import SOURCES

_ADDRESS = re.compile(r"grpc://([^:/,\s]+):(\d{1,5})")
_PATIENCE = 10.0  # seconds for a machine to answer
_WORK = 30.0  # seconds for a service to make something
_COMMAND = "python -m input_pipeline.service"
_ALL_OF_IT = tf.data.experimental.service.ShardingPolicy.OFF  # what a worker makes
_MANY = 1000  # more workers than anybody has
_AHEAD = 2  # batches of each service that wait here


def check(name: str, addresses: str) -> None:
    """Refuses services for a data set that they cannot read, before anything is made of it.

    Args:
      name: of the data set, `data.name`.
      addresses: as in `find`.

    Raises:
      ValueError: if there are services and the pairs need Python.
    """
    if addresses and not (name in SOURCES and SOURCES[name].facts.get("reads_in_graph")):
        raise ValueError(
            f"--data_service: config.data.name={name!r} is read by this process alone; write its pictures into shards "
            "with python -m input_pipeline.write_shards, and train on config.data.name='shards'"
        )


def find(addresses: str) -> tuple[str, ...]:
    """Reads the addresses of services, and has each make something: a service that fails is waited for without end.

    Args:
      addresses: such as "grpc://one:5050,grpc://two:5050"; "" for none.

    Returns:
      The addresses.

    Raises:
      ValueError: if one is not of the form grpc://HOST:PORT or there twice, nothing answers there, what answers makes
        nothing, or it has several workers.
    """
    found = tuple(addresses.split(",")) if addresses else ()
    places = [_ADDRESS.fullmatch(address) for address in found]
    if not all(places) or len(set(found)) < len(found):
        raise ValueError(f"--data_service={addresses}: must be grpc://HOST:PORT, or several, each once, with commas")
    for address, place in zip(found, places):
        try:
            socket.create_connection((place[1], int(place[2])), timeout=_PATIENCE).close()
        except (OSError, OverflowError, UnicodeError) as error:  # the last of a name that is none
            raise ValueError(f"no service answers at {address} ({error}); start it there with {_COMMAND}") from error
        if (workers := _workers(address)) != 1:
            raise ValueError(f"{address} has {workers} workers, which would repeat pairs; start it with {_COMMAND}")
    return found


def _workers(address: str) -> int:
    """Counts the workers of a service: each of them makes the one example that is asked for."""
    one = tf.data.Dataset.range(1).apply(tf.data.experimental.service.distribute(_ALL_OF_IT, address))
    made: list[np.ndarray] = []
    failed: list[str] = []

    def ask():
        try:
            made.extend(one.batch(_MANY).as_numpy_iterator())
        except tf.errors.OpError as error:
            failed.append(f" ({error.message.splitlines()[0]})")

    asking = threading.Thread(target=ask, daemon=True)  # it may be left waiting: TensorFlow tries again for hours
    asking.start()
    asking.join(_WORK)
    if not made:
        raise ValueError(
            f"{address} answers, but makes nothing{''.join(failed)}: start it with {_COMMAND} and the --host that "
            "this machine reaches it by, open its port and the next one, and run the same version of TensorFlow there"
        )
    return len(made[0])


def distribute(
    make: Callable[[tf.data.Dataset], tf.data.Dataset],
    indices: tf.data.Dataset,
    batch_size: int,
    services: Sequence[str],
) -> tf.data.Dataset:
    """Lets services make batches, in turns.

    Args:
      make: indices -> batches; without Python functions.
      indices: endless, of (index, seed).
      batch_size: how many of them make a batch.
      services: their addresses, at least one.

    Returns:
      `tf.data.Dataset` of what `make(indices)` has, in the same order.

    Raises:
      tf.errors.InvalidArgumentError: while it is read, if a service gives another batch than the next one: it has been
        started again, or has several workers.
    """
    batches = indices.batch(batch_size, drop_remainder=True)
    turns = [
        _served(make(batches.shard(len(services), turn).unbatch()), service) for turn, service in enumerate(services)
    ]
    return tf.data.Dataset.choose_from_datasets(turns, tf.data.Dataset.range(len(turns)).repeat())


def _served(batches: tf.data.Dataset, service: str) -> tf.data.Dataset:
    """The same batches, made by one service."""
    numbered = batches.enumerate().apply(tf.data.experimental.service.distribute(_ALL_OF_IT, service))

    def next_one(expected, found):
        number, batch = found
        message = f"{service} began anew, or has several workers, so the order is lost; run the same command again"
        with tf.control_dependencies([tf.debugging.Assert(number == expected, [message])]):
            return tf.nest.map_structure(tf.identity, batch)

    return numbered.enumerate().map(next_one).prefetch(_AHEAD)
