"""How much it matters where the object lies in the frame: landmarks matched between crops that are framed differently.

python -m benchmarks.framing --workdirs=runs/faces/dilations_dist,runs/faces/dilations_dist_mirror \
    --images=IMAGES --annotations=TRAIN.json --annotations_test=TEST.json [--results=benchmarks/results/framing]

Each landmark of a test picture is matched by its label in another one: 500 pairs of the first 200 pictures, or as many
as there are. Both pictures are seen through windows, which leave 15 % of the width and as much of the height out. First
the windows lie alike in both, then shifted along a diagonal, by those 15 % both ways; the landmarks are the same.

Prints a Markdown table: mean distances in pixels of an image 70 wide, by cells, and what `eval_main.py` says of shifted
views of the same picture. The options of evaluation are those of each run.
"""

import os

import numpy as np
from absl import flags

from benchmarks import rows
from dense_labels import command_line, run_config
from dense_labels.registry import describes

_WORKDIRS = flags.DEFINE_list("workdirs", [], "Runs to measure.")
_SHIFT = 0.15  # of the shorter side
_PICTURES, _PAIRS, _BATCH = 200, 500, 16
FIGURES = ("framed_alike_px", "framed_apart_px", "shifted_error_px", "border_reliance_percent")


def main():
    if not _WORKDIRS.value:
        raise ValueError("--workdirs is missing; name the work directories of runs")
    files = {name: os.path.basename(value) for name, value in rows.data().items() if name != "data.dir"}
    measured = {}
    for workdir in _WORKDIRS.value:
        name = os.path.basename(os.path.normpath(workdir))
        if name in measured:
            raise ValueError(f"--workdirs: two are called {name}; measure them one by one")
        asked = {**files, **rows.facts(workdir)}
        measured[name] = rows.recorded(name, asked, lambda workdir=workdir: _measure(workdir), rows.LATER)
    lines = ["| run | framed alike | framed apart | same picture, shifted | leans on the border |", "|---" * 5 + "|"]
    for name, found in measured.items():
        cells = (f"{found[figure]:.2f} {'px' if figure.endswith('px') else '%'}" for figure in FIGURES)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    print("\n".join(lines))


def _measure(workdir):
    """Figures of one run, by name, and the step of its training."""
    import dense_labels
    from dense_labels import batches
    from dense_labels.evaluation import border_reliance, turns
    from input_pipeline import pipeline

    run = dense_labels.open_run(workdir)
    config = run_config.load(workdir)
    for name, value in rows.data().items():
        setattr(config.data, name.removeprefix("data."), os.path.abspath(value))
    source = pipeline.prepare(config)
    shown = batches.stack(list(pipeline.landmark_batches(source, "test", batch_size=_BATCH, count=_PICTURES)))
    network, settings = rows.labelling(run.network), {"stride": run.stride, "shift": _SHIFT}
    settings["cosine"] = describes(config.model.name)
    alone = border_reliance.measure(network, np.asarray(shown.image), **settings)
    pictures = turns.of_images(source.origins("test"), shown.picture)
    return {"step": run.step, **match(network, shown, pictures=pictures, **settings), **alone}


def match(network, shown, *, stride, shift, cosine=False, pairs=_PAIRS, seed=0, pictures=None):
    """Matches landmarks of one picture in another, through windows that lie alike and windows that lie apart.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L].
      shown: a LandmarkBatch of all images.
      stride: side of a cell in pixels.
      shift: along x and along y, as a share of the shorter side.
      cosine: whether labels are unit descriptors, compared by their direction.
      pairs: how many pairs of pictures at most.
      seed: of their draw.
      pictures: int [N], which picture each image is of, such as that of boxes in it; None: each is of another.

    Returns:
      A dictionary, in pixels of an image made 70 wide: `framed_alike_px` and `framed_apart_px`, mean distances of the
      best cell from the landmark, and `framed_landmarks`, how many landmarks of pairs there are.
    """
    from dense_labels.evaluation import label_matching

    height, width = shown.image.shape[1:3]
    step = max(1, round(shift * min(height, width) / stride)) * stride
    window = np.array([width - step, height - step])
    corners = np.float32([(0, 0), (step, step), (step, 0), (0, step)])  # each beside the other end of its diagonal
    labels = [_labels(network, shown.image, corner.astype(int), window) for corner in corners]
    off = {"alike": [], "apart": []}
    for n, (a, b) in enumerate(label_matching.pairs_of(pairs, len(shown.image), seed, pictures)):
        own, other = n % 4, n % 4 ^ 1
        known = (shown.annotated[a] > 0) & (shown.annotated[b] > 0)
        known &= _inside(shown.landmarks[a], [corners[own]], window)
        known &= _inside(shown.landmarks[b], corners[[own, other]], window)
        if not known.any():
            continue
        points, true = (shown.landmarks[each][known] for each in (a, b))
        for name, there in (("alike", own), ("apart", other)):
            found, *_ = label_matching.nearest_descriptor(
                labels[own][a], labels[there][b], points - corners[own], stride=stride, cosine=cosine
            )
            off[name].append(np.linalg.norm(found + corners[there] - true, axis=-1))
    joined = {name: np.concatenate(each) for name, each in off.items()}
    means = {f"framed_{name}_px": float(each.mean() * label_matching.WIDTH / width) for name, each in joined.items()}
    return {**means, "framed_landmarks": len(joined["alike"])}


def _labels(network, images, corner, window):
    """Labels [N, h, w, L] of the windows (width, height) of all images whose top left corner is (x, y)."""
    (x, y), (width, height) = corner, window
    seen = images[:, y : y + height, x : x + width]
    return np.concatenate([np.asarray(network(seen[at : at + _BATCH])) for at in range(0, len(seen), _BATCH)])


def _inside(points, corners, window):
    """Which of the points [K, 2] lie in the windows of all corners."""
    return np.all([np.all((points >= corner) & (points < corner + window), axis=-1) for corner in corners], axis=0)


if __name__ == "__main__":
    command_line.run(main)
