"""Builds a data set of tensorflow-datasets: once, quietly, offline, and whole or not at all."""

import contextlib
import io
import pathlib
import tempfile
from collections.abc import Callable, Iterator

import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from input_pipeline.storage import kept


def build_once(make_builder: Callable[[], tfds.core.DatasetBuilder], *, num_shards: int) -> tfds.core.DatasetBuilder:
    """Builds the data set unless another process has just done so.

    tensorflow-datasets writes into a folder called `incomplete.*` (or `*.incomplete*`) and renames it when all is
    written. A process that is killed leaves that folder behind; the next build removes it.

    Args:
      make_builder: returns a new builder of the data set, which reads what is on disk then.
      num_shards: the number of files of each split.

    Returns:
      A builder whose data set is on disk.

    Raises:
      OSError: where the data set cannot be written; nothing of it is left then.
    """
    folder = pathlib.Path(make_builder().data_path).parent
    folder.mkdir(parents=True, exist_ok=True)
    with kept.lock(folder / ".lock"):
        builder = make_builder()
        if not builder.data_path.exists():
            kept.remove_unfinished(folder, "*incomplete*")
            _build(builder, num_shards)
    return builder


def _build(builder: tfds.core.DatasetBuilder, num_shards: int) -> None:
    config = tfds.download.DownloadConfig(try_download_gcs=False, num_shards=num_shards)
    with tempfile.TemporaryDirectory() as unused, quiet_tfds(), _write_errors_as_os_errors():
        builder.download_and_prepare(download_dir=unused, download_config=config)


@contextlib.contextmanager
def _write_errors_as_os_errors() -> Iterator[None]:
    """Raises what TensorFlow raises for a full or failing disk as an OSError."""
    try:
        yield
    except RuntimeError as error:  # tensorflow-datasets wraps what its writer meets
        if not isinstance(error.__cause__, tf.errors.OpError):
            raise
        raise OSError(error.__cause__.message) from error


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Silences the progress bars, prints and warnings of tensorflow-datasets."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tfds.enable_progress_bar()
        logging.set_verbosity(verbosity)
