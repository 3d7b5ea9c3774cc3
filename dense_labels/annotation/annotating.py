"""Writes the page to annotate in: chooses pictures, labels them, and takes earlier annotations along."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from tqdm import tqdm

from dense_labels import kept_heads, progress
from dense_labels.annotation import candidates, choosing, earlier, refining, suggesting
from dense_labels.annotation.candidates import Frames, Stills
from dense_labels.annotation.earlier import Earlier
from dense_labels.batches import LabelMap
from dense_labels.config import Config
from dense_labels.prediction import answers
from dense_labels.prediction.predictions import OBJECT, Predictions, check_formats
from dense_labels.prediction.several import SeveralHeads
from dense_labels.registry import compares_labels, has_unit_labels
from dense_labels.reporting import annotation_page
from input_pipeline.readers.pictures import saw_boxes
from input_pipeline.storage import decoding

FOLDER, PAGE = "annotate", "annotate.html"
_MOST = 2000  # pictures or frames that are looked at
_PAGE, _PICTURE = 400e6, 250e3  # bytes: of the largest page that browsers open, and of a picture in it
_MOST_SHOWN = 40  # annotated pictures that a page shows again; it hands the others on as they are


class _Seen(NamedTuple):
    """Pictures that were looked at."""

    keys: list[Any]  # hashable
    parts: list[np.ndarray]  # descriptions, as of `choosing.describe`
    uncertainty: np.ndarray | None  # [N] ranks, where there is a head: the less certain, or agreed on, the higher

    def take(self, indices: list[int]) -> _Seen:
        doubt = None if self.uncertainty is None else self.uncertainty[indices]
        return _Seen([self.keys[index] for index in indices], [part[indices] for part in self.parts], doubt)


def annotate(
    run: Any,
    count: int,
    *,
    annotations: str | os.PathLike | None = None,
    pictures: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
    category: str | None = None,
    suggest: str | Sequence[str] = (),
) -> str:
    """Writes the page; see `Run.annotate` for the arguments, the result and the errors."""
    formats = [suggest] if isinstance(suggest, str) else list(suggest)
    _check(run, count, annotations, pictures, formats)
    if category and annotations is None:
        raise ValueError(f"category={category} is of annotations, and none are given")
    out = os.path.join(run.workdir, FOLDER)
    found = candidates.find(pictures or run.config.data.dir, out=out, most=_MOST, seed=run.config.train.seed)
    known = earlier.read(run.config, annotations, found.folder, category)
    _check_page(run, min(count, len(found)))
    if formats and not known.annotated.any():
        raise ValueError(f"{annotations}: no landmark is annotated, and suggestions carry landmarks to other pictures")
    order, shown = _order_shown(known)
    known, heads = known.take(order), _heads(run)
    new = found.keep(_choose(run, heads, found, count, known))
    predicted = run.predict(new) if heads is not None and heads.detects else None
    if predicted is not None and not known.landmark_names:
        known = earlier.nothing(predicted.landmark_names)
    sheet = _sheet(run, found.folder, new, known, shown, predicted)
    paths = [os.path.join(found.folder, name) for name in sheet.names]
    suggested = _suggestions(found.folder, sheet, len(new), formats) if formats else None
    command = _command(run, found.folder)
    os.makedirs(out, exist_ok=True)
    title = f"Annotate {os.path.basename(run.workdir)}"
    read = map(decoding.read_picture, paths)
    page = annotation_page.write(os.path.join(out, PAGE), title, sheet, read, command=command)
    progress.say(f"annotate {len(new)} pictures in a browser: {page} ({os.path.getsize(page) / 1e6:.1f} MB)")
    progress.say(f"then: {command}")
    if suggested is not None:
        written = suggested.save(out, formats)
        progress.say(f"suggestions: {', '.join(map(str, written))}")
    return page


def _check(run, count, annotations, pictures, formats):
    """Refuses what cannot be done, before the work."""
    if count < 1:
        raise ValueError(
            f"annotate={count}: must be at least 1 picture, such as --annotate=20; --suggest needs --annotate too"
        )
    if not compares_labels(run.config.model.name):
        raise ValueError(
            f"{run.workdir} has landmarks of its own and no labels, which would carry points from picture to "
            "picture; annotate with a run that has"
        )
    if formats:
        check_formats(formats, video=False)
    if formats and annotations is None:
        raise ValueError(
            f"suggest={','.join(formats)} needs annotations of one picture or more: labels carry its points to others"
        )
    if not pictures and saw_boxes(run.config.data):
        raise ValueError(
            f"{run.workdir} was trained on boxes about objects, and the page shows whole pictures; crop pictures to "
            "their boxes, and give the folder of these as the pictures to annotate"
        )
    if not pictures and not os.path.isdir(run.config.data.dir):
        raise ValueError(f"{run.workdir} was trained on no folder that is there now; give the pictures to annotate")


def _check_page(run: Any, count: int) -> None:
    """Refuses a page that no browser would open."""
    (height, width), stride = run.frame.input_size, run.stride
    labels = (height // stride) * (width // stride) * run.config.model.label_size * 8 / 3  # half precision, base 64
    most = max(1, int(_PAGE / (_PICTURE + labels)) - _MOST_SHOWN)
    if count > most:
        raise ValueError(f"annotate={count}: no browser would open a page so large; at most {most} pictures at a time")


def _choose(run: Any, heads: SeveralHeads | None, found: Stills | Frames, count: int, known: Earlier) -> list[Any]:
    """Keys of the candidates that are worth annotating, and are not annotated yet."""
    size = run.frame.full_size if heads is None else heads.full_size
    seen = _look(run, heads, found.images(size), len(found))
    annotated = {os.path.realpath(path) for path in known.paths}
    places = map(os.path.realpath, found.files(seen.keys))
    seen = seen.take([n for n, place in enumerate(places) if place not in annotated])
    if not seen.keys:
        raise ValueError(f"{found.folder}: there is no picture that can be read and is not annotated yet")
    parts, doubt, first = seen.parts, seen.uncertainty, len(known)
    if first:
        old = _look(run, None, Stills(found.folder, known.paths).images(size), first)
        if not old.keys:
            raise ValueError(f"none of the {first} annotated pictures can be read, {known.paths[0]} for one")
        first = len(old.keys)
        parts = [np.concatenate(each) for each in zip(old.parts, parts)]
        doubt = None if doubt is None else np.concatenate([np.zeros(first), doubt])
    chosen = choosing.choose(choosing.joined(parts), count, known=np.arange(first), uncertainty=doubt) - first
    if not len(chosen):
        raise ValueError("all pictures are alike, or like those that are annotated: there is nothing more to annotate")
    if len(chosen) < count:
        progress.note(f"only {len(chosen)} pictures differ from one another and from those that are annotated")
    return [seen.keys[index] for index in chosen]


def _order_shown(known: Earlier) -> tuple[np.ndarray, int]:
    """An order of annotated pictures: first, up to `_MOST_SHOWN`, some that together show every landmark; how many.

    What cannot be read comes last, for the page hands it on without showing it.
    """
    unread: set[int] = set()
    while True:
        good = np.array([row for row in range(len(known)) if row not in unread], int)
        annotated = known.annotated[good]
        first = dict.fromkeys(annotated.argmax(axis=0)[annotated.any(axis=0)].tolist()) if len(good) else {}
        early = sorted([*first, *(row for row in range(len(good)) if row not in first)][:_MOST_SHOWN])
        failed = {int(row) for row in good[early] if not _can_be_read(known.paths[row])}
        if not failed:
            shown = good[early].tolist()
            late = sorted(set(good.tolist()) - set(shown))
            return np.array([*shown, *late, *sorted(unread)], int), len(shown)
        unread |= failed


def _can_be_read(path: str) -> bool:
    try:
        return decoding.read_picture(path) is not None
    except decoding.PictureError:
        return False


def _heads(run: Any) -> SeveralHeads | None:
    """The heads that were kept of this network; None where there are none."""
    kept = kept_heads.newest(run.workdir)
    fits = kept is not None and kept_heads.belong_to(kept, run.step, run.network)
    return SeveralHeads(run.network, run.frame, kept) if fits else None


def _look(run: Any, heads: SeveralHeads | None, images: Iterable[tuple[Hashable, np.ndarray]], count: int) -> _Seen:
    """Labels pictures and describes them; their labels are not kept."""
    keys, described, doubt, brightest = [], [], [], 0
    with tqdm(total=count, desc="Looking at pictures", unit=" pictures") as bar:
        for batch in answers.batched(images, answers.BATCH_SIZE):
            pixels = np.stack([image for _, image in batch])
            brightest = max(brightest, int(pixels.max()))
            labels = run.labels(pixels).values
            described.append(choosing.describe(labels, pixels))
            keys += [key for key, _ in batch]
            if heads is not None:
                found = heads.together(pixels)
                doubt.append(np.mean([1 - np.asarray(found["score"]), found["disagreement"]], axis=-1))  # [2, n]
            bar.update(len(batch))
    decoding.warn_of_darkness(len(keys), brightest)
    parts = [np.concatenate(each) for each in zip(*described)]
    return _Seen(keys, parts, _ranks(np.concatenate(doubt, axis=1)) if doubt else None)


def _ranks(doubt: np.ndarray) -> np.ndarray:
    """Ranks pictures by doubts of several kinds [D, N], whose units are not the same: the sum of their ranks."""
    return sum(scipy.stats.rankdata(np.nan_to_num(each, nan=np.inf)) for each in doubt)


def _sheet(
    run: Any, folder: str, new: list[str], known: Earlier, shown: int, predicted: Predictions | None
) -> annotation_page.Sheet:
    """New pictures, then those of the annotated ones that are shown, which come first among these."""
    from dense_labels.method import introspection_loss  # not above: it imports TensorFlow

    length = introspection_loss.shown_length(has_unit_labels(run.config.model))
    paths = [*new, *known.paths[:shown]]
    blank = np.zeros([len(new), *known.points.shape[1:]], np.float32)
    images = (decoding.read_resized(path, None, run.frame.full_size)[0] for path in paths)
    batches = answers.batched(images, answers.BATCH_SIZE)
    labels = np.concatenate([run.labels(np.stack(batch)).values for batch in batches])
    others = list(zip(known.paths, known.points, known.annotated, known.hidden))[shown:]
    return annotation_page.Sheet(
        names=earlier.names(paths, folder),
        labels=LabelMap(length * labels, run.stride),
        points=np.concatenate([blank, known.points[:shown]]),
        annotated=np.concatenate([blank[..., 0], known.annotated[:shown]]),
        hidden=np.concatenate([blank[..., 0], known.hidden[:shown]]),
        landmark_names=known.landmark_names,
        frame=run.frame,
        category=_category(run.config, known),
        predicted=None if predicted is None else _in_order(predicted, paths, known.landmark_names),
        settings={"window": suggesting.WINDOW, "finer": suggesting.FINER, **refining.SETTINGS},
        others=[(*earlier.names([path], folder), decoding.read_size(path), *point) for path, *point in others],
    )


def _in_order(predicted: Predictions, paths: list[str], names: Sequence[str]) -> np.ndarray:
    """Predictions of pictures and landmarks in an order of these, [N, K, 3]: x, y and how likely; NaN where none is."""
    inside = np.clip(predicted.points, 0, predicted.sizes[:, np.newaxis, ::-1])
    known = np.concatenate([inside, predicted.certainty[..., np.newaxis]], axis=-1)
    rows = {os.path.realpath(os.path.join(predicted.folder, name)): row for row, name in enumerate(predicted.names)}
    columns = {name: column for column, name in enumerate(predicted.landmark_names)}
    ordered = np.full([len(paths), len(names), 3], np.nan, np.float32)
    found = [(n, rows[path]) for n, path in enumerate(map(os.path.realpath, paths)) if path in rows]
    for k, name in enumerate(names):
        if name in columns:
            for n, row in found:
                ordered[n, k] = known[row, columns[name]]
    return ordered


def _category(config: Config, known: Earlier) -> str:
    """What the objects are called: as in earlier annotations, or as the run asks for, if not by a number."""
    asked = config.data.category
    return known.category or ("" if asked.isdecimal() else asked) or OBJECT


def _suggestions(folder: str, sheet: annotation_page.Sheet, count: int, formats: list[str]) -> Predictions:
    """Where the first pictures of a sheet have its landmarks: as predicted, or else by labels and by the detail.

    Refuses formats that cannot say them.
    """
    paths = [os.path.join(folder, name) for name in sheet.names]
    carried = np.flatnonzero(sheet.annotated.any(axis=0))
    given = sheet.points[:, carried], sheet.annotated[:, carried], range(count)
    points, probability = suggesting.in_pictures(sheet.labels, sheet.frame, map(decoding.read_picture, paths), *given)
    if sheet.predicted is not None:
        found = sheet.predicted[:count, carried]
        seen = np.isfinite(found).all(axis=-1)
        points = np.where(seen[..., np.newaxis], found[..., :2], points)
        probability = np.where(seen, found[..., 2], probability)
    suggested = Predictions(
        folder=folder,
        names=tuple(sheet.names[:count]),
        sizes=np.array([decoding.read_size(path) for path in paths[:count]]),
        landmark_names=tuple(sheet.landmark_names[k] for k in carried),
        points=points,
        score=probability,
    )
    check_formats(formats, expected=suggested)
    return suggested


def _command(run: Any, folder: str) -> str:
    """The command that takes what the page hands out."""
    parts = [f"--workdir={run.workdir}", "--annotations=DOWNLOADED.csv", "--heads=nearest,regress,detector"]
    elsewhere = os.path.realpath(folder) != os.path.realpath(run.config.data.dir or os.devnull)
    return progress.command("eval", *parts, *([f"--pictures={folder}"] if elsewhere else []))
