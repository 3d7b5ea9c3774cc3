"""Tests of the textured sphere's data set: what is stored."""

import itertools
import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds

from input_pipeline.simulation import frame_pairs, sphere, sphere_motion, sphere_rendering

PAIRS, SEED = frame_pairs.MIN_NUM_PAIRS, 7


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("sphere")


@pytest.fixture(scope="module")
def builder(data_dir):
    return sphere.prepare(str(data_dir), PAIRS, SEED)


def test_it_stores_the_frames_of_the_video_and_their_rotations(builder):
    examples = sorted(tfds.as_numpy(builder.as_dataset(split="all")), key=lambda example: example["frame"])
    assert len(examples) == PAIRS
    rotations = list(itertools.islice(sphere_motion.simulate(SEED), examples[-1]["frame"] + 2))
    for example in examples[::7]:
        frame = example["frame"]
        for view, rotation in (("a", rotations[frame]), ("b", rotations[frame + 1])):
            np.testing.assert_allclose(example[f"rotation_{view}"], rotation, atol=1e-7)
            np.testing.assert_array_equal(example[f"image_{view}"], sphere_rendering.draw(rotation))
    figures = builder.info.metadata
    assert figures["num_pairs"] == PAIRS and 30 < figures["turn_median_degrees"] < 60


def test_same_seed_gives_the_same_bytes_and_says_in_one_line_what_it_made(builder, tmp_path, capsys):
    again = sphere.prepare(tmp_path, PAIRS, SEED)
    printed = capsys.readouterr()
    assert printed.out.startswith(f"sphere: {PAIRS} pairs in ") and printed.out.count("\n") == 1
    assert "turned by" in printed.out and "Turning the sphere" in printed.err
    first, second = (
        {p.name: p.read_bytes() for p in pathlib.Path(b.data_path).glob("*rec*")} for b in (builder, again)
    )
    assert first == second and len(first) == 3 * frame_pairs.NUM_SHARDS


def test_tfds_loads_it_by_name(builder, data_dir):
    assert (
        len(tfds.load(f"sphere/pairs_{PAIRS}_seed_{SEED}", split="test", data_dir=str(data_dir), download=False)) == 10
    )
    assert tfds.builder("sphere", data_dir=str(data_dir)).builder_config.num_pairs == sphere.DEFAULT_NUM_PAIRS
