"""Evaluates a run: fits landmark heads on frozen labels, measures them, draws, exports; or helps to annotate.

python eval_main.py --workdir=runs/mine [--annotations=points.csv] [--report] [--export_dir=served/mine] [--annotate=9]
"""

from absl import flags

import dense_labels
from dense_labels import command_line, files, progress
from dense_labels.batches import Limits


def main(workdir: str, export_dir: str | None, max_pixels: int, batch_requests: int, **options) -> None:
    """Evaluates with the options of `Run.evaluate`, then exports where it is asked for; or annotates."""
    if export_dir and options["untrained"]:
        raise ValueError("--untrained goes without --export_dir: a network that is not trained is not served")
    files.check_plain(export_dir, "--export_dir")
    if not export_dir and (max_pixels, batch_requests) != (Limits.max_pixels, 0):
        raise ValueError("--max_pixels and --batch_requests go with --export_dir: they are of the model that it writes")
    options["few_shot"] = command_line.whole_numbers("few_shot", options["few_shot"])
    annotate, suggest = options.pop("annotate"), options.pop("suggest")
    run = dense_labels.open_run(workdir)
    if annotate or suggest:
        taken = command_line.alone("annotate", "annotations", "pictures", "category", export_dir=export_dir, **options)
        run.annotate(annotate or 20, suggest=suggest, **taken)
        return
    run.evaluate(**options)
    if export_dir:
        progress.say(f"SavedModel: {run.export(export_dir, max_pixels=max_pixels, batch_requests=batch_requests)}")
    progress.say(command_line.tensorboard(workdir))


def console() -> None:
    """Defines the flags and runs; the console script dense-labels-eval."""
    holders: list[flags.FlagHolder] = [
        flags.DEFINE_string("workdir", None, "Folder of a run that train_main.py wrote."),
        flags.DEFINE_string("export_dir", None, "Folder for the SavedModel; it gets the next free version."),
        flags.DEFINE_integer("max_pixels", Limits.max_pixels, "The SavedModel refuses pictures of more pixels.", 1),
        flags.DEFINE_integer("batch_requests", 0, "It joins up to so many pictures of concurrent requests.", 0),
        flags.DEFINE_string("annotations", None, "Landmarks to fit heads on, as annotation tools write them."),
        flags.DEFINE_string("annotations_test", None, "The same to test on; without it, five parts take turns."),
        flags.DEFINE_string("pictures", None, "Folder of the pictures, if it is not the training's (any more)."),
        flags.DEFINE_string("category", None, "Name or id of the objects, where annotations are of several kinds."),
        flags.DEFINE_string("cache_dir", None, "Folder of resized pictures, if it is not the training's."),
        flags.DEFINE_bool("skip_bad_files", False, "Leave out files that cannot be read."),
        flags.DEFINE_list("few_shot", [], "Fit heads on few annotated pictures too, such as 1,5,10,20."),
        flags.DEFINE_list("heads", [], "Landmark heads to fit, such as nearest,regress; if not the configuration's."),
        flags.DEFINE_string("weights", None, "Of a detector's trunk, if not ImageNet's: a Keras .h5 file, or none."),
        flags.DEFINE_integer(
            "pile", None, "Training pictures that a detector learns from too, if not 2,000; 0: none.", 0
        ),
        flags.DEFINE_bool("report", False, "Write a page to hand around too: WORKDIR/eval/report.html."),
        flags.DEFINE_integer("annotate", None, "Write a page to annotate so many pictures in, chosen by the run.", 1),
        flags.DEFINE_list("suggest", [], "With it, write suggestions in formats too, such as coco; needs annotations."),
        flags.DEFINE_bool("untrained", False, "Evaluate the network as it was before training, for comparison."),
    ]
    flags.mark_flag_as_required("workdir")
    command_line.run(lambda: main(**{holder.name: holder.value for holder in holders}))


if __name__ == "__main__":
    console()
