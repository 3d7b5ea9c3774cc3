"""Tests of the pictures that are counted to a million, and of the table of them."""

from PIL import Image

from tests import flagless

many = flagless.benchmark("many")


def test_pictures_differ_and_those_that_are_there_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(many, "_IN_FOLDER", 3)
    for first, count in ((0, 3), (3, 2)):
        many._draw(tmp_path, first, count)
    paths = sorted(tmp_path.rglob("*.jpg"))
    assert [str(path.relative_to(tmp_path)) for path in paths[2:4]] == ["0000/0000002.jpg", "0001/0000003.jpg"]
    assert len({path.read_bytes() for path in paths}) == 5 and Image.open(paths[0]).size == (64, 64)
    paths[0].write_bytes(b"kept")
    many._draw(tmp_path, 0, 3)
    assert paths[0].read_bytes() == b"kept"


def test_the_table_says_what_a_picture_costs():
    row = {"seconds": 2.0, "peak_mb": 300.4}
    lines = many._table({1000: row}, {1000: {**row, "pairs_per_second": 1600.0}}, {500: row}).splitlines()
    assert lines[2:] == [
        "| shards written | 1,000 | 2 | 2.0 |  | 300 |",
        "| 200 steps of 8 pairs | 1,000 | 2 |  | 1600.0 | 300 |",
        "| files predicted | 500 | 2 | 4.0 |  | 300 |",
    ]
