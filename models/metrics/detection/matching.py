"""Which detections find a true object, by COCO's rules and by Pascal VOC's.

COCO: best score first, each detection takes the free object of its class and image that it overlaps
most, if by the threshold or more; one that finds a crowd or an object outside the range of area, or
is itself outside and finds none, is ignored. Source: `COCOeval.evaluateImg` of the COCO API.

VOC: each detection is about the object that it overlaps most, free or not; it is right if the IoU is
above 0.5 and it is the best of those about this object, and ignored if the object is difficult.
Source: Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 88, 2010, section 4.2.2.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from conveyor.models.metrics.detection.matches import (
    AREAS,
    HIT,
    IGNORED,
    MISS,
    MOST_DETECTIONS,
    THRESHOLDS,
    VOC_AREA,
    VOC_COLUMN,
    Matches,
)
from conveyor.models.metrics.detection.objects import Detections, Overlap, Truth, box_overlap

_BLOCK = 1 << 20  # pairs looked at a time: bounds memory
_VOC_THRESHOLD = 0.5
_LIMITS = np.minimum(THRESHOLDS, 1 - 1e-10)  # as the COCO API has them


@dataclasses.dataclass(frozen=True)
class _Pairs:
    """Detections and true objects of one class and image that overlap enough for something.

    `found` rises; of one detection, the overlap rises, and where it is the same, `true` does.
    """

    found: np.ndarray
    true: np.ndarray
    overlap: np.ndarray


def match(truth: Truth, detections: Detections, images: int, overlap: Overlap | None = None) -> Matches:
    """Matches detections to the truth.

    Args:
        truth: Of all images.
        detections: Of the same images.
        images: Number of images.
        overlap: IoU of pairs; that of the boxes unless told, masks have another.
    """
    classes = 1 + detections.label.max(initial=0)
    order = np.lexsort((-detections.score, detections.image * classes + detections.label))
    image, label = detections.image[order], detections.label[order]
    rank = _places(image, label)
    overlap = overlap or box_overlap(truth, detections)
    outcome = np.empty((len(order), VOC_COLUMN + 1), np.uint8)
    counted = np.empty((len(truth.image), VOC_AREA + 1), bool)
    counted[:, :VOC_AREA] = _inside(truth.area) & ~truth.crowd[:, None]
    counted[:, VOC_AREA] = ~(truth.crowd | truth.difficult)
    pairs = _pairs(truth, image, label, order, overlap, truth.crowd, rank < MOST_DETECTIONS)
    outcome[:, :VOC_COLUMN] = _coco(pairs, rank, _inside(detections.area[order]), counted, truth.crowd)
    # a crowd is difficult to VOC, a box like any other; and VOC takes all detections
    if truth.crowd.any() or rank.max(initial=0) >= MOST_DETECTIONS:
        pairs = _pairs(truth, image, label, order, overlap, np.zeros_like(truth.crowd), rank >= 0)
    outcome[:, VOC_COLUMN] = _voc(pairs, len(order), counted[:, VOC_AREA])
    return Matches(
        images, image, label, detections.score[order], rank, outcome, truth.image, truth.label, counted
    )


def _inside(area: np.ndarray) -> np.ndarray:
    """Returns bool [n, 4]: which ranges of area hold each area."""
    low, high = np.array(list(AREAS.values())).T
    return (area[:, None] >= low) & (area[:, None] <= high)


def _places(image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Returns the place of each row in its run of equal images and labels."""
    rows = np.arange(len(image))
    first = np.ones(len(image), bool)
    first[1:] = (image[1:] != image[:-1]) | (label[1:] != label[:-1])
    return rows - np.maximum.accumulate(np.where(first, rows, 0))


def _pairs(
    truth: Truth,
    image: np.ndarray,
    label: np.ndarray,
    order: np.ndarray,
    overlap: Overlap,
    crowd: np.ndarray,
    wanted: np.ndarray,
) -> _Pairs:
    kept = [
        (found[near], true[near], shared[near])
        for found, true in _candidates(truth, image, label, np.flatnonzero(wanted))
        for shared in [overlap(order[found], true, crowd[true])]
        for near in [shared >= _LIMITS[0]]
    ]
    found, true, shared = (
        (np.concatenate(column) for column in zip(*kept, strict=True)) if kept else np.zeros((3, 0))
    )
    found, true = found.astype(np.int64), true.astype(np.int64)
    sort = np.lexsort((true, shared, found))
    return _Pairs(found[sort], true[sort], shared[sort])


def _candidates(
    truth: Truth, image: np.ndarray, label: np.ndarray, rows: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields blocks of all pairs of the same image and class."""
    classes = 1 + max(label.max(initial=0), truth.label.max(initial=0))
    keys = truth.image * classes + truth.label
    by_key = np.argsort(keys, kind="stable")
    wanted = image[rows] * classes + label[rows]
    start = np.searchsorted(keys[by_key], wanted, side="left")
    count = np.searchsorted(keys[by_key], wanted, side="right") - start
    block = np.cumsum(count) // _BLOCK
    for number in np.unique(block[count > 0]):
        mine = np.flatnonzero((block == number) & (count > 0))
        repeats = count[mine]
        within = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        yield np.repeat(rows[mine], repeats), by_key[np.repeat(start[mine], repeats) + within]


def _coco(
    pairs: _Pairs, rank: np.ndarray, inside: np.ndarray, counted: np.ndarray, crowd: np.ndarray
) -> np.ndarray:
    """Returns uint8 [d, 40]: the outcomes by COCO's criteria.

    Detections of one rank are of different images or classes, so all of a rank are matched at once.
    """
    steps = len(THRESHOLDS)
    outcome = np.repeat(np.where(inside, np.uint8(MISS), np.uint8(IGNORED)), steps, axis=1)
    outcome[rank >= MOST_DETECTIONS] = IGNORED
    limits = np.tile(_LIMITS, len(AREAS))
    taken = np.zeros((len(counted), len(limits)), bool)
    by_rank = np.argsort(rank[pairs.found], kind="stable")
    ends = np.flatnonzero(np.diff(rank[pairs.found[by_rank]])) + 1
    for rows in np.split(by_rank, ends) if len(by_rank) else ():
        found, true = pairs.found[rows], pairs.true[rows]
        needed = np.repeat(counted[true, :VOC_AREA], steps, axis=1)
        free = ~taken[true] | crowd[true, None]
        usable = free & (pairs.overlap[rows, None] >= limits)
        places = np.arange(len(rows), dtype=np.int32)[:, None]
        # the last usable pair is the best, and any object that counts is better than one that does not
        worth = np.where(usable, places + np.int32(len(rows)) * needed, np.int32(-1))
        starts = np.flatnonzero(np.diff(found, prepend=-1))
        best = np.maximum.reduceat(worth, starts, axis=0)
        which, column = np.nonzero(best >= 0)
        pick = best[which, column]
        taken[true[pick % len(rows)], column] = True
        outcome[found[starts][which], column] = np.where(pick >= len(rows), HIT, IGNORED)
    return outcome


def _voc(pairs: _Pairs, detections: int, counted: np.ndarray) -> np.ndarray:
    """Returns uint8 [d]: the outcomes by VOC's rules."""
    outcome = np.full(detections, MISS, np.uint8)
    near = pairs.overlap > _VOC_THRESHOLD
    found, true, overlap = pairs.found[near], pairs.true[near], pairs.overlap[near]
    best = np.lexsort((true, -overlap, found))  # of equal overlaps the first object
    found, at = np.unique(found[best], return_index=True)
    true = true[best][at]
    # rows rise with rank, so the first about an object has the best score
    _, first = np.unique(true, return_index=True)
    outcome[found[first]] = HIT
    outcome[found[~counted[true]]] = IGNORED
    return outcome
