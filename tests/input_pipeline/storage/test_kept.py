"""Tests of what is made once: whole or not at all, by one process at a time."""

import threading

import pytest

from input_pipeline.storage import kept


def write(folder):
    (folder / "content").write_text("whole")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_made_once(tmp_path):
    calls = []
    for _ in range(2):
        kept.make_once(tmp_path / "below" / "name", lambda begun: calls.append(begun.name) or write(begun))
    assert calls == ["incomplete.name"]
    assert names(tmp_path / "below") == [".lock", "name"] and names(tmp_path / "below/name") == ["content"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_a_folder_whose_making_fails(tmp_path, error):
    def fail(begun):
        write(begun)
        raise error("stopped")

    with pytest.raises(error, match="stopped"):
        kept.make_once(tmp_path / "name", fail)
    assert names(tmp_path) == [".lock"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "incomplete.other").mkdir()
    (tmp_path / "whole").mkdir()
    kept.make_once(tmp_path / "name", write)
    assert names(tmp_path) == [".lock", "name", "whole"]


def test_two_at_once_make_it_once(tmp_path):
    begun, calls = threading.Event(), []

    def make(folder):
        calls.append(folder)
        begun.wait(timeout=10)
        write(folder)

    threads = [threading.Thread(target=kept.make_once, args=(tmp_path / "name", make)) for _ in range(2)]
    for thread in threads:
        thread.start()
    begun.set()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and names(tmp_path / "name") == ["content"]
