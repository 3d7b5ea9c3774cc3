"""What the README shows of one's own code runs as it stands there."""

import pathlib
import re

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"


def test_the_parts_are_put_together_as_the_readme_shows(capsys):
    section = README.read_text(encoding="utf-8").partition("## In your own code")[2]
    names = {}
    exec(re.search(r"```python\n(.+?)```", section, flags=re.DOTALL)[1], names)
    assert names["labels_a"].shape == [2, 32, 32, 3]
    assert (names["figures"]["loss"].numpy() > 0).all() and (names["figures"]["matching_error"].numpy() > 0).all()
    assert capsys.readouterr().out.count("tf.Tensor") == 2
