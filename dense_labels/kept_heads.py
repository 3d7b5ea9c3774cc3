"""Fitted landmark heads, kept in the work directory of their run: export and prediction then need no annotations.

Each evaluation writes a folder of its own, `heads/1`, `heads/2`, ..., whole or not at all; the newest is used. In it
are `heads.json`, a file of arrays for each head, the result and the configuration of the evaluation, and a few of its
images, which an export is checked on, with the landmarks that the heads were fitted on. Beside them `unfinished` has
what an evaluation that is not over has fitted so far.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dense_labels import config as config_lib
from dense_labels import files, progress, user_code
from dense_labels.batches import Frame
from dense_labels.evaluation.result import Result
from dense_labels.registry import HEADS

VERSION = 2  # of the files; those of 1, which are read as well, lack what scores are worth and which landmarks mirror
_FOLDER, _INDEX, _RESULT, _EXAMPLES = "heads", "heads.json", "result.json", "examples.npz"
_UNFINISHED = "unfinished"
_LEVELS = 255


@dataclasses.dataclass(frozen=True, eq=False)
class KeptHeads:
    """The heads that an evaluation fitted, and what it knows of them.

    Attributes:
      heads: name -> head, a layer from labels to landmarks, or a detector, from images.
      result: of the evaluation; `result.best` names the head that is exported, `result.step` the checkpoint.
      config: of the evaluation.
      example_images: float32 [N, H, W, 3] in [0, 1], a few images as the network sees them.
      landmarks: float32 [M, K, 2], that the heads were fitted on, in pixels of what the network sees; not a number
        where one was not annotated. None where they are not known, as of earlier versions.
      calibrations: name -> what the scores of the head are worth, as `evaluation.calibration.fit` returns it; of none
        whose scores were not calibrated, as of earlier versions.
      network: digest of the weights of the network that heads on labels were fitted to, see `weights_digest`; "" where
        it is not known, as of earlier versions.
      digest: SHA-256 of the file that lists all others with theirs, once they are kept.
    """

    heads: Mapping[str, Any]
    result: Result
    config: config_lib.Config
    example_images: np.ndarray
    landmarks: np.ndarray | None = None
    calibrations: Mapping[str, Mapping[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    network: str = ""
    digest: str = ""

    @property
    def best(self) -> Any:
        """The head that is exported; raises a ValueError where it is of a kind that could not be kept."""
        if self.result.best not in self.heads:
            raise ValueError(
                f"the best head, {self.result.best}, cannot be restored; evaluate the run again with other heads"
            )
        return self.heads[self.result.best]

    @property
    def parts(self) -> tuple[Any, Any]:
        """The best, calibrated, as (head, detector): a head reads labels, a detector pictures; the other is None."""
        from dense_labels.evaluation.calibration import CalibratedHead  # with TensorFlow

        best, calibration = self.best, self.calibrations.get(self.result.best, {})
        if not hasattr(best, "features"):
            return CalibratedHead(best, calibration), None
        return None, _Detector(best.features, CalibratedHead(best.head, calibration), best.frame)


class _Detector(NamedTuple):
    """What sees pictures in a frame of its own, and the head that reads it."""

    features: Any
    head: Any
    frame: Frame


def save(workdir: str | os.PathLike, kept: KeptHeads, labels: Any = None) -> str:
    """Keeps heads in a run, beside those of earlier evaluations; returns their digest, as `newest_digest`.

    Args:
      workdir: folder of the run, in which no other process keeps heads now.
      kept: the heads; those of a kind that cannot be restored are not kept, which is said. It is also said where the
        best of the evaluation before is not among them, for exports and predictions use the newest.
      labels: float32 [N, h, w, L] of a few images. Heads of the user's own that answer otherwise on them once they are
        restored, or cannot be, are not kept, of which is warned. None: their answers are not compared.

    Raises:
      OSError: if they cannot be written; nothing of them is left then.
    """
    folder = pathlib.Path(workdir) / _FOLDER
    folder.mkdir(exist_ok=True)
    names = [name for name in kept.heads if hasattr(HEADS[name].value, "restore")]
    for name in set(kept.heads) - set(names):
        progress.note(f"head {name} cannot be restored, so it is not kept in the run")
    names = [name for name in names if not user_code.is_outside(HEADS[name]) or _is_restored(name, kept, labels)]
    files.remove_temporary(folder)  # of an evaluation that was killed here
    number = max(_versions(folder), default=0)
    before = _result(folder / str(number))
    files.make_whole(folder / str(number + 1), lambda new: _write(new, kept, names))
    if before and before.best not in names and (folder / str(number) / f"{before.best}.npz").exists():
        again = f"remove {number + 1}, or " if before.step == kept.result.step else ""  # of another step it is refused
        progress.note(
            f"exports and predictions use {folder / str(number + 1)} now, which has no {before.best}, the best head of "
            f"{number}; to use that again, {again}fit {before.best} too"
        )
    return newest_digest(workdir)


def _is_restored(name: str, kept: KeptHeads, labels: Any) -> bool:
    """Says whether a head answers on labels as it does once it is read back; warns where it does not."""
    from dense_labels.evaluation import landmarks

    content = io.BytesIO()
    try:
        np.savez(content, **kept.heads[name].state(), **kept.calibrations.get(name, {}))
        content.seek(0)
        restored, _ = _read_head(content, name)
        if labels is not None:
            landmarks.check_alike(restored, kept.heads[name], labels)
    except Exception as error:  # whatever is wrong with it, it is worth less than the other heads and the result
        progress.warn(
            f"head {HEADS[name].place} is not kept, for restore(state) does not make it again from its state(): "
            f"{progress.reason(error)}; mend them, and evaluate the run again"
        )
        return False
    return True


def _write(new: pathlib.Path, kept: KeptHeads, names: list[str]) -> None:
    """Writes a version of the heads of some names into a new folder."""
    new.mkdir()
    for name in names:
        np.savez(new / f"{name}.npz", **kept.heads[name].state(), **kept.calibrations.get(name, {}))
    landmarks = {} if kept.landmarks is None else {"landmarks": kept.landmarks}
    images = np.uint8(np.rint(kept.example_images * _LEVELS))
    np.savez_compressed(new / _EXAMPLES, images=images, **landmarks)
    kept.result.save(new / _RESULT)
    digests = {path.name: _digest(path) for path in sorted(new.iterdir())}
    configuration = config_lib.to_dict(kept.config)
    index = {"version": VERSION, "heads": names, "sha256": digests, "configuration": configuration}
    index["network"] = kept.network
    (new / _INDEX).write_text(json.dumps(files.sealed(index), indent=2) + "\n")


def _read_head(file: Any, name: str) -> tuple[Any, dict[str, np.ndarray]]:
    """Makes a head again of its file; returns it and what its scores are worth."""
    from dense_labels.evaluation import calibration  # with TensorFlow, as what restores heads

    with np.load(file, allow_pickle=False) as arrays:
        state = dict(arrays)
    worth = {key: state.pop(key) for key in calibration.KEYS if key in state}
    return HEADS[name].value.restore(state), worth


def unfinished(workdir: str | os.PathLike) -> pathlib.Path:
    """Returns the folder, which need not exist, of what an evaluation goes on with if it is stopped.

    It is removed once an evaluation that uses it has kept its heads.

    Args:
      workdir: folder of the run.
    """
    return pathlib.Path(workdir) / _FOLDER / _UNFINISHED


def newest(workdir: str | os.PathLike) -> KeptHeads | None:
    """Restores the heads that the newest evaluation of a run kept.

    Args:
      workdir: folder of the run.

    Returns:
      The heads; None where no evaluation has kept any.

    Raises:
      ValueError: if a file is missing or damaged, or of a newer version of this program.
    """
    versions = _versions(pathlib.Path(workdir) / _FOLDER)
    if not versions:
        return None
    folder = pathlib.Path(workdir) / _FOLDER / str(versions[-1])
    try:
        index = _index(folder)
        if index["version"] > VERSION:
            raise ValueError(f"version {index['version']}; this program reads up to {VERSION}: install a newer one")
        config = config_lib.from_dict(index["configuration"])  # first, for it runs the files that register heads
        heads, calibrations = {}, {}
        for name in index["heads"]:
            heads[name], calibrations[name] = _read_head(folder / f"{name}.npz", name)
        with np.load(folder / _EXAMPLES, allow_pickle=False) as examples:
            images = examples["images"] / np.float32(_LEVELS)
            landmarks = examples.get("landmarks")  # None of earlier versions
        facts = images, landmarks, calibrations, index.get("network", ""), _digest(folder / _INDEX)
        return KeptHeads(heads, Result.load(folder / _RESULT), config, *facts)
    except MemoryError:
        raise  # the files may be as good as any
    except Exception as error:  # numpy, zip and JSON raise almost anything at damaged data
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{folder} cannot be read ({reason}); evaluate the run again") from error


def newest_digest(workdir: str | os.PathLike) -> str:
    """Returns the digest of the heads that `newest` would restore, which are not read; "" where none are kept."""
    folder = pathlib.Path(workdir) / _FOLDER
    path = folder / str(max(_versions(folder), default=0)) / _INDEX
    return _digest(path) if path.exists() else ""


def weights_digest(network: Any) -> str:
    """Returns a SHA-256 of the weights of a Keras model, whatever their order, in which versions of Keras differ."""
    arrays = [np.asarray(each, np.float32) for each in network.get_weights()]
    each_of = sorted(hashlib.sha256(f"{each.shape}".encode() + each.tobytes()).hexdigest() for each in arrays)
    return hashlib.sha256("".join(each_of).encode()).hexdigest()


def belong_to(kept: KeptHeads, step: int, network: Any) -> bool:
    """Says whether heads were fitted to the labels of a network; `step` and `network` are as of `of_network`."""
    return kept.result.step == step and (not kept.network or kept.network == weights_digest(network))


def of_network(workdir: str | os.PathLike, step: int, network: Any, digest: str = "") -> KeptHeads | None:
    """Restores the heads of the newest evaluation, as `newest`, and refuses those of another network.

    Args:
      workdir: folder of the run.
      step: how many steps its network was trained for.
      network: the network.
      digest: of the heads that are expected; "" for any.

    Returns:
      The heads; None where no evaluation has kept any.

    Raises:
      ValueError: as `newest`, or if they were fitted at another step, or in another training that began in the folder,
        or are not those that are expected.
    """
    kept = newest(workdir)
    if digest and (kept is None or kept.digest != digest):
        raise ValueError(
            f"another evaluation has kept its heads in {workdir} since this one; open the run again to use those, or "
            "evaluate it again"
        )
    if kept is not None and kept.result.step != step:
        raise ValueError(
            f"the heads in {workdir} were fitted at step {kept.result.step} of the training, which is at step {step} "
            f"{'in this process; open' if kept.result.step > step else 'now; evaluate'} the run again"
        )
    if kept is not None and not belong_to(kept, step, network):
        raise ValueError(
            f"the heads in {workdir} were fitted to the network of an earlier training there; evaluate the run again"
        )
    last = _result(pathlib.Path(workdir, "eval"))  # which a copy of a run may lack
    if kept is not None and last is not None and not last.best:
        progress.note(
            f"the last evaluation had no landmarks: head {kept.result.best} is of an earlier one, on "
            f"{kept.result.protocol.get('head_images', 'some')} annotated images"
        )
    return kept


def _result(folder: pathlib.Path) -> Result | None:
    """The result of an evaluation in its folder; None where it cannot be read."""
    try:
        return Result.load(folder / _RESULT)
    except ValueError:
        return None


def _index(folder: pathlib.Path) -> dict[str, Any]:
    """Reads the index of a version, and holds the other files against the digests in it; older ones have none."""
    index, intact = files.unsealed(json.loads((folder / _INDEX).read_text()))
    if not intact:
        raise ValueError(f"{_INDEX} is damaged")
    for name, digest in index.get("sha256", {}).items():
        if _digest(folder / name) != digest:
            raise ValueError(f"{name} is damaged")
    return index


def _digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _versions(folder: pathlib.Path) -> list[int]:
    """The numbers of the versions in a folder, rising; none where there is no such folder."""
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal())
