"""A SavedModel whose files are not as they were written is not loaded, and everybody can check it."""

import shutil
import subprocess

import pytest

from dense_labels.exporting import checksums


@pytest.fixture
def written(tmp_path):
    """A folder as an export writes it."""
    for name in ("saved_model.pb", "variables/variables.index", "assets.extra/requests"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() * 9)
    checksums.write(tmp_path)
    checksums.check(tmp_path)
    return tmp_path


def test_a_model_without_checksums_passes(written):
    (written / "saved_model.pb").write_bytes(b"of an older version")
    with pytest.raises(ValueError, match="saved_model.pb is damaged"):
        checksums.check(written)
    (written / checksums.FILE).unlink()
    assert checksums.check(written) is None


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index", "assets.extra/requests"])
def test_a_file_that_is_damaged_missing_or_new_is_named(written, name):
    content = (written / name).read_bytes()
    for damaged in (content[:-1], bytes(len(content)), b"T" + content[1:], b""):
        (written / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{name} is damaged; export the model again, or copy it once more"):
            checksums.check(written)
    (written / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        checksums.check(written)
    (written / name).write_bytes(content)
    (written / ".DS_Store").write_bytes(b"of a file manager")
    checksums.check(written)
    (written / "new").write_bytes(b"")
    with pytest.raises(ValueError, match="new is damaged"):
        checksums.check(written)


def test_damaged_checksums_vouch_for_nothing(written):
    path = written / checksums.FILE
    content = path.read_bytes()
    for damaged in (b"", content[:-5], bytes(len(content)), b"\xff" + content[1:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged|is missing"):
            checksums.check(written)


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="the command is not everywhere")
def test_the_usual_command_checks_them_too(written):
    command = ["sha256sum", "-c", str(checksums.FILE)]
    assert subprocess.run(command, cwd=written, capture_output=True).returncode == 0
    (written / "saved_model.pb").write_bytes(b"")
    assert subprocess.run(command, cwd=written, capture_output=True).returncode == 1
