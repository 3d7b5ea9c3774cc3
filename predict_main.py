"""Predicts the landmarks of many pictures or a video, by a run that was evaluated or a model that was exported.

python predict_main.py --model=runs/mine --pictures=PICTURES --out=points [--formats=csv,coco,deeplabcut,tps,sheet]
"""

import os
from typing import Any

from absl import flags

import dense_labels
from dense_labels import command_line
from dense_labels.prediction.inputs import Boxes
from dense_labels.registry import FORMATS


def main(model: str, pictures: str, boxes: dict[str, Any], **options: Any) -> None:
    """Predicts with the folder of a run or of an exported model; `boxes` are the arguments of `Boxes`."""
    if not boxes["file"] and (given := [name for name, value in boxes.items() if value]):
        raise ValueError(f"--{given[0]} is of boxes; give --boxes too, the file with these")
    is_run = os.path.exists(os.path.join(os.path.expanduser(model), "config.json"))
    predictor = dense_labels.open_run(model) if is_run else dense_labels.load(model)
    objects = Boxes(**boxes) if boxes["file"] else None
    predictor.predict(pictures, boxes=objects, **options)


def console() -> None:
    """Defines the flags and runs; the console script dense-labels-predict."""
    words = "; ".join(f"{entry.name}: {entry.words}" for entry in FORMATS.values())
    holders: list[flags.FlagHolder] = [
        flags.DEFINE_string("model", None, "Folder of a run, or of an exported model."),
        flags.DEFINE_string("pictures", None, "Folder, pattern in quotes, .txt with a name a line, picture, or video."),
        flags.DEFINE_string("out", None, "Folder to write to; the same command goes on where it was stopped."),
        flags.DEFINE_list("formats", ["csv", "scores", "sheet"], f"What to write. {words}."),
        flags.DEFINE_bool("smooth", False, "Smooth the tracks of a video; points_raw.csv has them as they were found."),
        flags.DEFINE_integer("outliers", 0, "How many predictions to list in outliers.csv and draw.", lower_bound=0),
    ]
    of_boxes = {
        "file": flags.DEFINE_string("boxes", "", "Boxes about the objects: a COCO file, or a detector's results."),
        "images": flags.DEFINE_string("images", "", "COCO file of the images, where --boxes has a detector's results."),
        "category": flags.DEFINE_string("category", "", "Name or id of the objects, where boxes are of several kinds."),
        "min_score": flags.DEFINE_float("min_score", 0.0, "Leave out boxes that the detector gave a lower score."),
    }
    flags.mark_flags_as_required(["model", "pictures", "out"])
    command_line.run(
        lambda: main(
            **{holder.name: holder.value for holder in holders},
            boxes={name: holder.value for name, holder in of_boxes.items()},
        )
    )


if __name__ == "__main__":
    console()
