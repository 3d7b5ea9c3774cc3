"""A copy of a run in an object store: another machine goes on from it, and no run replaces what is not its own."""

import io
import json
import os
import re
import sys
import tarfile
import time

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

import dense_labels
from dense_labels.training import archives, backups, strategies
from tests import quick

BUCKET = "pictures"


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    with quick.options(tmp_path_factory.mktemp("faces")) as options:
        yield options


@pytest.fixture(scope="module")
def whole(options, tmp_path_factory):
    """A run that was never stopped."""
    return quick.weights(dense_labels.train(**options, workdir=tmp_path_factory.mktemp("whole") / "run").workdir)


@pytest.fixture(scope="module")
def s3():
    """A server that speaks as S3 does, and a bucket there."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}"
    server.stop()


@pytest.fixture(params=["s3", "disk"])
def place(request, tmp_path):
    """Where nothing lies yet."""
    if request.param == "disk":
        return str(tmp_path / "mine.tar")
    return f"{request.getfixturevalue('s3')}/{tmp_path.name}/mine.tar"


def head(place):
    with fsspec.open(place) as file:
        return archives.read_head(file.read())


def names(place):
    with fsspec.open(place) as file, tarfile.open(fileobj=io.BytesIO(file.read())) as archive:
        return archive.getnames()


def kill_after_first_epoch(monkeypatch):
    """Has the next training die once its first epoch is in the backup."""
    write = backups.Backup.try_to_write

    def once(backup):
        write(backup)
        raise KeyboardInterrupt

    monkeypatch.setattr(backups.Backup, "try_to_write", once)


def test_another_machine_goes_on_to_the_same_weights(options, whole, place, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        kill_after_first_epoch(patch)
        dense_labels.train(**options, workdir=tmp_path / "one", backup=place)
    assert head(place)["step"] == quick.STEPS
    run = dense_labels.train(**options, workdir=tmp_path / "other", backup=place)
    assert f"going on from --backup={place}, at step {quick.STEPS}" in capsys.readouterr().out
    quick.assert_same(quick.weights(run.workdir), whole)
    assert head(place)["step"] == quick.EPOCHS * quick.STEPS
    steps = [(quick.EPOCHS - 1) * quick.STEPS, quick.EPOCHS * quick.STEPS]
    of_steps = [f"checkpoints/ckpt-{step}.{kind}" for step in steps for kind in ("data-00000-of-00001", "index")]
    assert names(place) == ["backup.json", "checkpoints/checkpoint", *of_steps, "config.json", "pictures.json"]


def test_no_worker_ends_before_the_last_backup_is_in_the_store(options, tmp_path, monkeypatch):
    """A worker that has ended does not come again, and worker 0 would wait for it if it is started anew."""
    met, check, write = [], strategies.check_alike, backups.Backup._write
    monkeypatch.setattr(strategies, "check_alike", lambda *given: check(*given) or met.append("met"))
    monkeypatch.setattr(backups.Backup, "_write", lambda backup: write(backup) or met.append("written"))
    dense_labels.train(**options, workdir=tmp_path / "one", backup=str(tmp_path / "mine.tar"))
    assert met[-2:] == ["written", "met"]


def test_a_work_directory_that_is_behind_or_of_another_run_is_refused(options, tmp_path, monkeypatch):
    place = str(tmp_path / "mine.tar")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        kill_after_first_epoch(patch)
        dense_labels.train(**options, workdir=tmp_path / "one", backup=place)
    dense_labels.train(**options, workdir=tmp_path / "other", backup=place)
    dense_labels.train(**options, workdir=tmp_path / "third")
    before = (tmp_path / "mine.tar").read_bytes()
    behind = f"mine.tar is at step {quick.EPOCHS * quick.STEPS}, and .*one at step {quick.STEPS}: the run went on else"
    for workdir, said in {"one": behind, "third": "is of another run than .*third; give another place"}.items():
        with pytest.raises(ValueError, match=said):
            dense_labels.train(**options, workdir=tmp_path / workdir, backup=place)
    assert (tmp_path / "mine.tar").read_bytes() == before


def test_a_training_that_meets_what_another_wrote_meanwhile_ends(options, tmp_path, monkeypatch):
    place = str(tmp_path / "mine.tar")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        kill_after_first_epoch(patch)
        dense_labels.train(**options, workdir=tmp_path / "one", backup=place)
    first, second = (backups.Backup(place, tmp_path / name) for name in ("one", "two"))
    (tmp_path / "two").mkdir()
    first.begin()
    second.begin()
    with monkeypatch.context() as patch:
        patch.setattr(backups, "_WRITER", "that of another process")
        second._write()
    with pytest.raises(ValueError, match="mine.tar: another training has written it; stop one of the two"):
        first.try_to_write()


def test_what_is_not_written_is_tried_again_and_said_at_the_end(options, s3, tmp_path, monkeypatch, capsys):
    def fail(store, file, path):
        if path.endswith(".tar"):
            raise OSError("the network is down")

    place = f"{s3}/{tmp_path.name}/mine.tar"
    with monkeypatch.context() as patch:
        patch.setattr(backups, "_put", fail)
        said = r"the backup was not written \(--backup=.*: the network is down\); the run is whole in .*run; start"
        with pytest.raises(OSError, match=said):
            dense_labels.train(**options, workdir=tmp_path / "run", backup=place)
    assert capsys.readouterr().out.count("; it is tried again") == quick.EPOCHS
    dense_labels.train(**options, workdir=tmp_path / "run", backup=place)  # which has nothing left to train
    assert head(place)["step"] == quick.EPOCHS * quick.STEPS


def test_what_was_written_although_the_answer_was_lost_is_of_this_training(options, tmp_path, monkeypatch, capsys):
    put = backups._put

    def put_and_fail(*arguments):
        put(*arguments)
        if arguments[-1].endswith(".tar"):
            raise OSError("timed out")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="timed out.; the run is whole"):
        patch.setattr(backups, "_put", put_and_fail)
        dense_labels.train(**options, workdir=tmp_path / "run", backup=str(tmp_path / "mine.tar"))
    assert capsys.readouterr().out.count("timed out); it is tried again") == quick.EPOCHS


def test_whatever_a_package_raises_is_an_error_of_the_store(tmp_path, monkeypatch):
    backup = backups.Backup(f"{tmp_path}/mine.tar", tmp_path / "run")
    monkeypatch.setattr(backup._store, "cat_file", lambda *_, **__: 1 / 0)
    with pytest.raises(OSError, match="^--backup=.*/mine.tar: division by zero$"):
        backup.begin()


def test_a_place_that_takes_nothing_is_refused_before_the_training(options, s3, tmp_path):
    with pytest.raises(
        OSError, match="^--backup=s3://nobodys/mine.tar: .*bucket.*; give another place, or the right to"
    ):
        dense_labels.train(**options, workdir=tmp_path / "run", backup="s3://nobodys/mine.tar")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    {
        **dict.fromkeys(
            [
                *(
                    "s3://bucket/folder",
                    "s3://bucket/.tar",
                    "s3://mine.tar",
                    "ftp://host/mine.tar",
                    "mine",
                    "/tmp/.tar",
                ),
                "simplecache::s3://bucket/mine.tar",
            ],
            "must be the URL of a .tar file, such as s3://bucket/mine.tar or gs://bucket/mine.tar, or the path of one$",
        ),
        "gs://bucket/mine.tar": "needs gcsfs, which is not installed: pip install .dense-labels.gs.",
    }.items(),
)
def test_a_place_that_is_none_is_refused(options, tmp_path, monkeypatch, given, said):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ValueError, match=f"^--backup={re.escape(given)}:? {said}"):
        dense_labels.train(**options, workdir=tmp_path / "run", backup=given)


def test_an_archive_that_is_damaged_or_none_is_refused(options, tmp_path):
    place = tmp_path / "mine.tar"
    dense_labels.train(**options, workdir=tmp_path / "run", backup=str(place))
    content = place.read_bytes()
    with tarfile.open(place) as archive:
        last = archive.getmember("pictures.json").offset
    for damaged, said in (
        (b"not an archive" * 1000, "is no backup of a run"),
        (b"", "is no backup of a run"),
        (content[: len(content) // 2], "is damaged"),
        (content[:last] + bytes(1024), "is damaged .[0-9]+ files of [0-9]+"),  # where tar sees nothing wrong
    ):
        place.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"--backup=.*mine.tar {said}"):
            dense_labels.train(**options, workdir=tmp_path / "other", backup=str(place))
        assert place.read_bytes() == damaged and not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["../outside", "/outside", "checkpoints/../../outside"])
def test_an_archive_writes_nothing_elsewhere(tmp_path, name):
    path = tmp_path / "mine.tar"
    said = json.dumps({"run": "a", "step": 1, "writer": "b", "files": 1}).encode()
    with tarfile.open(path, "w") as archive:
        for each, content in ((archives.FILE, said), (name, b"x")):
            member = tarfile.TarInfo(each)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(tarfile.ReadError, match="which is no file of a run"):
        archives.unpack(path, tmp_path / "new")


@pytest.mark.parametrize("given", ["run", "link"])
def test_a_place_in_the_work_directory_is_refused(options, tmp_path, given):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(ValueError, match="/run/mine.tar: lies in --workdir=.*, which it is a copy of; give another"):
        dense_labels.train(**options, workdir=tmp_path / given, backup=f"{tmp_path}/run/mine.tar")


def test_a_disk_that_is_not_mounted_is_refused(options, tmp_path):
    place = f"{tmp_path}/not mounted/mine.tar"
    with pytest.raises(OSError, match=f"^--backup={place}: .*No such file.*; give another place, or the right"):
        dense_labels.train(**options, workdir=tmp_path / "run", backup=place)
    assert not list(tmp_path.iterdir())


def test_an_end_of_the_logs_that_is_not_written_is_a_warning(options, tmp_path, monkeypatch, capsys):
    put, done = backups._put, []

    def fail_at_last(*arguments):
        done.append(arguments)
        if len(done) > 1 + quick.EPOCHS:  # the first one tried the place
            raise OSError("the network is down")
        put(*arguments)

    monkeypatch.setattr(backups, "_put", fail_at_last)
    dense_labels.train(**options, workdir=tmp_path / "run", backup=str(tmp_path / "mine.tar"))
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("warning: the backup lacks the end of the logs (") and said.endswith("the network is down)")
    assert head(str(tmp_path / "mine.tar"))["step"] == quick.EPOCHS * quick.STEPS


def test_links_are_followed(options, tmp_path):
    """A work directory whose checkpoints lie on another disk is copied as what it looks like."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "checkpoints").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "one" / "again").symlink_to(tmp_path / "one")  # which leads round and round
    place = str(tmp_path / "mine.tar")
    first = dense_labels.train(**options, workdir=tmp_path / "one", backup=place)
    second = dense_labels.train(**options, workdir=tmp_path / "other", backup=place)
    quick.assert_same(quick.weights(second.workdir), quick.weights(first.workdir))
    assert not list((tmp_path / "other").rglob("*.tar")) and not (tmp_path / "other" / "again").exists()


def test_an_archive_without_its_checkpoint_is_damaged(options, tmp_path):
    step = dense_labels.train(**options, workdir=tmp_path / "one", backup=str(tmp_path / "mine.tar")).step
    said = head(str(tmp_path / "mine.tar"))
    for path in (tmp_path / "one" / "checkpoints").glob(f"*-{step}.*"):
        path.unlink()
    archives.pack(tmp_path / "mine.tar", tmp_path / "one", said)
    with pytest.raises(ValueError, match=f"is damaged .it lacks the checkpoint of step {step}"):
        dense_labels.train(**options, workdir=tmp_path / "other", backup=str(tmp_path / "mine.tar"))


def test_whose_run_it_is_is_said_where_the_training_cannot_go_on_with_it(options, tmp_path, capsys):
    place = tmp_path / "mine.tar"
    dense_labels.train(**options, workdir=tmp_path / "one", backup=str(place))
    before = place.read_bytes()
    with pytest.raises(
        ValueError, match="other holds a run with another configuration .loss.name: dist there, log now"
    ):
        dense_labels.train(**options, **{"loss.name": "log"}, workdir=tmp_path / "other", backup=str(place))
    said = capsys.readouterr().out
    assert f"there is no backup at {place} yet" in said and place.read_bytes() == before
    assert f"other holds the run of --backup={place} now; if you meant another one, remove it and give another" in said


def test_nothing_in_a_work_directory_is_replaced(options, tmp_path):
    """Heads, or checkpoints on a disk that is not there, are of a run; the archive must not take its place."""
    place = tmp_path / "mine.tar"
    dense_labels.train(**options, workdir=tmp_path / "one", backup=str(place))
    for name in ("heads", "checkpoints"):
        workdir = tmp_path / f"with_{name}"
        workdir.mkdir()
        (workdir / name).symlink_to(tmp_path / "not mounted")
        with pytest.raises(ValueError, match=f"with_{name} holds {name}, and not the checkpoints that --backup=.* has"):
            dense_labels.train(**options, workdir=workdir, backup=str(place))
        assert [path.name for path in workdir.iterdir()] == [name]
    killed = tmp_path / "killed"  # before its first checkpoint was whole
    (killed / "checkpoints" / ".ckpt-2.0123456789abcdef").mkdir(parents=True)
    (killed / "config.json").write_text("{")
    assert dense_labels.train(**options, workdir=killed, backup=str(place)).step == quick.EPOCHS * quick.STEPS


def test_the_name_of_a_run_that_is_damaged_is_refused(options, tmp_path):
    dense_labels.train(**options, workdir=tmp_path / "one", backup=str(tmp_path / "mine.tar"))
    (tmp_path / "one" / archives.FILE).write_bytes(b"")
    with pytest.raises(ValueError, match=f"one/{archives.FILE} is damaged; remove it, and give another --backup"):
        dense_labels.train(**options, workdir=tmp_path / "one", backup=str(tmp_path / "mine.tar"))


def test_what_a_killed_writing_left_beside_the_archive_is_removed(options, tmp_path):
    halves = [tmp_path / f".{name}.0123456789abcdef" for name in ("mine.tar", "yours.tar", "mine.tar.old")]
    half_an_hour_ago = tmp_path / ".mine.tar.fedcba9876543210"
    for half, age in {**dict.fromkeys(halves, 7200), half_an_hour_ago: 1800}.items():
        half.mkdir()
        os.utime(half, (time.time() - age, time.time() - age))
    dense_labels.train(**options, workdir=tmp_path / "one", backup=str(tmp_path / "mine.tar"))
    assert [half.exists() for half in (*halves, half_an_hour_ago)] == [False, True, True, True]
