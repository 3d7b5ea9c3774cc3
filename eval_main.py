"""Evaluates a run: fits landmark heads on frozen labels, measures them, draws, exports; or helps to annotate.

python eval_main.py --workdir=runs/mine [--annotations=annotations.csv] [--report] [--export_dir=served/mine]
"""

from absl import flags

import dense_labels
from dense_labels import command_line, progress
from dense_labels.batches import Limits
from dense_labels.prediction import merging


def main(workdir: str, export_dir: str | None, max_pixels: int, batch_requests: int, **options) -> None:
    """Evaluates with the options of `Run.evaluate`, then exports where it is asked for; or annotates, or merges."""
    command_line.check_export(export_dir, options["untrained"], (max_pixels, batch_requests), (Limits.max_pixels, 0))
    *newer, annotate, suggest = map(options.pop, ("corrections", "merged", "predicted", "annotate", "suggest"))
    run, given = dense_labels.open_run(workdir), {"export_dir": export_dir, **options}
    if any(newer):
        taken = command_line.alone("corrections", *command_line.KNOWN, annotate=annotate, suggest=suggest, **given)
        merging.merge_for(run.config, *newer, **taken)
    elif annotate or suggest:
        run.annotate(annotate or 0, suggest=suggest, **command_line.alone("annotate", *command_line.KNOWN, **given))
    else:
        run.evaluate(**{**options, "few_shot": command_line.whole_numbers("few_shot", options["few_shot"])})
        if export_dir:
            progress.say(f"SavedModel: {run.export(export_dir, max_pixels=max_pixels, batch_requests=batch_requests)}")
        progress.say(command_line.tensorboard(workdir))


def console() -> None:
    """Defines the flags and runs; the console script dense-labels-eval."""
    holders: list[flags.FlagHolder] = [
        flags.DEFINE_string("workdir", None, "Folder of a run that train_main.py wrote.", required=True),
        flags.DEFINE_string("export_dir", None, "Folder for the SavedModel; it gets the next version there."),
        flags.DEFINE_integer("max_pixels", Limits.max_pixels, "The SavedModel refuses pictures of more pixels.", 1),
        flags.DEFINE_integer("batch_requests", 0, "SavedModel: join concurrent requests, up to so many pictures.", 0),
        flags.DEFINE_string("annotations", None, "Landmarks to fit heads on, as annotation tools write them."),
        flags.DEFINE_string("annotations_test", None, "To test on; without it, parts take turns: 5, of a detector 3."),
        flags.DEFINE_string("pictures", None, "Folder of the pictures, if it is not the training's (any more)."),
        flags.DEFINE_string("category", None, "Name or id of the objects, where annotations are of several kinds."),
        flags.DEFINE_string("cache_dir", None, "Folder of resized pictures, if it is not the training's."),
        flags.DEFINE_bool("skip_bad_files", False, "Leave out files that cannot be read."),
        flags.DEFINE_list("few_shot", [], "Fit heads on few annotated pictures too, such as 1,5,10,20."),
        flags.DEFINE_list("heads", [], "Landmark heads to fit, such as nearest,regress; if not the configuration's."),
        flags.DEFINE_string("weights", None, "Of a detector's trunk, if not ImageNet's: a Keras .h5 file, or none."),
        flags.DEFINE_integer("pile", None, "Training pictures a detector learns from too, if not 2,000; 0: none.", 0),
        flags.DEFINE_bool("report", False, "Write a page to hand around too: WORKDIR/eval/report.html."),
        flags.DEFINE_integer("annotate", None, "Write a page to annotate so many pictures in, chosen by the run.", 1),
        flags.DEFINE_list("suggest", [], "With --annotate and --annotations: write suggestions too, such as coco."),
        flags.DEFINE_string("corrections", None, "Merge --annotations with these newer ones into --merged; no more."),
        flags.DEFINE_string("merged", None, "File or folder that --corrections writes, in the format of its ending."),
        flags.DEFINE_string("predicted", None, "What --corrections was as predicted, if it does not lie there now."),
        flags.DEFINE_bool("untrained", False, "Evaluate the network as it was before training, for comparison."),
    ]
    command_line.run(lambda: main(**{holder.name: holder.value for holder in holders}))


if __name__ == "__main__":
    console()
