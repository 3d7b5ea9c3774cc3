"""Tests of what an evaluation makes of its arguments, before anything is measured."""

import pytest

import dense_labels
from dense_labels import run_config, run_evaluation
from dense_labels.config import Config
from dense_labels.registry import READERS, SOURCES


@pytest.fixture
def run(tmp_path):
    """A run that has been begun, of which nothing is read but its configuration."""
    run_config.save(Config(), tmp_path)
    return dense_labels.open_run(tmp_path)


@pytest.mark.parametrize(
    "heads, few_shot, taken",
    [("nearest", 5, (("nearest",), (5,))), (["nearest", "regress"], [1, 5], (("nearest", "regress"), (1, 5)))],
)
def test_one_head_and_one_number_may_be_given_alone(run, monkeypatch, heads, few_shot, taken):
    class Taken(Exception):
        pass

    def take(run, data, heads, few_shot, pile):
        assert (heads, few_shot) == taken
        raise Taken

    monkeypatch.setattr(run_evaluation, "_configuration", take)
    with pytest.raises(Taken):
        run.evaluate(heads=heads, few_shot=few_shot)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"heads": "nearest,regress"}, r"config\.eval\.heads='nearest,regress': there is no such choice; choose"),
        ({"few_shot": "5"}, r"few_shot=\('5',\): must be whole numbers above 0, such as 1, 5, 10"),
        ({"few_shot": 0.5}, r"few_shot=\(0\.5,\): must be whole numbers above 0"),
    ],
)
def test_what_they_cannot_be_is_refused(run, options, said):
    with pytest.raises(ValueError, match=said):
        run.evaluate(**options)


def test_data_sets_without_landmarks_say_that_they_have_none():
    """The test pictures of an evaluation are then looked for among those of the training."""
    found = {name for each in (READERS, SOURCES) for name in each if run_evaluation._is_unannotated(name)}
    assert found == {"folder", "boxes", "video"}
