"""Files appear whole or not at all, and paths mean themselves."""

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from dense_labels import config_files, files
from tests.commands import ROOT, environment


def test_a_file_is_replaced_whole(tmp_path):
    files.write_whole(tmp_path / "a.json", b"one")
    files.write_whole(str(tmp_path / "a.json"), b"two")
    assert (tmp_path / "a.json").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_the_umask_says_who_may_read_a_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        files.write_whole(tmp_path / "a.json", b"one")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == mode


def test_a_failed_write_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch):
    files.write_whole(tmp_path / "a.json", b"one")
    monkeypatch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        files.write_whole(tmp_path / "a.json", b"two")
    assert (tmp_path / "a.json").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_was_killed_within_its_writing_is_removed_and_nothing_else(tmp_path):
    whole = ("a.json", ".gitignore", ".a.json.12", ".a.json.0123456789abcdeg", "a.json.0123456789abcdef")
    for name in (*whole, files.temporary_name(tmp_path / "a.json").name):
        (tmp_path / name).write_text("")
    unfinished = files.temporary_name(tmp_path / "folder")
    unfinished.mkdir()
    (unfinished / "part").write_text("")
    files.remove_temporary(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(whole)
    files.remove_temporary(tmp_path / "none")
    files.remove(tmp_path / "none")


def test_a_bucket_is_no_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = "^gs://bucket/served: must be a path of this machine, not a URL"
    with pytest.raises(ValueError, match=said), files.new_folder("gs://bucket/served"):
        pass
    assert not list(tmp_path.iterdir())


def _merged(url):
    from dense_labels.prediction import merging

    return merging.merge_annotations("a.csv", "b.csv", url, pictures=".")


def _previewed(url):
    from input_pipeline import preview

    return preview.main(config_files.find("folder"), url, 1)


def _in_shards(url):
    from input_pipeline.storage import shard_writing

    return shard_writing.write(["a.png"], ".", url, 1)


def _asked(url):
    from serving import client

    return client.ask(["a.png"], address="localhost:1", model="mine", signature="labels", out=url, timeout_s=1)


@pytest.mark.parametrize("write", [_merged, _previewed, _in_shards, _asked])
@pytest.mark.parametrize("url", ["gs://bucket/a", "s3://bucket/a/b.png"])
def test_what_is_written_for_a_bucket_is_not_put_into_a_folder_of_its_name(tmp_path, monkeypatch, write, url):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^--(out|output|merged)={url}: must be a path of this machine, not a URL"):
        write(url)
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_new_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ValueError, match=r"/out: is a file; give a folder"), files.new_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out").read_text() == "mine"


def test_a_new_folder_goes_where_nothing_comes_of_it(tmp_path):
    for left in ((), ("mine",)):
        with pytest.raises(KeyError), files.new_folder(tmp_path / "a" / "b") as folder:
            for name in left:
                (folder / name).write_text("")
            raise KeyError
        assert (tmp_path / "a" / "b").exists() == bool(left)
    assert (tmp_path / "a" / "b" / "mine").exists()


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(files.os, "access", lambda path, mode: asked.append((path, mode)))
    refused = pytest.raises(PermissionError, match=f"^{tmp_path}: nothing can be written there; give another folder")
    with refused, files.new_folder(tmp_path / "a" / "b"):
        pass
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]


@pytest.mark.parametrize("name", ["a b", "a'b$c%03d;~#&", "a[1]", "a*", "a?", "a]", "{a,b}", "a\\b", "[x]/y"])
def test_a_plain_path_leads_to_the_folder(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path / name, name):
        with files.plain_path(folder) as plain:
            assert not files.is_pattern(plain) and os.path.samefile(plain, tmp_path / name)
            assert files.is_pattern(name) == (plain != os.fspath(folder))
        assert os.path.exists(plain) == (plain == os.fspath(folder))


def test_a_plain_path_does_not_lie_in_a_folder_that_is_a_pattern(tmp_path, monkeypatch):
    (tmp_path / "t[1]").mkdir()
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path / "t[1]"))
    with files.plain_path(tmp_path / "t[1]") as plain:
        assert not files.is_pattern(plain)


def test_a_pattern_is_refused_wherever_it_comes_from(tmp_path, monkeypatch):
    files.check_plain(tmp_path / "plain", "--export_dir")
    (tmp_path / "a[1]").mkdir()
    monkeypatch.chdir(tmp_path / "a[1]")
    with pytest.raises(ValueError, match=r"^--export_dir=served: .*a\[1\]/served holds one of .* without them$"):
        files.check_plain("served", "--export_dir")


def test_what_is_not_as_it_was_sealed_is_told(tmp_path):
    values = {"b": (1, 2), "a": {3: 0.1, 20: None}, "c": "é"}
    text = json.dumps(files.sealed(values))
    assert files.unsealed(json.loads(text)) == (json.loads(json.dumps(values)), True)
    assert files.unsealed({"b": 1}) == ({"b": 1}, True)  # of an earlier version
    for old, new in (("0.1", "0.3"), ('"c"', '"k"'), ("[1, 2]", "[1, 3]"), ("null", "true")):
        assert old in text and not files.unsealed(json.loads(text.replace(old, new)))[1]


def test_a_folder_that_another_process_holds_is_refused_until_it_ends(tmp_path):
    holding = "import pathlib, sys; from dense_labels import files\n"
    holding += "with files.held(pathlib.Path(sys.argv[1]), 'prediction'): print('held', flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", holding, tmp_path],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "held\n"
    refused = pytest.raises(ValueError, match=f"{tmp_path}: another prediction is writing there; wait until it has")
    with refused, files.held(tmp_path, "prediction"):
        pytest.fail("both held it")
    assert (tmp_path / ".lock").exists()
    other.kill()  # nothing is in the way of the next one
    other.wait()
    with files.held(tmp_path, "prediction") as is_held:
        assert is_held
    assert not list(tmp_path.iterdir())


def test_who_waited_for_a_folder_holds_it_and_not_a_file_that_is_gone(tmp_path):
    """Many take turns; each removes the file that others have opened already."""
    inside, most = [], []

    def take():
        for _ in range(10):
            with files.held(tmp_path, "export", waits=True):
                inside.append(1)
                time.sleep(0.001)  # others run meanwhile
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(most) == 80 and max(most) == 1 and not list(tmp_path.iterdir())


def test_a_folder_is_used_without_a_lock_where_there_are_none(tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with files.held(tmp_path, "export"):
        monkeypatch.setattr(fcntl, "flock", refuse)
        with files.held(tmp_path, "export") as is_held:
            assert not is_held
        assert (tmp_path / ".lock").exists()  # which may be another one's
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["flock", "stat"])
def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch, call):
    """On a network the file that was opened may be gone, which the system says in one of two ways."""
    failed, original = [], {"flock": fcntl.flock, "stat": os.stat}[call]

    def fail_once(*given, **named):
        if not failed and (call == "flock" or given[0] == tmp_path / ".lock"):
            failed.append(given)
            (tmp_path / ".lock").unlink()
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return original(*given, **named)

    monkeypatch.setattr(fcntl if call == "flock" else files.os, call, fail_once)
    with files.held(tmp_path, "export") as is_held:
        assert is_held and failed


def test_a_lock_of_another_user_is_locked_for_reading(tmp_path, monkeypatch):
    (tmp_path / ".lock").touch()  # left by a process that was killed

    def refuse(path, mode="r"):
        if mode == "a":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return open(path, mode)

    monkeypatch.setattr(files, "open", refuse, raising=False)
    with files.held(tmp_path, "export") as is_held:
        assert is_held
    with pytest.raises(PermissionError), files.held(tmp_path, "export"):
        pass
