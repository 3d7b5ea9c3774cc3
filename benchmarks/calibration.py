"""What a model's word about its own errors is worth, on annotated pictures that it has not learned from.

python -m benchmarks.calibration --model=runs/mine|served/mine/3 --images=IMAGES --annotations=TEST [--out=FILE.json]

Names in TEST, of any format that `eval_main.py` takes, start from the folder IMAGES. All landmarks of all pictures are
pooled. The first table has them in fifths, from the least expected error to the largest: what was expected, and what
was found. The second has fifths by likelihood, and the share that is within 5 % of what errors are divided by. Where
landmarks were left out of the annotations that the model learned from, the next has all landmarks of these pictures, in
fifths by the probability that they are there, and the share that is annotated. The last says how well each tells good
points from bad ones: the area under the risk-coverage curve, the mean error of the most certain points over all shares
of them; beside it the raw score, chance, and the order of the errors themselves.
"""

import os

import numpy as np
from absl import flags

from benchmarks import rows, timing
from dense_labels import command_line

_MODEL = flags.DEFINE_string("model", None, "Work directory of a run, or folder of an exported model.", required=True)
_OUT = flags.DEFINE_string("out", "", "JSON file of the figures.")
_BINS = 5


def main():
    from dense_labels.evaluation import calibration

    asked = {"model": _MODEL.value, "images": rows.images(), "annotations": rows.annotations()["data.annotations"]}
    asked = {name: os.path.expanduser(value) for name, value in asked.items()}
    found, errors, shares, presence = _predicted(**asked)
    results = {"landmarks": int(errors.size), "mean_error_px": float(errors.mean())}
    print(f"\n{errors.size} landmarks, mean error {errors.mean():.2f} px")
    worth = {"expected_error": errors, "likelihood": shares <= calibration.NEAR, "present": presence}
    for name, each in worth.items():
        if found[name] is not None:
            results[name] = _reliability(each, found[name])
            print(f"\n{_table(name, results[name])}")
    results["risk_px"] = _risks(errors, found)
    print(f"\n{timing.table(['mean error of the most certain, by', 'px'], _rows(results['risk_px']))}")
    if _OUT.value:
        named = {name: os.path.basename(os.path.normpath(value)) for name, value in asked.items()}
        timing.write_report(_OUT.value, results, ["tensorflow"], named)


def _predicted(model, images, annotations):
    """What was predicted [M] of each annotated landmark, how far off it was in pixels, and as a share.

    And whether each landmark [L] of the pictures is annotated; `present` is of all these.
    """
    import dense_labels
    from input_pipeline.readers import annotation_files, consistency

    known = annotation_files.read(os.path.abspath(os.path.expanduser(images)), annotations)
    if known.boxes is not None:
        raise ValueError(f"{annotations}: several objects a picture are not measured here; crop the pictures")
    is_run = os.path.exists(os.path.join(model, "config.json"))
    found = (dense_labels.open_run if is_run else dense_labels.load)(model).predict(known.paths)
    if found.failed:
        raise ValueError(f"{len(found.failed)} pictures cannot be read, such as {found.failed[0][0]}")
    place = {os.path.join(found.folder, name): row for row, name in enumerate(found.names)}
    order = [place[os.path.abspath(path)] for path in known.paths]
    known = consistency.checked(known, found.sizes[order])
    columns = _columns(found.landmark_names, known.landmark_names, annotations)
    measured = (known.annotated > 0) & (known.normalisers > 0)[:, np.newaxis]
    errors = np.linalg.norm(found.points[order][:, columns] - known.landmarks, axis=-1)
    shares = errors / np.where(known.normalisers > 0, known.normalisers, 1)[:, np.newaxis]
    names = ("expected_error", "likelihood", "score")
    given = {name: getattr(found, name) for name in names}
    given = {name: None if value is None else value[order][:, columns][measured] for name, value in given.items()}
    annotated = known.annotated > 0
    looked_at = annotated.any(axis=1)  # of others nobody says what they show
    given["present"] = None if found.present is None else found.present[order][looked_at][:, columns].ravel()
    return given, errors[measured], shares[measured], annotated[looked_at].ravel()


def _columns(names, wanted, annotations):
    """Which landmarks of a model are those of the annotations, by their names where they have names."""
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"{annotations}: the model has no landmark {missing[0]}; it has {', '.join(names)}")
    return [names.index(name) for name in wanted] or slice(None)


def _reliability(worth, said):
    """Fifths by what was said: what was said and what was found, on average, and of how many."""
    from dense_labels.evaluation import confidence

    mean, share, count = confidence.reliability(worth, said, _BINS)
    return [{"said": float(a), "found": float(b), "landmarks": int(n)} for a, b, n in zip(mean, share, count)]


def _risks(errors, found):
    """Areas under risk-coverage curves, in pixels, by each thing that says how certain a point is."""
    from dense_labels.evaluation import confidence

    signs = {"expected_error": -1, "likelihood": 1, "score": 1}
    given = {name: sign * found[name] for name, sign in signs.items() if found[name] is not None}
    areas = {name: confidence.area_under_risk_coverage(errors, value) for name, value in given.items()}
    areas["chance"], areas["errors_themselves"] = confidence.reference_areas(errors)
    return areas


def _rows(values):
    return [[name.replace("_", " "), f"{value:.2f}"] for name, value in values.items()]


def _table(name, bins):
    header = {
        "expected_error": ["expected error, px", "error found, px", "landmarks"],
        "likelihood": ["likelihood", "share within 5 %", "landmarks"],
        "present": ["probability that it is there", "share annotated", "landmarks"],
    }[name]
    return timing.table(header, [[f"{each['said']:.2f}", f"{each['found']:.2f}", each["landmarks"]] for each in bins])


if __name__ == "__main__":
    command_line.run(main)
