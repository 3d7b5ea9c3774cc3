"""One training at a time: the living are respected, the dead are followed, whoever ends leaves nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import pytest

from dense_labels.training import lock
from tests.commands import ROOT

HOLDER = """
import sys, time
from dense_labels.training import lock
with lock.hold(sys.argv[1]):
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `tmp_path / "run"`; it ends when its input is closed."""
    options = {"cwd": ROOT, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "run")], **options)
    try:
        assert process.stdout.readline() == "holds\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def held(workdir):
    return json.loads((workdir / lock.FILE).read_text())


def change(workdir, *, age=0.0, **values):
    """Changes what a lock says, and since when it has not been renewed."""
    path = workdir / lock.FILE
    path.write_text(json.dumps({**held(workdir), **values}))
    os.utime(path, (time.time() - age,) * 2)


def take(workdir):
    """Holds a work directory for a moment; it is ours then, and nothing is left."""
    with lock.hold(workdir):
        assert held(workdir)["pid"] == os.getpid()
        assert [path.name for path in workdir.iterdir()] == [lock.FILE]
        (workdir / "kept").write_text("")
    assert [path.name for path in workdir.iterdir()] == ["kept"]


def test_another_process_is_refused_while_one_trains(tmp_path, holder):
    said = rf"^{tmp_path}/run: process {holder.pid} on \S+ has been training there since 20\d\d-\d\d-\d\d \d\d:\d\d:"
    with pytest.raises(ValueError, match=said + ".*; wait until it has ended, stop it, or choose another --workdir$"):
        take(tmp_path / "run")
    assert held(tmp_path / "run")["pid"] == holder.pid
    assert [path.name for path in (tmp_path / "run").iterdir()] == [lock.FILE]
    holder.communicate("")
    take(tmp_path / "run")


def test_a_killed_holder_is_followed_at_once(tmp_path, holder):
    holder.kill()  # nobody has asked for its exit code yet, so its number is still taken
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert held(tmp_path / "run")["pid"] == holder.pid
    take(tmp_path / "run")
    assert not (tmp_path / "run" / lock.FILE).exists()


def test_a_later_process_of_the_same_number_is_another(tmp_path, holder):
    if not held(tmp_path / "run")["started"]:
        pytest.skip("this system does not say when a process started")
    with pytest.raises(ValueError, match=f"process {holder.pid} on "):
        take(tmp_path / "run")
    change(tmp_path / "run", started="1")
    take(tmp_path / "run")
    assert not (tmp_path / "run" / lock.FILE).exists()


def test_where_processes_of_one_number_look_alike_the_last_renewal_tells_as_well(tmp_path, holder, monkeypatch):
    """As on macOS, once another process has the number of one that was killed."""
    monkeypatch.setattr(lock, "_started", lambda pid: "")
    change(tmp_path / "run", started="")
    with pytest.raises(ValueError, match=f"process {holder.pid} on "):
        take(tmp_path / "run")
    change(tmp_path / "run", age=301)
    take(tmp_path / "run")


@pytest.mark.parametrize("where", [{"machine": "elsewhere", "host": "elsewhere", "pid": 1}, None])
def test_of_a_holder_elsewhere_the_last_renewal_tells(tmp_path, holder, where):
    run = tmp_path / "run"
    if where:
        change(run, **where)
    else:
        (run / lock.FILE).write_text("")  # cannot be understood
    with pytest.raises(ValueError, match=r"process (1 on elsewhere|\? on \?) .*counts for nothing 5 minutes later\)$"):
        take(run)
    os.utime(run / lock.FILE, (time.time() - 301,) * 2)
    take(run)


def test_the_holder_renews_its_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT", 0.01)
    with lock.hold(tmp_path):
        os.utime(tmp_path / lock.FILE, (1, 1))
        for _ in range(500):
            if (tmp_path / lock.FILE).stat().st_mtime > 1:
                break
            time.sleep(0.01)
        assert (tmp_path / lock.FILE).stat().st_mtime > 1
    assert not list(tmp_path.iterdir())


def test_a_copy_of_a_run_in_training_may_be_trained(tmp_path, holder):
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    take(tmp_path / "copy")
    assert held(tmp_path / "run")["pid"] == holder.pid


def test_a_run_that_was_moved_may_be_trained_for_its_training_writes_where_it_was(tmp_path, holder):
    (tmp_path / "run").rename(tmp_path / "moved")
    assert held(tmp_path / "moved")["pid"] == holder.pid
    take(tmp_path / "moved")
    assert not (tmp_path / "moved" / lock.FILE).exists()


def test_another_path_to_the_same_folder_is_no_other_folder(tmp_path, holder):
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(ValueError, match=f"process {holder.pid} on "):
        take(tmp_path / "link")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, None])
def test_nothing_is_left_however_it_ends(tmp_path, error):
    expected = pytest.raises(error) if error else None
    if expected is None:
        with lock.hold(tmp_path / "a" / "run"):
            pass
        assert not list((tmp_path / "a" / "run").iterdir())
        return
    with expected, lock.hold(tmp_path / "a" / "run"):
        raise error
    assert not (tmp_path / "a").exists()  # which was made for it


def test_a_lock_that_another_took_over_is_left_to_it(tmp_path):
    with lock.hold(tmp_path):
        change(tmp_path, token="of another")
    assert held(tmp_path)["token"] == "of another"


def test_who_has_lost_its_lock_writes_no_more(tmp_path):
    lock.check(tmp_path)  # nobody holds it
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with lock.hold(tmp_path / "run"):
        lock.check(tmp_path / "link")
        change(tmp_path / "run", token="of another")
        with pytest.raises(ValueError, match=r"training\.lock is no longer of this training, which stood still"):
            lock.check(tmp_path / "link")
        (tmp_path / "run" / lock.FILE).unlink()
        with pytest.raises(ValueError, match="another one may train there; start the same command again to go on"):
            lock.check(tmp_path / "run")
    lock.check(tmp_path / "run")


def test_a_dead_lock_that_another_has_just_taken_over_is_put_back(tmp_path):
    path = tmp_path / lock.FILE
    path.write_text('{"pid": 7}')
    lock._clear(path, {"pid": 3})
    assert path.read_text() == '{"pid": 7}' and [each.name for each in tmp_path.iterdir()] == [lock.FILE]
    lock._clear(path, {"pid": 7})
    lock._clear(path, {"pid": 7})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("links", [True, False])
def test_of_many_that_begin_at_once_one_trains(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError("no links here")))
    dead = {"pid": 2**22 + 1, "machine": lock._machine(), "folder": str(tmp_path)}
    (tmp_path / lock.FILE).write_text(json.dumps(dead))
    begin, end, outcomes = threading.Barrier(8), threading.Barrier(8), []

    def train():
        begin.wait()
        try:
            with lock.hold(tmp_path):
                outcomes.append("trained")
                end.wait(30)
        except ValueError as error:
            outcomes.append(re.sub(r".*(has been training there).*", r"\1", str(error)))
            end.wait(30)

    threads = [threading.Thread(target=train) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["has been training there"] * 7 + ["trained"]
    assert not list(tmp_path.iterdir())
