"""Suspect masks: those that a mask which is surely wrong would not fit worse.

A model that has not seen an image says what each of its pixels is. The given mask is compared with that
by mean IoU; so are masks of other images, and the given one moved by an eighth of the image. Where one of
these fits at least as well, the given mask is suspect. Thus each image is its own yardstick, and no
threshold has to suit all data.
"""

import dataclasses
import io
import pathlib

import numpy as np
import PIL.Image
import pyarrow as pa
from absl import logging

from conveyor.components.artifacts import Examples
from conveyor.components.label_errors.folds import assign_folds
from conveyor.components.label_errors.gallery import SHOWN, Anomaly, anomaly, decode, enlarge
from conveyor.components.label_errors.judge import LEAST_PER_CLASS, is_skilled
from conveyor.components.label_errors.pixels import VOID, held_out_pixels
from conveyor.components.label_errors.stored import read_masked

_SIDE = 64  # pixels that images are reduced to, at most
_MOST = 20_000  # images judged; bounds memory
_OTHERS = 16  # masks of other images that each is compared with
_MANY = 0.2  # share of suspects beyond which it is the judge that is wrong
_GIVEN, _LIKELY = (230, 30, 30), (30, 120, 230)  # tints of masks: red, blue


@dataclasses.dataclass(frozen=True)
class MaskVerdict:
    """What the judge thinks of the masks.

    Args:
        images: Small images, each [height, width, 3] uint8.
        given: Their masks, each [height, width] uint8.
        likely: What the judge sees in them, likewise.
        own: [n] mean IoU of the given masks with what it sees.
        rival: [n] the same of the wrong mask that fits best.
        reasons: In words, which mask that is.
        balanced_accuracy: Mean over classes of the share of pixels it agrees with.
        classes: Number of classes that there are.
    """

    images: list[np.ndarray]
    given: list[np.ndarray]
    likely: list[np.ndarray]
    own: np.ndarray
    rival: np.ndarray
    reasons: list[str]
    balanced_accuracy: float
    classes: int

    def worst_first(self) -> np.ndarray:
        """Returns the numbers of the suspects; of none where there are too many to be believed."""
        found = np.flatnonzero(self.own <= self.rival)
        if len(found) > _MANY * len(self.own):
            logging.info("masks: %d of %d seem wrong: the judge is", len(found), len(self.own))
            return found[:0]
        return found[np.argsort((self.own - self.rival)[found], kind="stable")]


def find_wrong_masks(
    examples: Examples, facts: pa.Table, bundles: np.ndarray, pictures: pathlib.Path
) -> list[Anomaly]:
    """Returns at most one anomaly, which names the images whose mask looks wrong.

    Args:
        examples: The artifact.
        facts: A row per example in the order of content: key, mask_pixels.
        bundles: [n]; see `folds.bundle`.
        pictures: Folder for pictures.
    """
    if "in_place" in examples.properties:
        logging.info("masks: not judged, as data that is used in place has no shards to read them from")
        return []
    pixels = facts["mask_pixels"].to_pylist()
    rows = np.array([row for row, counts in enumerate(pixels) if sum(counts[:-1]) > 0][:_MOST], int)
    keys = [facts["key"][int(row)].as_py() for row in rows]
    images, given = read_small(examples, keys)
    verdict = judge_masks(images, given, bundles[rows], len(examples.properties["mask_classes"]))
    if verdict is None or not len(worst := verdict.worst_first()):
        return []
    shown = [(_overlays(verdict, i), f"{keys[i]}: {_caption(verdict, i)}") for i in worst[:SHOWN]]
    short = f"{len(worst):,} masks look wrong" if len(worst) > 1 else "1 mask looks wrong"
    long = _long(verdict, len(worst))
    return [anomaly("mask_error", short, long, [keys[i] for i in worst], pictures, shown)]


def judge_masks(
    images: list[np.ndarray], given: list[np.ndarray], bundles: np.ndarray, classes: int
) -> MaskVerdict | None:
    """Asks about each image a model that has not seen its bundle.

    Args:
        images: Each [height, width, 3] uint8.
        given: Their masks, each [height, width] uint8: classes, or VOID; not of void alone.
        bundles: [n] int64; see `folds.bundle`.
        classes: Number of classes.

    Returns:
        The verdict; None where there are too few images or classes, or the judge knows too little.
    """
    if len(np.unique(bundles)) < LEAST_PER_CLASS:
        return None
    folds = assign_folds(bundles, np.zeros(len(bundles), int))
    likely = [np.empty(0)] * len(images)
    for index, known, chances in held_out_pixels(images, given, folds):
        likely[index] = known[chances.argmax(2)]
    accuracy, present = _balanced_accuracy(given, likely, classes)
    if present < 2 or not is_skilled(accuracy, present):
        return None
    return MaskVerdict(images, given, likely, *_compare(given, likely, bundles, classes), accuracy, present)


def read_small(examples: Examples, keys: list[str]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns small images and masks, in the order of the keys."""
    found = {}
    for key, data, encoded in read_masked(examples, keys):
        image = decode(data)
        scale = min(1.0, _SIDE / max(image.size))
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        with PIL.Image.open(io.BytesIO(encoded), formats=["PNG"]) as mask:
            small = np.asarray(mask.resize(size, PIL.Image.Resampling.NEAREST)).astype(np.uint8)
        found[key] = np.asarray(image.resize(size, PIL.Image.Resampling.BOX)), small
    return [found[key][0] for key in keys], [found[key][1] for key in keys]


def _confusion(given: np.ndarray, likely: np.ndarray, classes: int) -> np.ndarray:
    """Returns [classes, classes] counts of pixels that are not void: given down, likely across."""
    known = given < classes
    pairs = given[known].astype(np.int64) * classes + likely[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _balanced_accuracy(given: list[np.ndarray], likely: list[np.ndarray], classes: int) -> tuple[float, int]:
    """Returns mean recall of the classes that there are, and their number."""
    counts = sum(_confusion(*pair, classes) for pair in zip(given, likely, strict=True))
    totals = np.sum(counts, axis=1)
    present = totals > 0
    return float(np.mean(np.diag(counts)[present] / totals[present])), int(present.sum())


def mean_iou(given: np.ndarray, likely: np.ndarray, classes: int) -> float:
    """Returns the mean IoU over the classes in either mask, in [0, 1]; of void nothing counts.

    Args:
        given: [height, width] uint8: classes, or VOID.
        likely: [height, width] uint8: classes.
        classes: Their number.
    """
    counts = _confusion(given, likely, classes)
    both = np.diag(counts)
    either = counts.sum(0) + counts.sum(1) - both
    return float(np.mean(both[either > 0] / either[either > 0])) if either.any() else 0.0


def _compare(
    given: list[np.ndarray], likely: list[np.ndarray], bundles: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Returns how well each mask fits, how well the best wrong one does, and in words which that is."""
    own, rival, reasons = np.zeros(len(given)), np.zeros(len(given)), []
    for index, (mask, seen) in enumerate(zip(given, likely, strict=True)):
        own[index] = mean_iou(mask, seen, classes)
        wrong = {"the mask fits better when moved": _moved(mask)}
        wrong["another image's mask fits better"] = _others(given, bundles, index)
        scores = {
            reason: max((mean_iou(other, seen, classes) for other in masks), default=0.0)
            for reason, masks in wrong.items()
        }
        reasons.append(max(scores, key=lambda reason: scores[reason]))
        rival[index] = scores[reasons[-1]]
    return own.round(6), rival.round(6), reasons


def _moved(mask: np.ndarray) -> list[np.ndarray]:
    """Returns the mask moved by an eighth in 8 directions, as far as that changes it."""
    down, right = (max(1, side // 8) for side in mask.shape)
    steps = [(y, x) for y in (-down, 0, down) for x in (-right, 0, right) if (y, x) != (0, 0)]
    moved = [np.roll(mask, step, (0, 1)) for step in steps]
    return [other for other in moved if not np.array_equal(other, mask)]


def _others(masks: list[np.ndarray], bundles: np.ndarray, index: int) -> list[np.ndarray]:
    """Returns masks of images of other groups, at the size of this one, as far as they differ from it."""
    height, width = masks[index].shape
    found = []
    for number in (np.arange(1, _OTHERS + 1) * 7 + index) % len(masks):
        other = masks[number]
        rows, columns = (
            np.arange(height) * other.shape[0] // height,
            np.arange(width) * other.shape[1] // width,
        )
        fitted = other[rows][:, columns]
        if bundles[number] != bundles[index] and not np.array_equal(fitted, masks[index]):
            found.append(fitted)
    return found


def _caption(verdict: MaskVerdict, index: int) -> str:
    own, rival = verdict.own[index], verdict.rival[index]
    return f"{verdict.reasons[index]} (IoU {rival:.2f}, not {own:.2f})"


def _overlays(verdict: MaskVerdict, index: int) -> PIL.Image.Image:
    """Returns the image with the given mask in red, beside it with the judge's in blue."""
    views, likely = [], verdict.likely[index]
    ground = np.bincount(likely.ravel()).argmax()  # the most frequent class is left as it is
    for mask, tint in ((verdict.given[index], _GIVEN), (likely, _LIKELY)):
        covered = (mask != ground) & (mask != VOID)
        tinted = verdict.images[index].copy()
        tinted[covered] = (tinted[covered] // 2 + np.array(tint) // 2).astype(np.uint8)
        views.append(enlarge(PIL.Image.fromarray(tinted)))
    both = PIL.Image.new("RGB", (views[0].width * 2 + 4, views[0].height), "white")
    both.paste(views[0], (0, 0))
    both.paste(views[1], (views[0].width + 4, 0))
    return both


def _long(verdict: MaskVerdict, suspects: int) -> str:
    judged = len(verdict.own)
    return (
        f"{suspects:,} of {judged:,} masks ({suspects / judged:.2%}) fit what a simple model sees in their"
        " image no better than a mask of another image or the same mask moved by an eighth of the image. The"
        " model had not seen these images or others of their group. It agrees with"
        f" {verdict.balanced_accuracy:.1%} of the pixels, averaged over classes (chance:"
        f" {1 / verdict.classes:.1%}); the median IoU of its masks with the given ones is"
        f" {np.median(verdict.own):.2f}. In the pictures the given mask is red, the model's is blue."
    )
