"""SLEAP's .slp file, which its window opens for people to correct: of a video, or of pictures as single images.

Pictures of each size are a video of their own, for SLEAP packs and trains on videos of one size.

Convention: SLEAP counts pixels from 0 at their centre, so half a pixel is taken off; see the reader of this name in
`input_pipeline.readers.formats`. sleap-io writes the file.
"""

from __future__ import annotations

import os
import pathlib
import tempfile
from typing import TYPE_CHECKING

from dense_labels import progress
from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_HALF = 0.5


@FORMATS.register(
    "sleap",
    "predicted instances in SLEAP's .slp",
    file="points.slp",
    needs=("sleap_io",),
    extra="sleap",
    whole_paths=True,
)
def write(predictions: Predictions) -> bytes:
    """Writes an instance for each object that has a landmark with a place, with skeleton and symmetries.

    Annotations are written as a person's instances: SLEAP and our reader take those before predicted ones.

    Raises:
      ValueError: if sleap-io is not installed.
    """
    try:
        import sleap_io
    except ImportError as error:
        raise progress.not_installed("sleap", "sleap-io", "sleap") from error
    names = list(predictions.landmark_names)
    skeleton = sleap_io.Skeleton(nodes=names, name="object")
    for a, b in predictions.skeleton:
        skeleton.add_edge(names[a], names[b])
    for a, b in predictions.flip_pairs:
        skeleton.add_symmetry(names[a], names[b])
    videos, frames = [], []
    for about, numbers, rows in _videos(predictions):
        name = about.get("filenames", about["filename"])
        videos.append(sleap_io.Video(filename=name, open_backend=False, backend_metadata=about))
        for number, of_picture in zip(numbers, rows):
            instances = [
                _instance(sleap_io, predictions, row, skeleton) for row in of_picture if predictions.known[row].any()
            ]
            frames.append(sleap_io.LabeledFrame(video=videos[-1], frame_idx=number, instances=instances))
    labels = sleap_io.Labels(videos=videos, skeletons=[skeleton], labeled_frames=frames)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "points.slp")
        labels.save(str(path), embed=False, verbose=False)
        return path.read_bytes()


def _videos(predictions):
    """What SLEAP keeps of each video, the numbers of its frames, and the rows of each frame."""
    rows = predictions.by_picture()
    if predictions.frames is not None:
        return [(_video(predictions), predictions.frames.tolist(), rows.values())]
    of_size: dict[tuple[int, ...], list[str]] = {}
    for name, (first, *_) in rows.items():
        of_size.setdefault(tuple(predictions.sizes[first].tolist()), []).append(name)
    return [
        (_images(predictions, names, size), range(len(names)), [rows[name] for name in names])
        for size, names in (of_size or {(0, 0): []}).items()
    ]


def _images(predictions, names, size):
    """What SLEAP keeps of a video that is single images; without it the file could not be read without them."""
    paths = [os.path.join(os.path.abspath(predictions.folder), name) for name in names]
    about = {"type": "ImageVideo", "shape": [len(paths), *size, 3], "grayscale": False}
    return {**about, "filename": (paths or [""])[0], "filenames": paths}


def _video(predictions):
    """What SLEAP keeps of a video, whose frames it counts from 0 as `predictions.frames` does."""
    size = predictions.sizes[0].tolist() if len(predictions) else (0, 0)
    shape = [int(predictions.frames.max(initial=-1)) + 1, *size, 3]
    about = {"type": "MediaVideo", "shape": shape, "grayscale": False, "bgr": True, "dataset": "", "input_format": ""}
    return {**about, "filename": os.path.abspath(predictions.video)}


def _instance(sleap_io, predictions, row, skeleton):
    points = predictions.points[row].astype("float64") - _HALF
    if predictions.by_hand:
        return sleap_io.Instance.from_numpy(points, skeleton=skeleton)
    return sleap_io.PredictedInstance.from_numpy(
        points,
        skeleton=skeleton,
        point_scores=predictions.score[row].astype("float64"),
        score=float(predictions.score[row].mean()),
    )
