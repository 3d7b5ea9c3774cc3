"""The command lines as a user runs them: the whole road, kill -9, two workers, and what is said of mistakes."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.training import archives
from tests import commands, evaluated
from tests.commands import ROOT

STEPS, EPOCHS = 6, 2
_MEANS = re.compile(r"loss: ([\d.]+) - matching_error: ([\d.]+)")  # of an epoch, over all workers


def _arm(data, workdir):
    """Flags of a small, quick training on the arm."""
    return [
        "--config=configs/roboarm.py",
        f"--workdir={workdir}",
        f"--config.data.dir={data.dir}",
        f"--config.data.num_pairs={data.num_pairs}",
        f"--config.train.steps_per_epoch={STEPS}",
        "--config.train.batch_size=4",
        f"--config.train.num_epochs={EPOCHS}",
        "--config.train.warmup_steps=0",
        "--config.train.precision=float32",
        "--config.train.optimizer=adagrad",  # Adam makes whole steps of the rounding of a gradient that is nearly 0
        "--config.train.learning_rate=0.03",
        "--config.model.norm=none",  # batch norm sees the images of one replica
    ]


def _weights(workdir, step=None):
    """The network's weights in the checkpoint of a step, or in the newest, and its step."""
    newest = tf.train.latest_checkpoint(workdir / "checkpoints")
    newest = newest if step is None else f"{newest.rpartition('-')[0]}-{step}"
    reader = tf.train.load_checkpoint(newest)
    names = [n for n in reader.get_variable_to_shape_map() if n.startswith("network/") and "OBJECT" not in n]
    return {name: reader.get_tensor(name) for name in names}, int(newest.rpartition("-")[2])


def _assert_one_line(result, *words):
    assert result.returncode == 1
    # A progress bar, and what the newest TensorFlow says of itself.
    others = ("frames/s", "absl::InitializeLog", "cudart_stub.cc", "oneDNN custom operations are on")
    lines = [line for line in result.stderr.splitlines() if not any(word in line for word in others)]
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope="module")
def trained(arm_data, tmp_path_factory):
    """Work directory of a whole run, never stopped."""
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    result = commands.run("train_main.py", *_arm(arm_data, workdir))
    assert result.returncode == 0, result.stderr
    assert f"eval_main.py --workdir={workdir}" in result.stdout
    return workdir


def test_evaluation_writes_figures_pictures_and_a_model(trained, tmp_path):
    given = [f"--workdir={trained}", f"--export_dir={tmp_path}"]
    result = commands.run("eval_main.py", *given, "--config.eval.head_images=50")
    _assert_one_line(result, "config.eval.head_images")  # the configuration is that of the run
    result = commands.run("eval_main.py", *given, "--report")
    assert result.returncode == 0, result.stderr
    written = json.loads((trained / "eval" / "result.json").read_text())
    for name in ("cell", "subpixel"):
        error = written["metrics"][f"{name}_error_percent"]
        assert f"{error:.3f}" in next(line for line in result.stdout.splitlines() if line.startswith("mean"))
        each = written["landmark_error_percent"][name]
        assert len(each) == 7 and min(each) <= error <= max(each)
    assert written["protocol"]["test_images"] == 20 and written["step"] == EPOCHS * STEPS
    names = ["labels", "sphere", "hemispheres", "transfer", "pairs", "match_errors", "precision_recall", "mean_object"]
    names += ["landmarks", "transfer_between", "worst_landmarks", "curves"]
    for name in names:
        picture = tf.io.decode_png((trained / "eval" / f"{name}.png").read_bytes())
        assert picture.shape[-1] == 3 and np.ptp(picture) > 100
    page = (trained / "eval" / "report.html").read_text()
    assert f"{error:.3f}" in page and page.count("data:image/png") == 12  # to point at
    assert page.count("data:image/webp") == len(names)
    assert (tmp_path / "1" / "saved_model.pb").exists()
    assert {path.name for path in (trained / "eval").iterdir()} == {
        "result.json",
        "report.html",
        *(f"{name}.png" for name in names),
    }
    assert (trained / "tensorboard" / "eval" / "projector_config.pbtxt").exists()


def test_killed_in_mid_epoch_it_ends_with_the_weights_of_a_whole_run(trained, arm_data, tmp_path):
    workdir = tmp_path / "killed"
    flags = _arm(arm_data, workdir)
    process = subprocess.Popen(
        commands.command("train_main.py", *flags),
        cwd=ROOT,
        env=commands.environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith(f"Epoch 2/{EPOCHS}"):
                break  # the steps of an epoch take longer than the signal
        assert process.poll() is None, "".join(said)
    finally:
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0]
    assert not any(line.startswith(f"{STEPS}/{STEPS} - ") for line in rest.splitlines()), "the epoch was over"
    assert _weights(workdir)[1] == STEPS and (workdir / "training.lock").exists()

    result = commands.run("train_main.py", *flags)
    assert result.returncode == 0, result.stderr
    assert f"going on from {workdir}/checkpoints/ckpt-{STEPS}" in result.stdout
    assert not (workdir / "training.lock").exists()
    (whole, whole_step), (resumed, resumed_step) = _weights(trained), _weights(workdir)
    assert whole_step == resumed_step == EPOCHS * STEPS
    assert whole.keys() == resumed.keys() and len(whole) >= 12
    for name, value in whole.items():
        np.testing.assert_array_equal(value, resumed[name], err_msg=name)


def _said_until_one_is_lost(processes):
    """Kills the second of two workers in mid epoch; returns the exit code of the first, and what it says."""
    left, lost = processes
    said = next((line for line in lost.stdout if line.startswith(f"Epoch 2/{EPOCHS}")), "nothing")
    lost.send_signal(signal.SIGKILL)
    said += left.communicate(timeout=120)[0]
    return left.returncode, said


def test_two_workers_of_which_one_is_lost_and_comes_back_end_with_the_weights_of_one(trained, arm_data, tmp_path):
    workdir, elsewhere, backup = tmp_path / "together", tmp_path / "alone", f"--backup={tmp_path}/mine.tar"
    with commands.two_workers(*_arm(arm_data, workdir), backup) as processes:
        code, said = _said_until_one_is_lost(processes)
    line = said.strip().rsplit("\n", 1)[1]
    assert line.startswith("error: another worker was lost (") and "go on from the last checkpoint" in line, said
    assert code == 1 and "Traceback" not in said and not (workdir / "training.lock").exists(), said
    shutil.copytree(workdir, elsewhere)
    with commands.two_workers(*_arm(arm_data, workdir), backup) as processes:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    alone = commands.run("train_main.py", *_arm(arm_data, elsewhere))  # the batch of a step is the same for any number
    assert alone.returncode == 0, alone.stderr
    assert f"going on from {elsewhere}/checkpoints/ckpt-{STEPS}" in alone.stdout
    assert archives.read_head((tmp_path / "mine.tar").read_bytes())["step"] == EPOCHS * STEPS
    archives.unpack(tmp_path / "mine.tar", tmp_path / "unpacked")
    logs = [path.relative_to(workdir) for path in workdir.rglob("events.out*")]  # to their end, which is written last
    assert logs and all((tmp_path / "unpacked" / log).read_bytes() == (workdir / log).read_bytes() for log in logs)
    # The rounding of sums in another order grows with every step.
    for step, tolerance in ((STEPS, 1e-5), (EPOCHS * STEPS, 1e-3)):
        whole, _ = _weights(trained, step)
        for other in (workdir, elsewhere):
            for name, value in _weights(other, step)[0].items():
                np.testing.assert_allclose(value, whole[name], atol=tolerance, err_msg=f"{step} {other} {name}")
    assert _weights(workdir)[1] == _weights(elsewhere)[1] == EPOCHS * STEPS
    of_one, *of_two = ([*map(float, _MEANS.findall(said)[-1])] for said in (alone.stdout, *outputs))
    assert of_two[0] == of_two[1]
    np.testing.assert_allclose(of_two[0], of_one, rtol=1e-2)


def test_two_workers_whose_backup_cannot_be_used_both_end_in_one_line(arm_data, tmp_path):
    with commands.two_workers(*_arm(arm_data, tmp_path / "run"), "--backup=s3://mine.tar") as processes:
        said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [1, 1] and "Traceback" not in "".join(said), said
    assert "error: --backup=s3://mine.tar: must be the URL of a .tar file" in said[0]
    assert "error: the workers do not begin alike (what is at --backup differ" in said[1], said[1]
    assert not (tmp_path / "run").exists()


def test_the_precision_a_run_was_begun_with_is_kept(arm_data, tmp_path):
    flags = _arm(arm_data, tmp_path)
    flags.remove("--config.train.precision=float32")
    flags += ["--config.train.num_epochs=1", "--config.train.steps_per_epoch=1"]
    assert commands.run("train_main.py", *flags, "--config.train.precision=mixed_bfloat16").returncode == 0
    result = commands.run("train_main.py", *flags)  # which asks for "auto"
    assert result.returncode == 0 and "already trained" in result.stdout, result.stderr
    said = "precision of the convolutions: mixed_bfloat16; processor, for TensorFlow sees no GPU"
    assert said in result.stdout.splitlines()
    assert json.loads((tmp_path / "config.json").read_text())["train"]["precision"] == "mixed_bfloat16"


def test_another_configuration_in_the_same_folder_is_refused(trained, arm_data):
    result = commands.run("train_main.py", *_arm(arm_data, trained), "--config.loss.name=dist")
    _assert_one_line(result, str(trained), "loss.name: log there, dist now", "another --workdir")


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], ["--config", "must have a value"]),
        (["--config=configs/missing.py", "--workdir=w"], ["configs/missing.py", "no such file", "configs/roboarm.py"]),
        (["--config=configs/roboarm.py"], ["--workdir", "must have a value"]),
        (
            ["--config=configs/roboarm.py", "--workdir=w", "--config.train.batchsize=3"],
            ["--config.train.batchsize", "did you mean --config.train.batch_size?", "--config.loss.gamma"],
        ),
        (["--config=configs/roboarm.py", "--workdir=w", "--config.train.batch_size=x"], ["batch_size=x"]),
        (
            ["--config=configs/roboarm.py", "--workdir=w", "--config.train.batch_size=-1"],
            ["batch_size=-1", "at least 0"],
        ),
        (["--config=configs/roboarm.py", "--workdir=w", "--config.loss.name=l2"], ["name='l2'", "'log'", "'dist'"]),
        (["--config=configs/roboarm.py", "--workdir=w", "extra"], ["'extra'", "--name=value"]),
        (["--config=configs/roboarm.py", "--workdir=w", "--wrokdir=w"], ["wrokdir"]),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_a_mistake_in_the_command_is_one_line(arguments, words, tmp_path):
    arguments = [argument.replace("--workdir=w", f"--workdir={tmp_path}/w") for argument in arguments]
    _assert_one_line(commands.run("train_main.py", *arguments), *words)
    assert not os.path.exists(tmp_path / "w")


def test_a_configuration_file_that_is_wrong_is_one_line(tmp_path):
    path = tmp_path / "broken.py"
    for text, word in [
        ("def get_config(:", "syntax"),
        ("def get_config():\n  return 3", "must return a Config; found int"),
    ]:
        path.write_text(text)
        result = commands.run("train_main.py", f"--config={path}", f"--workdir={tmp_path}/w")
        _assert_one_line(result, word)


def test_a_mistake_found_before_the_first_checkpoint_can_be_mended_in_place(arm_data, tmp_path):
    result = commands.run("train_main.py", *_arm(arm_data, tmp_path / "w"), "--config.train.batch_size=30000")
    _assert_one_line(result, "batch_size=30000 is more than the 200 training pairs")
    shortest = ["--config.train.num_epochs=1", "--config.train.steps_per_epoch=1"]
    result = commands.run("train_main.py", *_arm(arm_data, tmp_path / "w"), *shortest)
    assert result.returncode == 0, result.stderr


def test_a_work_directory_without_a_run_is_one_line(trained, tmp_path):
    assert "does not exist" in evaluated.refusal(tmp_path / "none")
    assert "holds no config.json" in evaluated.refusal(tmp_path)
    shutil.copy(trained / "config.json", tmp_path)
    error = evaluated.refusal(tmp_path)
    assert "holds no checkpoint" in error and "train" in error
    shutil.copytree(trained / "checkpoints", tmp_path / "checkpoints")
    for path in (tmp_path / "checkpoints").glob("*.index"):
        path.write_text("?")
    said = ["no checkpoint there can be read", f"ckpt-{STEPS} is damaged", f"ckpt-{EPOCHS * STEPS} is damaged"]
    _assert_one_line(commands.run("eval_main.py", f"--workdir={tmp_path}"), *said, "another --workdir")
    error = evaluated.refusal(trained, export_dir=tmp_path / "served[1]")
    assert "--export_dir=" in error and "choose a path without them" in error
    (tmp_path / "config.json").write_text("{")
    assert "config.json is damaged" in evaluated.refusal(tmp_path)


def _flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_flip_a_byte, lambda path: path.write_bytes(b""), lambda path: path.unlink()])
def test_a_damaged_shard_is_one_line_that_names_it(arm_data, tmp_path, damage):
    shutil.copytree(arm_data.dir, tmp_path / "data")
    for shard in (tmp_path / "data").rglob("*train.tfrecord*"):
        damage(shard)
    moved = dataclasses.replace(arm_data, dir=str(tmp_path / "data"))
    result = commands.run("train_main.py", *_arm(moved, tmp_path / "w"))
    _assert_one_line(result, str(tmp_path / "data"), "damaged", "again")


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(arm_data, tmp_path):
    resource = pytest.importorskip("resource")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # checkpoints are larger

    command = commands.command("train_main.py", *_arm(arm_data, tmp_path / "w"), "--config.train.steps_per_epoch=1")
    options = {"cwd": ROOT, "env": commands.environment(), "capture_output": True, "text": True}
    result = subprocess.run(command, **options, preexec_fn=limit)
    _assert_one_line(result, "checkpoints", "File too large")
    assert not [path for path in (tmp_path / "w" / "checkpoints").iterdir()]
    assert [path.name for path in (tmp_path / "w").iterdir() if path.is_file()] == ["config.json"]
