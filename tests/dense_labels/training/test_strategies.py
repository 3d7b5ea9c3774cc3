"""Where a training runs: the workers that TF_CONFIG names, and what is said of mistakes in it."""

import contextlib
import json
import signal
import socket
import subprocess
import time
import types

import pytest
import tensorflow as tf

from benchmarks import links
from dense_labels.training import strategies
from tests import commands


def of_two(*workers):
    """What TF_CONFIG gives the first of two workers."""
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": 0}})


@pytest.mark.parametrize(
    "jobs, job, index, chief",
    [
        (["worker", "worker"], "worker", 0, True),
        (["worker", "worker"], "worker", 1, False),
        (["chief", "worker"], "chief", 0, True),
        (["chief", "worker"], "worker", 0, False),
        ([], None, None, True),
    ],
)
def test_one_process_is_the_chief(jobs, job, index, chief):
    cluster = {name: ["localhost:1"] * jobs.count(name) for name in set(jobs)}
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster), task_type=job, task_id=index
    )
    assert strategies.is_chief(types.SimpleNamespace(cluster_resolver=resolver)) == chief


@pytest.mark.parametrize(
    "given, said",
    [
        ("{worker", "is not a JSON object (Expecting property name enclosed in double quotes: line 1"),
        ("[]", "is not a JSON object whose cluster holds lists (found [])"),
        ("null", "is not a JSON object whose cluster holds lists (found None)"),
        ('"x"', "is not a JSON object whose cluster holds lists (found 'x')"),
        ('{"cluster": null}', "is not a JSON object whose cluster holds lists (found {'cluster': None})"),
        ('{"cluster": ["host:1"]}', "is not a JSON object whose cluster holds lists (found {'cluster': ['host:1']})"),
        ('{"cluster": {"worker": null}}', "whose cluster holds lists (found {'cluster': {'worker': None}})"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "has a task that is not one of its cluster (found {})"),
        ('{"cluster": {"worker": ["a:1"]}, "task": null}', "has a task that is not one of its cluster (found None)"),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "has a task that is not one of its cluster (found {'type': 'worker', 'index': 1})",
        ),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": ["worker"], "index": 0}}', "is not one of its cluster"),
        (of_two("host", "b:1"), "has an address that is not HOST:PORT (found 'host')"),
        (of_two("a:1", 2), "has an address that is not HOST:PORT (found 2)"),
        (of_two("a:1", "b:65536"), "(found 'b:65536')"),
        (of_two("a:1", ":80"), "(found ':80')"),
        (of_two("a:1", "a:1"), "names a:1 twice, where each worker needs its own"),
    ],
)
def test_a_cluster_that_is_not_a_json_object_is_refused(monkeypatch, given, said):
    monkeypatch.setenv("TF_CONFIG", given)
    with pytest.raises(ValueError, match="^TF_CONFIG .*; write it as tf.distribute documents, or unset it$") as raised:
        strategies.create()
    assert said in str(raised.value)


@pytest.mark.parametrize("role", ["ps", "evaluator"])
def test_a_process_that_does_not_train_is_refused(monkeypatch, role):
    """It would take itself for the chief, and write into the work directory of the others."""
    cluster = {"worker": ["a:1"], role: ["b:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": role, "index": 0}}))
    with pytest.raises(ValueError, match=f"this process the role '{role}'; chief and worker train"):
        strategies.create()


@pytest.mark.parametrize("given", ["", "{}", '{"cluster": {}}', '{"task": {"type": "worker", "index": 0}}'])
def test_without_a_cluster_one_process_trains(monkeypatch, given):
    monkeypatch.setenv("TF_CONFIG", given)
    assert strategies.is_chief(strategies.create())


def _wait_until_it_listens(address):
    host, port = address.split(":")
    for _ in range(600):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port))):
            return
        time.sleep(0.1)
    pytest.fail(f"{address}: nobody listens")


def test_who_is_waited_for_is_said_and_ctrl_c_ends_the_wait(tmp_path):
    cluster = {"worker": links.free_addresses(2)}
    task = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}})
    process = subprocess.Popen(
        commands.command("train_main.py", "--config=configs/demo.py", f"--workdir={tmp_path}/run"),
        cwd=commands.ROOT,
        env=commands.environment(TF_CONFIG=task, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = next(line for line in process.stdout if "wait until all are there" in line)
        assert said.strip().endswith(": " + ", ".join(cluster["worker"]))
        _wait_until_it_listens(cluster["worker"][0])
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == -signal.SIGINT
    finally:
        process.kill()
    assert not (tmp_path / "run").exists()


def test_a_worker_that_does_not_come_is_one_line(monkeypatch):
    def wait_for_an_hour():
        raise tf.errors.DeadlineExceededError(None, None, "Additional GRPC error information from remote target")

    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", wait_for_an_hour)
    task = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TimeoutError, match="another worker did not come; start all that TF_CONFIG names"):
        strategies.create()
    assert signal.getsignal(signal.SIGINT) is before


class Cluster:
    """A strategy of two workers, of which the other one says what is given."""

    def __init__(self, other):
        self.cluster_resolver = types.SimpleNamespace(task_type="worker")
        self._other = other

    def run(self, function):
        return function()

    def gather(self, own, axis):
        return tf.concat([own, [[strategies._number(value) for value in self._other]]], axis)


def test_workers_that_do_not_begin_alike_are_refused():
    own = {"step": 4, "weights": "a", "configuration": "b"}
    strategies.check_alike(Cluster([4, "a", "b"]), own)
    strategies.check_alike(tf.distribute.OneDeviceStrategy("/cpu:0"), own)  # which is alone
    with pytest.raises(ValueError, match=r"^the workers do not begin alike \(step and weights differ; here, at step 4"):
        strategies.check_alike(Cluster([2, "c", "b"]), own)
    with pytest.raises(ValueError, match=r"\(configuration differ; here, at step 4\): start the same command on each"):
        strategies.check_alike(Cluster([4, "a", "x"]), own)
