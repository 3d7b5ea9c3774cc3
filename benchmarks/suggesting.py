"""How near the suggestions of the annotation page are, from a few annotated pictures, by labels alone and refined.

python -m benchmarks.suggesting --workdir=runs/mine --images=IMAGES --annotations=ANNOTATIONS [--counts=1,5,20] \
    [--seeds=5] [--shown=40] [--within=5]

Of a finished run. Each draw takes so many pictures of ANNOTATIONS as annotated, and others, at most --shown, in which
their landmarks are suggested: before anything is corrected there. All landmarks of all draws are pooled. Prints a
Markdown table: the share of suggestions within so many pixels of the picture, the median distance, and that which 90 %
are within.
"""

import os

import numpy as np
from absl import flags

from benchmarks import rows, timing
from dense_labels import command_line

_COUNTS = flags.DEFINE_list("counts", ["1", "5", "20"], "Annotated pictures.")
_SEEDS = flags.DEFINE_integer("seeds", 5, "How often to draw them.", lower_bound=1)
_SHOWN = flags.DEFINE_integer("shown", 40, "Pictures that landmarks are suggested in, at most.", lower_bound=1)
_WITHIN = flags.DEFINE_float("within", 5, "Pixels of the picture.", lower_bound=0)
_WAYS = {"labels alone": False, "refined": True}


def main():
    command_line.whole_numbers("counts", _COUNTS.value)
    import dense_labels
    from input_pipeline.readers import annotation_files

    run = dense_labels.open_run(rows.workdir())
    folder, (file, _) = os.path.expanduser(rows.images()), rows.annotations().values()
    known = annotation_files.read(folder, file)
    known = known.take(np.flatnonzero(known.annotated.any(axis=1)))  # a table may have lines to be filled in yet
    if known.boxes is not None:
        raise ValueError(f"{file}: several objects a picture are not measured here; crop the pictures")
    if max(map(int, _COUNTS.value)) >= len(known.paths):
        raise ValueError(
            f"--counts={max(map(int, _COUNTS.value))}: there are {len(known.paths)} annotated pictures; take fewer"
        )
    header = ["annotated", "which", f"within {_WITHIN.value:g} px", "median, px", "90 % within, px"]
    lines = []
    for count in map(int, _COUNTS.value):
        drawn = [_distances(run, known, count, seed) for seed in range(_SEEDS.value)]
        for way in _WAYS:
            away = np.concatenate([each[way] for each in drawn])
            figures = np.median(away), np.quantile(away, 0.9)
            lines.append([count, way, f"{np.mean(away < _WITHIN.value):.0%}", *(f"{each:.1f}" for each in figures)])
    print(timing.table(header, lines))


def _distances(run, known, count, seed):
    """How far off suggestions are in a draw, in pixels of the pictures: way -> [M]."""
    from dense_labels.annotation import suggesting
    from dense_labels.batches import LabelMap
    from dense_labels.method import introspection_loss
    from dense_labels.registry import has_unit_labels
    from input_pipeline.storage import decoding

    drawn = np.random.default_rng(seed).permutation(len(known.paths))[: count + _SHOWN.value]
    paths, targets = [known.paths[n] for n in drawn], range(count, len(drawn))
    images = [decoding.read_resized(path, None, run.frame.full_size)[0] for path in paths]
    length = introspection_loss.shown_length(has_unit_labels(run.config.model))
    labels = length * np.concatenate([run.labels(image).values for image in images])
    annotated = known.annotated[drawn] * (np.arange(len(drawn)) < count)[:, np.newaxis]
    carried = np.flatnonzero(annotated.any(axis=0))
    points, annotated = known.landmarks[drawn][:, carried], annotated[:, carried]
    truth, measured = points[count:], known.annotated[drawn][count:, carried] > 0
    found = {}
    for way, exactly in _WAYS.items():
        given = LabelMap(labels, run.stride), run.frame, map(decoding.read_picture, paths), points, annotated, targets
        places, _ = suggesting.in_pictures(*given, exactly=exactly)
        found[way] = np.linalg.norm(places - truth, axis=-1)[measured]
    return found


if __name__ == "__main__":
    command_line.run(main)
