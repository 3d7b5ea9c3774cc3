"""Where a training runs: on one device, on several, or on several workers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping

import tensorflow as tf

from dense_labels import compat, progress


def create() -> tf.distribute.Strategy:
    """Chooses where to train.

    Returns:
      Several workers where the environment's TF_CONFIG names them, else all visible GPUs mirrored, else the one
      device there is.

    Raises:
      ValueError: if TF_CONFIG is not a JSON object that names a cluster, and this process in it.
      TimeoutError: if another worker does not come within the hour that TensorFlow waits.
    """
    cluster = _cluster()
    workers = [*cluster.get("chief", []), *cluster.get("worker", [])]
    if len(workers) > 1:
        with _waiting_for(workers):
            return compat.several_workers(tf.distribute.MultiWorkerMirroredStrategy())
    gpus = tf.config.list_logical_devices("GPU")
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")


def devices() -> str:
    """Says what this process trains on, in words."""
    count = len(tf.config.list_logical_devices("GPU"))
    return f"{count} GPUs" if count > 1 else "1 GPU" if count else "processor, for TensorFlow sees no GPU"


@contextlib.contextmanager
def _waiting_for(workers: list[str]) -> Iterator[None]:
    """Says who must come, and lets Ctrl-C end the wait: TensorFlow holds the interpreter until all are there."""
    in_main = threading.current_thread() is threading.main_thread()
    interrupted = signal.signal(signal.SIGINT, signal.SIG_DFL) if in_main else None
    progress.say(f"{len(workers)} workers train together, and wait until all are there: {', '.join(workers)}")
    try:
        yield
    except (tf.errors.DeadlineExceededError, tf.errors.UnavailableError) as error:
        raise TimeoutError(
            "another worker did not come; start all that TF_CONFIG names, and check its addresses"
        ) from error
    finally:
        if in_main:
            signal.signal(signal.SIGINT, interrupted)


def _cluster() -> dict[str, list[str]]:
    """Reads the addresses of each job from TF_CONFIG, {} where it is not set; raises a ValueError if it is wrong."""
    advice = "write it as tf.distribute documents, or unset it"
    try:
        given = json.loads(os.environ.get("TF_CONFIG") or "{}")
    except ValueError as error:
        raise ValueError(f"TF_CONFIG is not a JSON object ({error}); {advice}") from error
    cluster, task = (given.get(key, {}) if isinstance(given, dict) else None for key in ("cluster", "task"))
    if not isinstance(cluster, dict) or not all(isinstance(addresses, list) for addresses in cluster.values()):
        raise ValueError(f"TF_CONFIG is not a JSON object whose cluster holds lists (found {given!r}); {advice}")
    kind, index = (task.get(key) if isinstance(task, dict) else None for key in ("type", "index"))
    if cluster and not (str(kind) in cluster and str(index).isdecimal() and int(str(index)) < len(cluster[str(kind)])):
        raise ValueError(f"TF_CONFIG has a task that is not one of its cluster (found {task!r}); {advice}")
    if cluster and kind not in ("chief", "worker"):
        raise ValueError(f"TF_CONFIG gives this process the role {kind!r}; chief and worker train, start no other here")
    _check_addresses([address for addresses in cluster.values() for address in addresses], advice)
    return cluster


def _check_addresses(addresses: list, advice: str) -> None:
    for address in addresses:
        host, _, port = str(address).rpartition(":")
        if not (isinstance(address, str) and host and port.isdecimal() and 0 < int(port) < 2**16):
            raise ValueError(f"TF_CONFIG has an address that is not HOST:PORT (found {address!r}); {advice}")
        if addresses.count(address) > 1:
            raise ValueError(f"TF_CONFIG names {address} twice, where each worker needs its own; {advice}")


def check_alike(strategy: tf.distribute.Strategy, facts: Mapping[str, str | int]) -> None:
    """Waits until all workers are here, and refuses what they do not begin alike.

    Sums of gradients are the same on all of them; what each adds those to is not compared by anybody else.

    Args:
      strategy: what they train with; where one process trains alone, nothing is done.
      facts: of this worker, by name; each of them compares as many.

    Raises:
      ValueError: on each of them, if a fact is not the same on all.
    """
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None or not facts:
        return
    own = tf.constant([[_number(value) for value in facts.values()]], tf.int64)
    columns = strategy.gather(strategy.run(lambda: tf.identity(own)), axis=0).numpy().T
    differ = [name for name, column in zip(facts, columns) if len(set(column.tolist())) > 1]
    if differ:
        raise ValueError(
            f"the workers do not begin alike ({' and '.join(differ)} differ; here, at step {facts['step']}): start the "
            "same command on each, with the same pictures, and one --workdir that all of them see"
        )


@contextlib.contextmanager
def others_may_be_lost() -> Iterator[None]:
    """Says what to do where TensorFlow gives up: another worker has ended, or a service of pairs knows nothing more.

    Raises:
      ConnectionError: in its place.
    """
    try:
        yield
    except tf.errors.NotFoundError as error:
        if "iteration client id" not in error.message:
            raise
        raise ConnectionError(
            "a service of pairs was started anew, and has lost the order; start the same command again, on each worker "
            "where there are several, and it goes on from the last checkpoint"
        ) from error
    except tf.errors.OpError as error:
        _, aborted, reason = error.message.partition("Collective ops is aborted by: ")
        if not aborted:
            raise
        raise ConnectionError(
            f"another worker was lost ({reason.splitlines()[0].partition('. ')[0]}); start all of them again with the "
            "same commands, and they go on from the last checkpoint"
        ) from error


def _number(fact: str | int) -> int:
    return fact if isinstance(fact, int) else int(hashlib.sha256(fact.encode()).hexdigest()[:15], 16)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Says whether this process is the one that writes, of those that train together.

    Args:
      strategy: what they train with.

    Returns:
      True for one process, and where one trains alone.
    """
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    if resolver.cluster_spec().as_dict().get("chief"):
        return resolver.task_type == "chief"
    return resolver.task_id == 0
