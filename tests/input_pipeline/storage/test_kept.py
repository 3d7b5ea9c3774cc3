"""Tests of what is made once: whole or not at all, by one process at a time."""

import concurrent.futures
import errno
import fcntl
import os
import threading

import pytest

from input_pipeline.storage import kept


def write(folder):
    (folder / "content").write_text("whole")


def check(folder):
    if (text := (folder / "content").read_text()) != "whole":
        raise ValueError(f"its content is {text!r}")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_made_once(tmp_path):
    calls = []
    for _ in range(2):
        kept.make_once(tmp_path / "below" / "name", lambda begun: calls.append(begun.name) or write(begun), check)
    assert calls == ["incomplete.name"]
    assert names(tmp_path / "below") == [".lock", "name"] and names(tmp_path / "below/name") == ["content"]


def test_a_folder_that_cannot_be_written_names_the_setting_unless_all_is_there(tmp_path, monkeypatch):
    kept.make_once(tmp_path / "name", write, check)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # nothing is refused to root
    kept.make_once(tmp_path / "name", write, check)
    either = r"give another --config\.data\.cache_dir \(eval_main\.py: --cache_dir\), or the right to write"
    with pytest.raises(PermissionError, match=f"{tmp_path}: nothing can be written there; {either}"):
        kept.make_once(tmp_path / "other", write, check)


def test_a_folder_for_which_there_is_no_room_is_refused_before_the_work(tmp_path):
    needed = "what is to be kept there needs 1000000000.0 GB"
    either = r"make room, or give another --config\.data\.cache_dir \(eval_main\.py: --cache_dir\)$"
    with pytest.raises(OSError, match=f"has room for .* GB, and {needed}; {either}"):
        kept.make_once(tmp_path / "name", pytest.fail, check, size=10**18)
    assert not (tmp_path / "name").exists()


def test_whoever_waits_for_another_process_says_so(tmp_path, capsys):
    held, took = threading.Event(), threading.Event()

    def wait():
        held.wait()
        with kept.lock(tmp_path / ".lock"):
            took.set()

    other = threading.Thread(target=wait, daemon=True)
    other.start()
    with kept.lock(tmp_path / ".lock"):
        held.set()
        said = ""
        for _ in range(200):
            assert not took.wait(0.05)
            said += capsys.readouterr().out
            if said:
                break
        assert said == f"note: another process makes what lies in {tmp_path}; waiting for it\n"
    assert took.wait(10)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_a_folder_whose_making_fails(tmp_path, error):
    def fail(begun):
        write(begun)
        raise error("stopped")

    with pytest.raises(error, match="stopped"):
        kept.make_once(tmp_path / "name", fail, check)
    assert names(tmp_path) == [".lock"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "incomplete.other").mkdir()
    (tmp_path / "whole").mkdir()
    kept.make_once(tmp_path / "name", write, check)
    assert names(tmp_path) == [".lock", "name", "whole"]


def test_two_at_once_make_it_once(tmp_path, monkeypatch):
    waits, calls = threading.Event(), []
    monkeypatch.setattr(kept.progress, "note", lambda words: waits.set())  # that another process makes it

    def make(folder):
        calls.append(folder)
        assert waits.wait(10)
        write(folder)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: kept.make_once(tmp_path / "name", make, check), range(2)))
    assert len(calls) == 1 and names(tmp_path / "name") == ["content"]


@pytest.mark.parametrize("damage", ["", "wh", None])
def test_what_is_damaged_is_made_anew_and_that_is_said(tmp_path, capsys, damage):
    (tmp_path / "name").mkdir()
    if damage is not None:
        (tmp_path / "name" / "content").write_text(damage)
    kept.make_once(tmp_path / "name", write, check)
    check(tmp_path / "name")
    said = capsys.readouterr().out
    assert said.startswith(f"note: {tmp_path / 'name'} is damaged (") and said.endswith("), and is made anew\n")
    kept.make_once(tmp_path / "name", write, check)
    assert not capsys.readouterr().out


def test_a_file_system_without_locks_does_not_stop_it(tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    kept.make_once(tmp_path / "name", write, check)
    assert names(tmp_path) == [".lock", "name"]


def test_nothing_gets_its_name_before_the_disk_has_it(tmp_path, monkeypatch):
    synced, sync = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: sync(file) or synced.add(os.fstat(file).st_ino))

    def make(folder):
        write(folder)
        (folder / "below").mkdir()
        (folder / "below" / "more").write_text("more")
        synced.clear()

    kept.make_once(tmp_path / "name", make, check)
    made = [tmp_path / "name", *(tmp_path / "name").rglob("*")]
    assert {path.stat().st_ino for path in made if path.name != "below"} <= synced
