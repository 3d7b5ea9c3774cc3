"""Tests of telling files of an earlier prediction from those of the new one."""

from dense_labels.prediction import leftovers


def test_files_of_another_model_are_said(tmp_path, capsys):
    for name in ("points.csv", "scores.csv", "sheet.png"):
        (tmp_path / name).write_text("")
    (tmp_path / "mine.txt").write_text("")
    of = {"model": {"heads": "a"}, "folder": "pictures"}
    leftovers.remember(tmp_path, [tmp_path / "points.csv", tmp_path / "scores.csv"], of)
    leftovers.remember(tmp_path, [tmp_path / "sheet.png"], of)  # of the same, in another format
    assert not capsys.readouterr().out
    for _ in range(2):  # each time, as long as they are there
        leftovers.remember(tmp_path, [tmp_path / "points.csv"], {**of, "model": {"heads": "b"}})
        said = capsys.readouterr().out
        assert "scores.csv, sheet.png are of an earlier prediction, by another model, of other pictures" in said
    (tmp_path / "scores.csv").unlink()
    leftovers.remember(tmp_path, [tmp_path / "points.csv", tmp_path / "sheet.png"], {**of, "folder": "others"})
    assert not capsys.readouterr().out


def test_a_damaged_record_is_passed_over(tmp_path, capsys):
    for content in ("{", "[]"):
        (tmp_path / leftovers.FILE).write_text(content)
        leftovers.remember(tmp_path, [], {})
    assert not capsys.readouterr().out
