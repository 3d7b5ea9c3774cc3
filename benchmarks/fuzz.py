"""Coverage-guided fuzzing of the readers of annotations, and of the decoding of pictures.

pip install "dense-labels[fuzz]"
python -m benchmarks.fuzz --what=coco --corpus=runs/fuzz/coco [--seconds=600]

The corpus begins with sound files and grows by what reaches code that was not reached before. An input that is neither
read nor refused in one line ends the run, with its stack trace; the file crash-... holds it.
"""

import contextlib
import io
import pathlib
import sys
import tempfile

import numpy as np
from absl import app, flags

_WHAT = flags.DEFINE_enum(
    "what",
    "coco",
    ["coco", "coco_boxed", "boxes", "csv", "pts", "tps", "deeplabcut", "label_studio", "cvat", "sleap", "pictures"],
    "The format of what is damaged.",
)
_CORPUS = flags.DEFINE_string("corpus", None, "Folder of the inputs; it is made.", required=True)
_SECONDS = flags.DEFINE_integer("seconds", 600, "How long.", 1)


def main(argv):
    import atheris

    with atheris.instrument_imports(include=["input_pipeline", "dense_labels", "PIL"]):
        from benchmarks.faults import WRONG, annotations
        from dense_labels.registry import READERS
        from input_pipeline.storage import decoding

        list(READERS)  # which imports them all

    corpus = pathlib.Path(_CORPUS.value)
    corpus.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp())  # atheris ends the process: what cleans up is not reached
    sound = annotations.write(folder / "sound")
    if _WHAT.value == "pictures":
        files, read = sorted((folder / "sound/pictures").iterdir()), _reader_of_pictures(folder / "picture", decoding)
    else:
        path, config = sound[_WHAT.value]

        def read(content):
            path.write_bytes(content)
            if (found := annotations.outcome(config)).kind == WRONG:
                raise RuntimeError(found.text)

        files = [path]
    for file in files:
        (corpus / file.name).write_bytes(file.read_bytes())

    def mutate(content, most, seed):
        """Half of the inputs keep the structure of their format, which changed bytes hardly ever do."""
        if seed % 2 or _WHAT.value == "pictures":
            return atheris.Mutate(content, most)
        return annotations.damaged(content, np.random.default_rng(seed))[:most]

    options = [f"-max_total_time={_SECONDS.value}", "-rss_limit_mb=8192", "-max_len=100000"]
    atheris.Setup([argv[0], *options, str(corpus)], read, custom_mutator=mutate)
    atheris.Fuzz()


def _reader_of_pictures(path, decoding):
    """Decodes as trainings do; and the header must say the size that comes out."""

    def read(content):
        path.write_bytes(content)
        with contextlib.suppress(decoding.PictureError), contextlib.redirect_stderr(io.StringIO()):
            picture = decoding.read_picture(path)
            if picture.shape[:2] != tuple(decoding.read_size(path)):
                raise RuntimeError(f"{picture.shape} is not the size that the header says")

    return read


if __name__ == "__main__":
    sys.exit(app.run(main))
