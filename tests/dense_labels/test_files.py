"""Files appear whole or not at all."""

import os
import stat

import pytest

from dense_labels import files


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
