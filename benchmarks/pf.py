"""Semantic matching on PF-WILLOW or PF-PASCAL: layers of trunks, and trained networks, by one protocol.

python -m benchmarks.pf --dataset=pf_willow --dir=DIR --weights=mobilenet_v2=FILE.h5,vgg16=FILE.h5 \
    [--rows=mobilenet_v2,...] [--workdirs=runs/mine,...] [--pairs=LIST.csv] [--proposals=FOLDER] [--size=288] \
    [--results=benchmarks/results/pf]

Section 4.2 of the second paper. Pictures are stretched to a square; no row knows where on a picture anything lies.
Prints two Markdown tables. Of key points: the nearest label (unit vectors) among the cells of B, and on B's label map
made 4 times finer; where labels differ in length, the cell with the largest inner product, the paper's phi / sigma; and
the flow of matched regions. Of regions: areas under PCR and mIoU@k of the regions on the object. A trained network with
a trunk describes regions by its labels and by the layer below them, the others by their labels alone. Without
--proposals, boxes are a sliding grid, which is not what published figures are on. Rows that are in --results are only
read.
"""

import functools
import hashlib
import os
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from benchmarks import rows
from dense_labels import command_line

_HYPERCOLUMN = ("conv3_block3_out", "conv4_block3_out", "conv5_block3_out")
ROWS = {  # name -> trunk, layers; those called random have no weights
    "mobilenet_v2_random": ("mobilenet_v2", ("block_13_expand_relu",)),
    "mobilenet_v2": ("mobilenet_v2", ("block_13_expand_relu",)),
    "vgg16_conv4_3": ("vgg16", ("block4_conv3",)),
    "vgg16_pool4": ("vgg16", ("block4_pool",)),
    "resnet50_hypercolumn": ("resnet50", _HYPERCOLUMN),
}
PROPOSALS = {"pf_willow": 500, "pf_pascal": 1000}  # a picture, as in the public code of Ham et al. and in the paper
_LATER = ("digest", *rows.LATER)  # what records of earlier versions do not say
_FLOW = (224, 224)  # as SCNet has it
_KEPT = 16  # pictures whose regions are described at a time

_DATASET = flags.DEFINE_enum("dataset", "pf_willow", list(PROPOSALS), "Which of the two.")
_DIR = flags.DEFINE_string("dir", None, "Its folder, as published.")
_PAIRS = flags.DEFINE_string("pairs", None, "List of pairs; pf_willow has all ordered pairs of a subset without.")
_WEIGHTS = flags.DEFINE_list("weights", [], "TRUNK=FILE.h5 or TRUNK=imagenet, which downloads them.")
_ROWS = flags.DEFINE_list("rows", [], "Trunk rows; where none are named, those with weights and the random one.")
_WORKDIRS = flags.DEFINE_list("workdirs", [], "Folders of runs that train_main.py wrote.")
_PROPOSALS = flags.DEFINE_string("proposals", None, "Folder of boxes: NAME.mat, .npy or .csv for each picture.")
_COUNT = flags.DEFINE_integer("count", 0, "The most boxes a picture; 0: 500 for pf_willow, 1000 for pf_pascal.")
_SIZE = flags.DEFINE_integer("size", 288, "Side of the network's input in pixels.")


class Row(NamedTuple):
    """A network to measure."""

    name: str  # with what its weights are
    network: Any  # images [B, H, W, 3] -> list of maps, labels first
    stride: int
    unit: bool  # whether all its labels are of unit length


class Scene(NamedTuple):
    """What all rows are measured on."""

    pairs: Any  # `pf_data.Pairs`
    boxes: list  # of each picture, [M, 4] in its pixels
    sizes: np.ndarray  # [N, 2], height and width of each picture
    true: list  # of each pair: regions of A on the object, bool [M], and where they are in B; None if it is not known


def main():
    if not _DIR.value:
        raise ValueError("--dir is missing; give the folder of the data set")
    weights = dict(each.partition("=")[::2] for each in _WEIGHTS.value)
    names = _ROWS.value or [row for row, (trunk, _) in ROWS.items() if trunk in weights or row.endswith("_random")]
    check_rows(names, weights)

    import tensorflow as tf  # after the flags are known to be right, for this is slow

    from benchmarks.semantic import pf_tables

    tf.config.experimental.enable_tensor_float_32_execution(False)
    pairs, boxes, source = read(_DATASET.value, _DIR.value, _PAIRS.value, _PROPOSALS.value, _COUNT.value)
    scene = describe(pairs, boxes)
    print(f"{len(pairs.indices)} pairs of {len(pairs.pictures)} pictures, {_SIZE.value} px; proposals: {source}\n")
    found = {"dataset": _DATASET.value, "pairs": len(pairs.indices), "proposals": source, "size": _SIZE.value}
    found["digest"] = _digest(pairs, boxes)
    found["pictures"] = [os.path.basename(path) for path in pairs.pictures.paths]
    file = {name: "" if name.endswith("_random") else os.path.basename(weights[ROWS[name][0]]) for name in names}
    asked = {name: {**found, "weights": file[name]} for name in names}
    create = {name: functools.partial(trunk_row, name, weights) for name in names}
    for workdir in _WORKDIRS.value:
        name = os.path.basename(os.path.normpath(workdir))
        if name in asked:
            raise ValueError(f"--workdirs={workdir}: two rows are called {name}; measure them one by one")
        asked[name], create[name] = {**found, **rows.facts(workdir)}, functools.partial(trained_row, workdir)
    measured = {
        name: rows.recorded(name, asked[name], lambda name=name: _row(create[name](), scene), _LATER) for name in asked
    }
    print("\n".join(["", *pf_tables.point_table(measured, scene)]))
    if any(true is not None for true in scene.true):
        print("\n".join(["", *pf_tables.region_table(measured, scene)]))


def _row(row, scene):
    """The figures of a `Row`, as they are recorded."""
    from benchmarks.semantic import pf_tables

    print(f"measuring {row.name}", flush=True)
    return pf_tables.figures(measure(row, scene, _SIZE.value), scene)


def check_rows(names, weights):
    """Refuses rows that there are not, and those without weights."""
    for trunk in weights:
        if trunk not in {each for each, _ in ROWS.values()}:
            raise ValueError(f"--weights={trunk}: write TRUNK=FILE, such as mobilenet_v2=weights.h5")
    for name in names:
        if name not in ROWS:
            raise ValueError(f"--rows={name}: there is no such row; choose {', '.join(ROWS)}")
        trunk = ROWS[name][0]
        if trunk not in weights and not name.endswith("_random"):
            raise ValueError(f"--rows={name} needs --weights={trunk}=FILE.h5")


def read(dataset, dir, pairs, folder, count):
    """Reads pairs and proposals: `(pf_data.Pairs, boxes of each picture, what they are)`."""
    from benchmarks.semantic import pf_data, proposals
    from input_pipeline.storage import decoding

    if dataset == "pf_pascal" and not pairs:
        raise ValueError("--dataset=pf_pascal needs --pairs, the list of pairs")
    found = pf_data.read_pascal(dir, pairs) if dataset == "pf_pascal" else pf_data.read_willow(dir, pairs)
    paths, count = found.pictures.paths, count or PROPOSALS[dataset]
    if folder:
        files = [proposals.find(folder, group, path) for group, path in zip(found.groups, paths)]
        return found, [proposals.read(path, count=count) for path in files], f"at most {count} from {proposals.FILES}"
    boxes = [proposals.sliding_grid(decoding.read_size(path), count=count) for path in paths]
    return found, boxes, f"{proposals.GRID} of {len(boxes[0])}"


def _digest(pairs, boxes):
    """What tells these pairs of pictures and their proposals from others."""
    arrays = [np.asarray(pairs.indices, np.int64), *(np.asarray(each, np.float32) for each in boxes)]
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()


def describe(pairs, boxes):
    """Works out what all rows are measured against: a `Scene`."""
    from benchmarks.semantic import regions
    from input_pipeline.storage import decoding

    sizes = np.array([decoding.read_size(path) for path in pairs.pictures.paths])
    points, annotated = pairs.pictures.landmarks, pairs.pictures.annotated > 0
    true = []
    for a, b in pairs.indices:
        both = annotated[a] & annotated[b]
        chosen = regions.on_object(boxes[a], points[a][annotated[a]]) if annotated[a].any() else np.zeros(1, bool)
        known = chosen.any() and both.any() and regions.span_plane(points[a][both])
        corresponding = (points[a][both], points[b][both], sizes[b])
        true.append((chosen, regions.true_boxes(boxes[a][chosen], *corresponding)) if known else None)
    return Scene(pairs, boxes, sizes, true)


def trunk_row(name, weights):
    """The `Row` of layers of a trunk."""
    import tensorflow as tf

    from models import trunks

    trunk, layers = ROWS[name]
    file = "none" if name.endswith("_random") else weights[trunk]
    tf.keras.utils.set_random_seed(0)
    network, stride = trunks.features(trunk, layers, weights=file)
    return Row(f"{name} ({os.path.basename(file)})", tf.keras.Model(network.input, [network.output]), stride, True)


def trained_row(workdir):
    """The `Row` of a run."""
    import tensorflow as tf

    import dense_labels
    from dense_labels.registry import NETWORKS

    run = dense_labels.open_run(workdir)
    network, model = run.network, run.config.model
    with_trunk = model.name == "introspection"
    below = [network.get_layer("label").input] if with_trunk else []
    maps = tf.keras.Model(network.input, [network.output, *below])
    unit = with_trunk and not NETWORKS[model.name].value.has_confidence(model)
    return Row(f"{workdir} (step {run.step})", maps, run.stride, unit)


def measure(row, scene, size):
    """Matches all pairs.

    Returns:
      A dictionary: `points`, name of the way -> [P, K, 2] in pixels of B; `ious` and `scores` of the regions on the
      object, a list of one array for each pair whose truth is known.
    """
    from benchmarks.semantic import regions
    from dense_labels.evaluation import label_matching

    landmarks, shape = scene.pairs.pictures.landmarks, (size, size)
    maps = _label(row, scene, shape)

    @functools.lru_cache(_KEPT)
    def described(index):
        boxes = _scaled(scene.boxes[index], scene.sizes[index], shape)
        return regions.region_descriptors([(each, row.stride) for each in maps[index]], boxes)

    finer = label_matching.FINER
    ways = {"cell": {}, f"{finer} x finer": {"upsample": finer}}
    ways.update({} if row.unit else {"cell, inner product": {"cosine": False}})
    points, ious, scores = {name: [] for name in [*ways, "flow"]}, [], []
    for (a, b), true in zip(scene.pairs.indices, scene.true):
        start = _scaled(landmarks[a], scene.sizes[a], shape)
        for name, options in ways.items():
            compared = maps[a][0], maps[b][0], start
            found = label_matching.nearest_descriptor(*compared, stride=row.stride, **options)[0]
            points[name].append(_scaled(found, shape, scene.sizes[b]))
        best, score = regions.match_regions(described(a), described(b))
        points["flow"].append(_carried(scene, a, b, best, score))
        if true is not None:
            chosen, boxes = true
            ious.append(regions.overlaps(boxes, scene.boxes[b][best[chosen]]))
            scores.append(score[chosen])
    return {"points": {name: np.stack(found) for name, found in points.items()}, "ious": ious, "scores": scores}


def _label(row, scene, shape):
    """The maps of each picture, labels first."""
    import tensorflow as tf

    label = tf.function(row.network, reduce_retracing=True)
    maps = (tf.nest.flatten(label(_resized(path, shape)[np.newaxis])) for path in scene.pairs.pictures.paths)
    return [[each[0].numpy() for each in several] for several in maps]


def _carried(scene, a, b, best, score):
    """Where the flow of matched regions takes the key points of A, in pixels of B."""
    from benchmarks.semantic import proposal_flow

    size_a, size_b, pictures = scene.sizes[a], scene.sizes[b], scene.pairs.pictures
    boxes_a, boxes_b = _scaled(scene.boxes[a], size_a, _FLOW), _scaled(scene.boxes[b][best], size_b, _FLOW)
    offsets = proposal_flow.flow(boxes_a, boxes_b, score, _resized(pictures.paths[a], _FLOW), _FLOW)
    return _scaled(proposal_flow.transfer(offsets, _scaled(pictures.landmarks[a], size_a, _FLOW)), _FLOW, size_b)


def _resized(path, shape):
    from input_pipeline.storage import decoding

    return decoding.read_resized(path, None, shape)[0].astype(np.float32) / 255


def _scaled(values, size, to):
    """Points [..., 2] or boxes [..., 4] of a picture of (height, width) `size`, once it is stretched to another."""
    across = np.array(to)[::-1] / np.array(size)[::-1]
    return (values * np.tile(across, values.shape[-1] // 2)).astype(np.float32)


if __name__ == "__main__":
    command_line.run(main)
