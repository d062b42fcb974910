"""Finds what looks wrong in labels, boxes and masks, before anything is trained on them."""

import pathlib

import numpy as np

from conveyor.components.artifacts import Examples
from conveyor.components.facts import read_facts
from conveyor.components.label_errors import boxes, labels, masks
from conveyor.components.label_errors.folds import bundle
from conveyor.components.label_errors.gallery import Anomaly

_COMMON = ("key", "label", "group", "content_hash", "objects", "mask_pixels")


def find_label_errors(examples: Examples, pictures: pathlib.Path) -> list[Anomaly]:
    """Ranks suspect labels, boxes and masks by held-out predictions of simple models.

    All splits are judged together. Nothing is said where the simple model is not half-way from chance
    to perfection (see `judge.LEAST_SKILL`), or has too little to learn from.

    Args:
        examples: The artifact.
        pictures: Folder for pictures, in the artifact of the anomalies; made if need be.

    Returns:
        At most one anomaly of each kind: "label_error", "box_label_error", "mask_error"; all warnings,
        as described in `Anomalies`, with the worst examples first.
    """
    has = examples.properties["annotations"]
    facts = read_facts(examples, [*_COMMON, *(labels.COLUMNS if "label" in has else ())])
    # in the order of their content, whichever order they are stored in; it says nothing of their class
    facts = facts.sort_by([("content_hash", "ascending"), ("key", "ascending")])
    bundles = bundle(facts["content_hash"].to_pylist(), facts["group"].to_pylist())
    found: list[Anomaly] = []
    if "label" in has and np.any(facts["label"].to_numpy() >= 0):
        found += labels.find_wrong_labels(examples, facts, bundles, pictures)
    if "objects" in has:
        found += boxes.find_wrong_boxes(examples, facts, bundles, pictures)
    if "mask" in has:
        found += masks.find_wrong_masks(examples, facts, bundles, pictures)
    return found
