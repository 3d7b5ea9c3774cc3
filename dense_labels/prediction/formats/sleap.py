"""SLEAP's .slp file, which its window opens for people to correct: the pictures as a video of single images.

Convention: SLEAP counts pixels from 0 at their centre, so half a pixel is taken off; see the reader of this name in
`input_pipeline.readers.formats`. sleap-io writes the file.
"""

from __future__ import annotations

import os
import pathlib
import tempfile
from typing import TYPE_CHECKING

from dense_labels.registry import FORMATS

if TYPE_CHECKING:
    from dense_labels.prediction.predictions import Predictions

_HALF = 0.5


@FORMATS.register("sleap", "predicted instances in SLEAP's .slp", file="points.slp", needs=("sleap_io",))
def write(predictions: Predictions) -> bytes:
    """Writes an instance for each object that has a landmark with a place, with skeleton and symmetries.

    Raises:
      ValueError: if sleap-io is not installed.
    """
    try:
        import sleap_io
    except ImportError as error:
        raise ValueError('sleap needs sleap-io: pip install "dense-labels[sleap]"') from error
    names = list(predictions.landmark_names)
    skeleton = sleap_io.Skeleton(nodes=names, name="object")
    for a, b in predictions.skeleton:
        skeleton.add_edge(names[a], names[b])
    for a, b in predictions.flip_pairs:
        skeleton.add_symmetry(names[a], names[b])
    rows = predictions.by_picture()
    paths = [os.path.join(os.path.abspath(predictions.folder), name) for name in rows]
    video = sleap_io.Video(filename=paths, open_backend=False, backend_metadata=_images(paths, predictions))
    frames = []
    for number, of_picture in enumerate(rows.values()):
        instances = [
            _instance(sleap_io, predictions, row, skeleton) for row in of_picture if predictions.known[row].any()
        ]
        frames.append(sleap_io.LabeledFrame(video=video, frame_idx=number, instances=instances))
    labels = sleap_io.Labels(videos=[video], skeletons=[skeleton], labeled_frames=frames)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "points.slp")
        labels.save(str(path), embed=False, verbose=False)
        return path.read_bytes()


def _images(paths, predictions):
    """What SLEAP keeps of a video that is single images; without it the file could not be read without them."""
    height, width = predictions.sizes[0].tolist() if len(predictions) else (0, 0)
    shape = [len(paths), height, width, 3]
    return {
        "type": "ImageVideo",
        "shape": shape,
        "filename": (paths or [""])[0],
        "filenames": paths,
        "grayscale": False,
    }


def _instance(sleap_io, predictions, row, skeleton):
    return sleap_io.PredictedInstance.from_numpy(
        predictions.points[row].astype("float64") - _HALF,
        skeleton=skeleton,
        point_scores=predictions.score[row].astype("float64"),
        score=float(predictions.score[row].mean()),
    )
