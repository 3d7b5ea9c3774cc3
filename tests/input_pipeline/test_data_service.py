"""Tests of pairs from a tf.data service, real ones in this process and in another: they are those made here."""

import contextlib
import re
import socket
import subprocess

import numpy as np
import pytest
import tensorflow as tf

import dense_labels
from dense_labels import command_line
from dense_labels.config import Config
from dense_labels.registry import READERS, SOURCES
from dense_labels.training import loop
from input_pipeline import data_service, pipeline
from input_pipeline import service as service_command
from input_pipeline.views import warps
from tests import commands, quick, shards
from tests.commands import ROOT, command, environment

BATCH = 3


def start_worker(dispatcher):
    service = tf.data.experimental.service
    address = dispatcher.target.partition("://")[2]
    return service.WorkerServer(service.WorkerConfig(dispatcher_address=address, heartbeat_interval_ms=100))


@pytest.fixture
def service():
    """A service as `input_pipeline.service` starts one: a dispatcher and its worker."""
    dispatcher = tf.data.experimental.service.DispatchServer()
    return dispatcher, start_worker(dispatcher)


@contextlib.contextmanager
def running(port=0):
    """The real command; yields its process and its address."""
    started = [*command("input_pipeline/service.py"), f"--port={port}"]
    with subprocess.Popen(started, stdout=subprocess.PIPE, env=environment(PYTHONPATH=str(ROOT)), text=True) as process:
        try:
            assert process.stdout.readline().startswith("note: it listens at all addresses of this machine, ")
            yield process, re.fullmatch(r"ready: --data_service=(grpc://localhost:\d+)\n", process.stdout.readline())[1]
        finally:
            process.terminate()


def test_gpus_are_left_to_the_training_before_tensorflow_runs_anything(monkeypatch):
    """Afterwards it refuses to."""
    calls = []

    class Ended(Exception):
        pass

    def start(*arguments):
        calls.append("start")
        raise Ended

    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: calls.append((kind, devices)))
    monkeypatch.setattr(warps, "register_operations", lambda: calls.append("operations"))
    monkeypatch.setattr(service_command, "_start", start)
    with pytest.raises(Ended):
        service_command.main(0, "localhost")
    assert calls == [("GPU", []), "operations", "start"]


@pytest.fixture
def other_process():
    """The address of the real command, running."""
    with running() as (_, address):
        yield address


def numbers(indices):
    """Batches of indices alone, which show where each went."""
    return indices.map(lambda index, seed: index).batch(BATCH)


def endless():
    return tf.data.Dataset.counter().map(lambda index: (index, tf.stack([index, index])))


def take(services, count):
    made = data_service.distribute(numbers, endless(), BATCH, services)
    return [batch.tolist() for batch in made.take(count).as_numpy_iterator()]


def test_the_pairs_of_another_process_are_those_made_here(other_process, tmp_path):
    shards.write(tmp_path / "a.tfrecord", [shards.picture(n, (24, 24))[0] for n in range(7)])
    config = Config()
    config.data.name, config.data.dir, config.data.size = "shards", str(tmp_path), (24, 24)
    source = pipeline.prepare(config)
    settings = {"stride": 4, "batch_size": BATCH, "seed": 2, "start_step": 2}
    here = pipeline.training_pairs(source, **settings).take(4)
    there = pipeline.training_pairs(source, **settings, services=data_service.find(other_process)).take(4)
    count = 0
    for expected, found in zip(here, there):
        assert type(found) is type(expected)
        for part, same in zip(found, expected):
            np.testing.assert_allclose(part, same, atol=1e-6)
        count += 1
    assert count == 4


def test_several_services_take_turns(service):
    second = tf.data.experimental.service.DispatchServer()
    worker = start_worker(second)
    expected = [[BATCH * step + place for place in range(BATCH)] for step in range(9)]
    assert take([service[0].target], 9) == take([service[0].target, second.target], 9) == expected
    del worker


def test_a_worker_that_begins_anew_or_a_second_one_is_noticed(service):
    dispatcher, worker = service
    made = iter(data_service.distribute(numbers, endless(), BATCH, [dispatcher.target]))
    assert next(made).numpy().tolist() == [0, 1, 2]
    second = start_worker(dispatcher)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="began anew, or has several workers, so the order is lost"
    ):
        for _ in range(100_000):
            next(made)
    del second, worker


@pytest.mark.parametrize(
    "given",
    ["localhost:5", "grpc://localhost", "http://a:1", "grpc://a:1,", "grpc://a:999999", "grpc://a:1,grpc://a:1"],
)
def test_addresses_that_are_none_are_refused(given):
    with pytest.raises(ValueError, match=re.escape(f"--data_service={given}: must be grpc://HOST:PORT, or several")):
        data_service.find(given)


def test_a_training_asks_the_services_that_it_is_given(service, tmp_path, monkeypatch):
    shards.write(tmp_path / "a.tfrecord", [shards.picture(n, (24, 24))[0] for n in range(7)])
    address, asked = service[0].target, {}
    monkeypatch.setattr(pipeline, "training_pairs", lambda source, **given: asked.update(given))
    monkeypatch.setattr(loop, "train", lambda *_, dataset, **__: dataset(3, None))
    chosen = {"data.name": "shards", "data.dir": str(tmp_path), "train.precision": "float32"}
    dense_labels.train("folder", workdir=tmp_path / "run", data_service=address, **chosen)
    assert asked["services"] == (address,) and asked["start_step"] == 3


def test_two_workers_whose_service_is_killed_go_on_with_a_new_one_to_the_weights_of_one_without(tmp_path):
    shards.write(tmp_path / "a.tfrecord", [shards.picture(n, (32, 32))[0] for n in range(24)])
    settings = {
        **{"data.name": "shards", "data.dir": str(tmp_path), "model.name": "simple", "model.norm": "none"},
        **{"train.precision": "float32", "train.optimizer": "adagrad", "train.learning_rate": 0.03},
        **{"train.num_epochs": 2, "train.steps_per_epoch": 80, "train.batch_size": 4, "train.warmup_steps": 0},
    }
    flags = ["--config=folder", f"--workdir={tmp_path}/run"]
    flags += [f"--config.{name}={value}" for name, value in settings.items()]
    with running() as (service, address), commands.two_workers(*flags, f"--data_service={address}") as workers:
        next(line for line in workers[0].stdout if line.startswith("Epoch 2/2"))
        service.kill()
        service.wait()
        with running(address.rpartition(":")[2]):
            said = [worker.communicate(timeout=120)[0] for worker in workers]
            assert [worker.returncode for worker in workers] == [1, 1], said
            assert any("error: a service of pairs was started anew, and has lost the order" in each for each in said), (
                said
            )
            with commands.two_workers(*flags, f"--data_service={address}") as again:
                said = [worker.communicate(timeout=300)[0] for worker in again]
                assert [worker.returncode for worker in again] == [0, 0], said
    assert re.search("going on from .*/ckpt-80\n", said[0])
    with commands.two_workers(*flags, f"--workdir={tmp_path}/without") as workers:
        assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    quick.assert_same(quick.weights(tmp_path / "run"), quick.weights(tmp_path / "without"))


def test_a_port_that_is_taken_is_refused_in_one_line():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = commands.run("input_pipeline/service.py", f"--port={port}")
    assert ran.returncode == 1 and ran.stderr == f"error: --port={port}: {port} is not free (address already in use)\n"


def test_a_service_that_is_not_there_is_named():
    with socket.socket() as unused:
        unused.bind(("localhost", 0))
        address = f"grpc://localhost:{unused.getsockname()[1]}"
        with pytest.raises(
            ValueError, match=f"no service answers at {address} .*; start it there with python -m input_p"
        ):
            data_service.find(address)
    assert data_service.find("") == ()


@pytest.mark.parametrize("host", ["node..cluster", ".local", "a" * 64 + ".cluster"])
def test_a_host_that_is_no_name_is_told_in_one_line(host):
    with pytest.raises(ValueError, match=f"no service answers at grpc://{host}:5050 ") as raised:
        data_service.find(f"grpc://{host}:5050")
    assert command_line.is_expected(raised.value)


def test_a_service_that_makes_nothing_or_too_much_is_refused(monkeypatch):
    dispatcher = tf.data.experimental.service.DispatchServer()
    monkeypatch.setattr(data_service, "_WORK", 1.0)
    with pytest.raises(ValueError, match=f"{dispatcher.target} answers, but makes nothing: start it with .* the --h"):
        data_service.find(dispatcher.target)
    monkeypatch.undo()
    worker = start_worker(dispatcher)
    assert data_service.find(dispatcher.target) == (dispatcher.target,)
    second = start_worker(dispatcher)
    with pytest.raises(ValueError, match=f"{dispatcher.target} has 2 workers, which would repeat pairs; start it with"):
        data_service.find(dispatcher.target)
    del worker, second


def test_what_python_reads_is_refused_before_anything_is_made_of_it(tmp_path):
    with pytest.raises(ValueError, match=r"config\.data\.name='folder' is read by this process alone; write its pict"):
        dense_labels.train(str(tmp_path), workdir=tmp_path / "run", data_service="grpc://a:1")
    assert not (tmp_path / "run").exists()
    in_graph = []
    for name in (*SOURCES, *READERS):
        data_service.check(name, "")
        with contextlib.suppress(ValueError):
            data_service.check(name, "grpc://a:1")
            in_graph.append(name)
    assert sorted(in_graph) == ["shards", "tfds"]
