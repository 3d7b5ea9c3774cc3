"""Says whether two versions of this code give the same numbers: weights, figures and answers, bit for bit.

python -m benchmarks.compare_trees --other=../OTHER_TREE --workdir=runs/compared [--only=arm,stills,...] [--output=FILE]

Five small configurations are trained for 20 steps, evaluated and exported by the commands of this tree and by those of
the other, on the CPU in float32, each tree making its own data and caches; pictures are drawn first. What differs is a
line, and the exit status is then 1. WORKDIR holds `pictures/`, `frames/`, `this/` and `other/`; runs in `other/` that
are finished are kept, those in `this/` are made anew. Keys and signatures that only this tree has are no difference.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from absl import flags
from PIL import Image, ImageDraw

from dense_labels import command_line

_OTHER = flags.DEFINE_string("other", None, "Folder of the tree that it is compared with.", required=True)
_WORKDIR = flags.DEFINE_string("workdir", "runs/compared", "Folder for pictures and runs.")
_ONLY = flags.DEFINE_list("only", [], "The kinds to compare; all of them where none is named.")
_OUTPUT = flags.DEFINE_string("output", None, "File that what was found is added to, a line of JSON.")

_TRAIN = ("train.steps_per_epoch=10", "train.num_epochs=2", "train.warmup_steps=5", "train.precision=float32")
_PICTURES = ("data.dir={pictures}", "data.annotations={pictures}/points.json", "data.cache_dir={cache}")
_PICTURES += ("data.annotations_test={pictures}/points_test.json", "train.batch_size=4")
_SIMULATED = ("data.dir={data}", "data.num_pairs=120", "train.batch_size=4")
KINDS = {  # name -> (configuration, what is changed in it, heads)
    "arm": ("roboarm", (*_TRAIN, *_SIMULATED), "nearest"),
    "stills": ("faces", (*_TRAIN, *_PICTURES, "data.size=(64,64)", "data.crop=8"), "nearest,regress,regress_each"),
    "video": ("video", (*_TRAIN, "data.dir={frames}", "data.cache_dir={cache}", "train.batch_size=4"), ""),
    "sphere": ("sphere", (*_TRAIN, *_SIMULATED), ""),
    "introspection": (
        "introspection",
        (*_TRAIN[:2], _TRAIN[3], *_PICTURES, "data.size=(64,64)", "model.weights=none", "model.label_size=16"),
        "nearest,heatmaps",
    ),
}
LANDMARKS = {  # places about the middle of a drawing, times its radius; colours
    "left_eye": ((-0.4, -0.3), (20, 40, 90)),
    "right_eye": ((0.4, -0.3), (20, 110, 60)),
    "nose": ((0.0, 0.1), (150, 80, 40)),
    "left_mouth": ((-0.35, 0.5), (170, 30, 30)),
    "right_mouth": ((0.35, 0.5), (120, 20, 90)),
}
_ROOT = pathlib.Path(__file__).resolve().parents[1]
_SIDE, _FINER = 64, 4  # pixels of a picture; it is drawn so much larger
_BOOKKEEPING = ("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter/.ATTRIBUTES/VARIABLE_VALUE")


def main():
    kinds, work = _ONLY.value or list(KINDS), pathlib.Path(_WORKDIR.value).expanduser().absolute()
    for name in kinds:
        if name not in KINDS:
            raise ValueError(f"--only={name}: there is no such kind; choose {', '.join(KINDS)}")
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")  # of the commands too
    draw_all(work)
    found = {}
    for name in kinds:
        _run(name, pathlib.Path(_OTHER.value).expanduser().absolute(), work / "other", work, keep=True)
        _run(name, _ROOT, work / "this", work)
        found[name] = compare(*(work / side / name for side in ("this", "other")), work / "pictures")
        for part, result in found[name].items():
            print(f"{name:14} {part:8} {_said(result)}", flush=True)
    if _OUTPUT.value:
        with open(_OUTPUT.value, "a") as file:
            file.write(json.dumps(found) + "\n")
    sys.exit(any(result["differ"] for parts in found.values() for result in parts.values()))


def draw_all(folder):
    """Draws `pictures/` (12 to train and 8 to test on, with landmarks in COCO files) and `frames/`, unless done."""
    rng = np.random.default_rng(0)
    for file, first, count in (("points.json", 0, 12), ("points_test.json", 12, 8)):
        known = {"images": [], "annotations": []}
        known["categories"] = [{"id": 1, "name": "face", "keypoints": list(LANDMARKS)}]
        for index in range(first, first + count):
            path = folder / "pictures" / f"{index:02}.png"
            points = draw(path, _SIDE * rng.uniform(0.44, 0.56, 2), _SIDE * rng.uniform(0.28, 0.38), rng.uniform(0, 6))
            known["images"].append({"id": index, "file_name": path.name, "width": _SIDE, "height": _SIDE})
            keypoints = [round(float(value), 3) for point in points for value in (*point, 2)]
            known["annotations"].append({"id": index, "image_id": index, "category_id": 1, "keypoints": keypoints})
        (folder / "pictures" / file).write_text(json.dumps(known) + "\n")
    for index, angle in enumerate(np.linspace(0, 2 * np.pi, 24, endpoint=False)):
        centre = _SIDE / 2 + _SIDE / 8 * np.array([np.cos(angle), np.sin(2 * angle)])
        draw(folder / "frames" / f"{index:02}.png", centre, _SIDE * (0.3 + 0.03 * np.sin(angle)), 0.0)


def draw(path, centre, radius, phase):
    """Draws a face over a smooth background as a PNG file, unless it is there; returns its landmarks, (x, y) [5, 2]."""
    places = {name: centre + radius * np.array(place) for name, (place, _) in LANDMARKS.items()}
    if not path.exists():
        x, y = np.meshgrid(*2 * [np.linspace(0, 3, _SIDE * _FINER)])
        waves = [127 + 60 * np.sin((k + 1) * x + (3 - k) * y + phase + k) for k in range(3)]
        picture = Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))
        drawing = ImageDraw.Draw(picture)
        spots = [(centre, radius, (230, 180, 140)), *((places[k], radius / 6, LANDMARKS[k][1]) for k in places)]
        for middle, size, colour in spots:
            drawing.ellipse([*(_FINER * (middle - size)), *(_FINER * (middle + size))], fill=colour)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.resize([_SIDE, _SIDE], Image.Resampling.BOX).save(path)
    return np.stack(list(places.values()))


def _run(name, tree, folder, work, keep=False):
    """Trains, evaluates and exports a kind with the commands of a tree; with `keep`, unless that is done."""
    config, changes, heads = KINDS[name]
    workdir, done = folder / name, folder / name / "done.json"
    places = {"pictures": work / "pictures", "frames": work / "frames"}
    places |= {kept: folder / f"{name}_{kept}" for kept in ("data", "cache")}
    changes = [f"--config.{change.format(**places)}" for change in changes]
    commands = [
        ["train_main.py", f"--config=configs/{config}.py", f"--workdir={workdir}", *changes],
        ["eval_main.py", f"--workdir={workdir}", f"--export_dir={workdir}/served", *[f"--heads={heads}"] * bool(heads)],
    ]
    if keep and done.exists() and json.loads(done.read_text()) == [str(tree), *commands]:
        return
    for left in (workdir, places["data"], places["cache"]):
        shutil.rmtree(left, ignore_errors=True)
    for command in commands:
        print(f"{name}: {tree}/{command[0]}", file=sys.stderr, flush=True)
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        result = subprocess.run([sys.executable, *command], cwd=tree, **options)
        if result.returncode:
            sys.exit(f"{result.stdout[-2000:]}\nerror: {tree}/{command[0]} failed (exit code {result.returncode})")
    done.write_text(json.dumps([str(tree), *commands]))


def compare(this, other, pictures):
    """Compares two finished runs.

    Args:
      this, other: their folders.
      pictures: folder of pictures that the exported models are asked about.

    Returns:
      Part -> a dictionary: `compared`, how many values; `differ`, how many of these do; `largest`, the largest
      difference (None where shapes differ or one is missing), and `where` it is; `notes`, on what is no number.
    """
    (weights, notes), figures = _alike(_weights(this), _weights(other)), [_figures(run) for run in (this, other)]
    numbers, texts = ([each[kind] for each in figures] for kind in ("numbers", "texts"))
    told = [f"{key}: {texts[0].get(key)!r}, not {was!r}" for key, was in texts[1].items() if texts[0].get(key) != was]
    answers = [_answers(run / "served" / "1", pictures) for run in (this, other)]
    parts = {"weights": (weights, notes), "figures": (numbers, told), "answers": (answers, [])}
    return {part: {**_differences(*pair), "notes": notes} for part, (pair, notes) in parts.items()}


def _weights(run):
    """Every variable of the newest checkpoint by its name, optimiser and all."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(run / "checkpoints"))
    names = sorted(name for name in reader.get_variable_to_shape_map() if name not in _BOOKKEEPING)
    return {name: np.asarray(reader.get_tensor(name)) for name in names}


def _alike(this, other):
    """Variables as they are, or, where the trees name them differently, in an order that names have no part in."""
    if this.keys() == other.keys():
        return (this, other), []
    pair = [sorted(each.values(), key=lambda value: (value.shape, value.tobytes())) for each in (this, other)]
    example = min(this.keys() ^ other.keys())
    note = f"{len(this)} variables, not {len(other)}, other names (such as {example}): compared by shape and content"
    longest = range(max(map(len, pair)))  # one that only this tree has counts as well
    missing = np.empty([0])
    return tuple({str(k): each[k] if k < len(each) else missing for k in longest} for each in pair), [note]


def _figures(run):
    """Numbers and texts of result.json by their path in it."""
    found = {"numbers": {}, "texts": {}}

    def walk(path, value):
        if isinstance(value, (dict, list)):
            for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                walk(f"{path}/{key}" if path else str(key), part)
        elif isinstance(value, (int, float)):
            found["numbers"][path] = np.float64(value)
        else:
            found["texts"][path] = value

    result = json.loads((run / "eval" / "result.json").read_text())
    walk("", {key: value for key, value in result.items() if key != "digest"})  # of all the others
    return found


def _answers(served, pictures):
    """What each signature answers to pictures: signature/output -> array."""
    import tensorflow as tf

    files = [path.read_bytes() for path in sorted(pictures.glob("*.png"))[:6]]
    pixels = tf.stack([tf.io.decode_png(file, channels=3) for file in files])
    stored = {tf.uint8: pixels, tf.float32: tf.cast(pixels, tf.float32) / 255, tf.string: tf.constant(files)}
    answers, model = {}, tf.saved_model.load(str(served))
    for name, function in model.signatures.items():
        inputs = function.structured_input_signature[1]
        halves = {"images": slice(0, 3), "image_a": slice(0, 3), "image_b": slice(3, 6)}
        asked = {key: stored[spec.dtype][halves[key]] for key, spec in inputs.items()}
        answers.update({f"{name}/{key}": value.numpy() for key, value in function(**asked).items()})
    return answers


def _differences(this, other):
    """Compares arrays of the other tree with those of the same names in this one."""
    worst, where, differ = 0.0, None, 0
    for name, value in other.items():
        mine = this.get(name)
        if mine is None or (mine.dtype, mine.shape) != (value.dtype, value.shape):
            size = np.inf
        elif mine.tobytes() == value.tobytes():
            continue
        else:
            size = float(np.max(np.abs(mine.astype(np.float64) - value), initial=0.0))
        differ += 1
        if where is None or size > worst:
            worst, where = size, name
    largest = worst if np.isfinite(worst) else None
    return {"compared": len(other), "differ": differ, "largest": largest, "where": where}


def _said(result):
    """A line of what `compare` says of a part, and its notes."""
    line = f"equal ({result['compared']} values)"
    if result["differ"]:
        size = "shapes differ or it is missing" if result["largest"] is None else f"by {result['largest']:.3g}"
        line = f"DIFFERENT: {result['differ']} of {result['compared']}, most in {result['where']}: {size}"
    return "\n".join([line, *(f"  note: {note}" for note in result["notes"])])


if __name__ == "__main__":
    command_line.run(main)
