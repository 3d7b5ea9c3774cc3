"""Evaluates runs in the process of a test, with the options of `eval_main.py`: that it is a command is tested once."""

import pathlib

import pytest

import eval_main
from dense_labels import command_line, run_pictures
from dense_labels.batches import Limits

_DEFAULTS = {
    "export_dir": None,
    "max_pixels": Limits.max_pixels,
    "batch_requests": 0,
    **dict.fromkeys(("annotations", "annotations_test", "pictures", "cache_dir")),
    **dict.fromkeys(("skip_bad_files", "report", "untrained"), False),
    **dict.fromkeys(("weights", "pile")),
    **dict.fromkeys(("annotate", "category", "corrections", "merged", "predicted")),
    **{name: [] for name in ("few_shot", "heads", "suggest")},
}


def evaluate(workdir, *, drawn=False, **options):
    """Runs what the command runs.

    Args:
      workdir: folder of the run.
      drawn: whether pictures are drawn.
      **options: values of flags, under their names; lists of texts where a flag takes a list, a path for its text.
    """
    assert options.keys() <= _DEFAULTS.keys()
    with pytest.MonkeyPatch.context() as patch:
        if not drawn:
            patch.setattr(run_pictures, "write", nothing)
        paths = {name: str(value) for name, value in options.items() if isinstance(value, pathlib.Path)}
        eval_main.main(str(workdir), **{**_DEFAULTS, **options, **paths})


def refusal(workdir, **options):
    """The error that a user reads of an evaluation, which must be one that the command tells in one line."""
    with pytest.raises(Exception) as raised:
        evaluate(workdir, **options)
    assert command_line.is_expected(raised.value), raised.value
    return str(raised.value)


def nothing(*_, **__):
    """Draws nothing, in the place of `run_pictures.write`."""
