"""Suspect boxes: of the wrong class, or on what looks like background.

Each box is cut out and judged as an image would be. So are cuts of the same sizes where no box is, as a
class of its own. Objects that have no box are not searched for: among those cuts there are some, which
makes the judge doubt boxes a little more than it should.
"""

import dataclasses
import pathlib
import typing
from collections.abc import Mapping

import numpy as np
import PIL.Image
import pyarrow as pa

from conveyor.components.artifacts import Examples
from conveyor.components.example_images import read_images
from conveyor.components.label_errors.appearance import SIDE, edges, moments
from conveyor.components.label_errors.gallery import SHOWN, Anomaly, Box, anomaly, around, decode
from conveyor.components.label_errors.judge import LEAST_PER_CLASS, Verdict, judge

_BACKGROUND = 16  # cuts of an image at most
_TRIES = 20  # places looked at for each
_COVERED = 0.2  # share of a cut that boxes may cover
_LEAST_SIDE = 4.0  # pixels below which there is nothing to see
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclasses.dataclass(frozen=True)
class Cuts:
    """What is cut out of the images, in the order of rows.

    Args:
        rows: [n] rows of the facts.
        labels: [n] classes.
        boxes: [n, 4] x1, y1, x2, y2 in pixels.
        features: [n, SHAPE + 8] float32: edges, colours and size.
    """

    rows: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    features: np.ndarray


def find_wrong_boxes(
    examples: Examples, facts: pa.Table, bundles: np.ndarray, pictures: pathlib.Path
) -> list[Anomaly]:
    """Returns at most one anomaly, which names the images with boxes that look wrong.

    Args:
        examples: The artifact.
        facts: A row per example in the order of content: key, content_hash, objects.
        bundles: [n]; see `folds.bundle`.
        pictures: Folder for pictures.
    """
    background = len(examples.properties["classes"])
    cuts = cut_out(examples, facts, background)
    verdict = judge(cuts.features, cuts.labels, bundles[cuts.rows])
    if verdict is None:
        return []
    boxes = cuts.labels[verdict.rows] != background
    worst = verdict.worst_first(boxes)
    if not len(worst):
        return []
    keys = [facts["key"][int(cuts.rows[verdict.rows[index]])].as_py() for index in worst]
    shown = _show(examples, cuts, verdict, worst[:SHOWN], keys)
    short = f"{len(worst):,} boxes look wrong" if len(worst) > 1 else "1 box looks wrong"
    total = int(np.count_nonzero(cuts.labels != background))
    long = _long(verdict, len(worst), int(boxes.sum()), total)
    return [anomaly("box_label_error", short, long, keys, pictures, shown)]


def cut_out(examples: Examples, facts: pa.Table, background: int) -> Cuts:
    """Returns the boxes of all images, and as many places beside them as are free.

    Args:
        examples: The artifact.
        facts: A row per example: key, content_hash, objects.
        background: Label of what is beside boxes.
    """
    objects = facts["objects"].to_pylist()
    places = {facts["key"][row].as_py(): row for row, found in enumerate(objects) if found}
    found: list[tuple[int, int, Box]] = []
    looks: list[np.ndarray] = []
    for key, data in read_images(examples, list(places)):
        image, row = decode(data), places[key]
        seed = int.from_bytes(facts["content_hash"][row].as_py().encode()[:16], "big")
        cuts = _objects(objects[row], image.size)
        empty = _empty_places(objects[row], [box for _, box in cuts], image.size, seed)
        for label, box in cuts + [(background, box) for box in empty]:
            found.append((row, label, box))
            looks.append(_look(image, box))
    order = sorted(range(len(found)), key=lambda index: found[index])
    rows, labels, boxes = (np.array([found[index][part] for index in order]) for part in range(3))
    thumbnails = np.array([looks[index] for index in order], np.uint8).reshape(-1, SIDE, SIDE, 3)
    boxes = boxes.reshape(-1, 4).astype(np.float64)
    return Cuts(rows.astype(np.int64), labels.astype(np.int64), boxes, _features(thumbnails, boxes))


def _objects(objects: list[Mapping[str, typing.Any]], size: tuple[int, int]) -> list[tuple[int, Box]]:
    """Returns class and box of each object that can be judged, within the image."""
    cuts = []
    for found in objects:
        box = _clipped(_sides(found), size)
        if not found["crowd"] and min(box[2] - box[0], box[3] - box[1]) >= _LEAST_SIDE:
            cuts.append((int(found["label"]), box))
    return cuts


def _sides(found: Mapping[str, typing.Any]) -> Box:
    return found["x1"], found["y1"], found["x2"], found["y2"]


def _clipped(box: Box, size: tuple[int, int]) -> Box:
    return max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(size[0])), min(box[3], float(size[1]))


def _empty_places(
    objects: list[Mapping[str, typing.Any]], cuts: list[Box], size: tuple[int, int], seed: int
) -> list[Box]:
    """Returns boxes of the sizes of the image's own, in places that these leave free."""
    taken = np.array([_sides(found) for found in objects])
    random = np.random.default_rng(seed)
    free: list[Box] = []
    for x1, y1, x2, y2 in cuts[:_BACKGROUND]:
        width, height = x2 - x1, y2 - y1
        corners = random.random((_TRIES, 2)) * (size[0] - width, size[1] - height)
        tried = np.concatenate([corners, corners + np.array([width, height])], axis=1)
        overlap = np.minimum(tried[:, None, 2:], taken[:, 2:]) - np.maximum(tried[:, None, :2], taken[:, :2])
        covered = overlap.clip(0).prod(2).sum(1)
        for index in np.flatnonzero(covered <= _COVERED * width * height)[:1]:
            left, top, right, bottom = tried[index].tolist()
            free.append(_clipped((left, top, right, bottom), size))
    return free


def _look(image: PIL.Image.Image, box: Box) -> np.ndarray:
    small = image.resize((SIDE, SIDE), PIL.Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    return np.asarray(small)


def _features(thumbnails: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Returns edges, colours and size of each cut: [n, SHAPE + 8] float32."""
    grey = np.rint(thumbnails @ _LUMA).astype(np.uint8)
    values = thumbnails.reshape(-1, SIDE * SIDE, 3).astype(np.float32)
    pixels = np.full(len(values), SIDE * SIDE)
    colours = moments(values.sum(1, dtype=np.float64), (values**2).sum(1, dtype=np.float64), pixels)
    size = np.log(boxes[:, 2:] - boxes[:, :2]).astype(np.float32)
    return np.concatenate([edges(grey), colours, size], axis=1)


def _show(
    examples: Examples, cuts: Cuts, verdict: Verdict, worst: np.ndarray, keys: list[str]
) -> list[tuple[PIL.Image.Image, str]]:
    images = {key: decode(data) for key, data in read_images(examples, keys[: len(worst)])}
    names = [*examples.properties["classes"], "background"]
    shown = []
    for key, index in zip(keys, worst, strict=False):
        row = verdict.rows[index]
        x1, y1, x2, y2 = cuts.boxes[row].tolist()
        caption = (
            f"{key}, box {x1:.0f} {y1:.0f} {x2:.0f} {y2:.0f}: labelled {names[cuts.labels[row]]},"
            f" looks like {names[verdict.likely[index]]} ({verdict.confidence[index]:.2f})"
        )
        shown.append((around(images[key], (x1, y1, x2, y2)), caption))
    return shown


def _long(verdict: Verdict, suspects: int, judged: int, total: int) -> str:
    return (
        f"{suspects:,} of {judged:,} boxes ({suspects / judged:.2%}) hold something else than they say, or"
        " background, in the view of a simple classifier that had not seen these images or others of their"
        f" group. It agrees with {verdict.balanced_accuracy:.1%} of the boxes, averaged over classes and"
        f" background (chance: {1 / verdict.classes:.1%}), so some suspects are its own mistakes. Objects"
        " without a box are not searched for."
        + f" {total - judged:,} boxes of classes with boxes in under {LEAST_PER_CLASS} images are not judged."
        * (total > judged)
    )
