"""Tests of the benchmark of warps."""

import numpy as np
import pytest

from benchmarks import warps as benchmark


@pytest.mark.parametrize(
    "factory, packages, special",
    [
        ("ours", [], {}),
        ("sparse_image_warp", ["tensorflow_addons"], {"points": 3, "fixed_ends": True}),
        ("kornia_tps", ["torch", "kornia"], {"points": 3}),
        ("cv2_remap", ["cv2"], {"dtype": "uint8"}),
    ],
)
def test_contenders_of_the_benchmark_make_two_different_views(factory, packages, special):
    for package in packages:
        pytest.importorskip(package)
    assert factory in [name for name, _ in benchmark.CONTENDERS.values()]
    image_a, image_b = getattr(benchmark, factory)(size=24, batch=2, threads=1, **special)()
    assert image_a.size == image_b.size == 2 * 24 * 24 * 3
    assert np.abs(np.float32(image_a) - np.float32(image_b)).max() > 0.1
    assert 0.3 < np.mean(image_a) / (255 if image_a.dtype == np.uint8 else 1) < 0.6


def test_the_benchmark_sets_the_others_beside_ours():
    results = {
        "ours": {"median_pairs_a_second": 2000.4, "ours_is_faster_by": [1, 1, 1]},
        "theirs": {"median_pairs_a_second": 500.0, "ours_is_faster_by": [4.0, 3.2, 4.8]},
    }
    lines = ["| ours | 2000 |  |", "| theirs | 500 | 4.00 (3.20 - 4.80) |"]
    assert benchmark._table(results).splitlines()[2:] == lines
