"""Objects and masks: by hand, against NumPy over all values, and the same however rows are cut up."""

import functools
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.components.facts import FACTS
from conveyor.components.statistics_gen.document import to_document
from conveyor.components.statistics_gen.summary import COLUMNS, Summary, summarise

CLASSES = ["cat", "dog", "elk"]
PROPERTIES = {"classes": CLASSES, "mask_classes": CLASSES, "annotations": ["label", "mask", "objects"]}


def box(label, x1, y1, x2, y2, *, area=None, crowd=False, difficult=False):
    area = (x2 - x1) * (y2 - y1) if area is None else area
    sides = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return {"label": label, **sides, "area": area, "crowd": crowd, "difficult": difficult}


def row(*objects, mask=(), label=0, width=32, height=16, grey=False):
    return {
        "key": "k",
        "label": label,
        "width": width,
        "height": height,
        "bytes": 9,
        "format": "PNG",
        "mode": "RGB",
        "brightness": 1.0,
        "sharpness": 2.0,
        "content_hash": "0",
        "fingerprint": b"",
        "pixel_sum": [5] if grey else [1, 2, 3],
        "pixel_square_sum": [9] if grey else [4, 5, 6],
        "objects": list(objects),
        "mask_pixels": list(mask),
    }


def summaries(rows, size):
    table = pa.Table.from_pylist(rows, FACTS).select(COLUMNS)
    return [summarise(batch, 3) for batch in table.combine_chunks().to_batches(size)]


def document(rows, size=100):
    merged = functools.reduce(Summary.merge, summaries(rows, size), Summary())
    return to_document(merged, PROPERTIES, 2)


def test_objects_by_hand():
    rows = [
        # 4 x 9 in 32 x 16: size 6, of the image's sqrt(512); centre at (2, 4.5), cells are 2 x 1 pixels.
        row(box(0, 0, 0, 4, 9), box(1, 28, 15, 32, 16, crowd=True), box(1, 0, 0, 4, 9, area=25)),
        row(),
        row(box(1, 31, 0, 32, 16, difficult=True)),
    ]
    found = document(rows)["objects"]
    assert (found["count"], found["crowd"], found["difficult"], found["empty_images"]) == (4, 1, 1, 1)
    assert found["classes"] == {"cat": 1, "dog": 3, "elk": 0}
    per_image = found["per_image"]
    assert (per_image["min"], per_image["max"], per_image["mean"]) == (0, 3, 4 / 3)
    # Sizes 6, 2, 5, 4.
    assert (found["size"]["min"], found["size"]["max"], found["size"]["mean"]) == (2, 6, 4.25)
    assert found["relative_size"]["max"] == pytest.approx(6 / np.sqrt(512))
    # 4/9, 4/1, 4/9, 1/16.
    assert found["aspect"]["min"] == 1 / 16
    assert found["aspect"]["max"] == 4
    cells = {
        (y, x): count for y, line in enumerate(found["position"]) for x, count in enumerate(line) if count
    }
    assert cells == {(4, 1): 2, (15, 15): 1, (8, 15): 1}
    assert set(found["per_class"]) == {"cat", "dog"}
    dog = found["per_class"]["dog"]
    assert (dog["count"], dog["images"]) == (3, 2)
    assert (dog["size"]["min"], dog["size"]["max"]) == (2, 5)


def test_no_object_in_any_image():
    found = document([row(), row()])["objects"]
    assert (found["count"], found["empty_images"]) == (0, 2)
    assert found["size"] is found["aspect"] is None
    assert found["per_image"]["max"] == 0
    assert found["per_class"] == {}
    assert np.sum(found["position"]) == 0


def test_masks_by_hand():
    rows = [row(mask=(10, 0, 0, 6)), row(mask=(5, 5, 0, 0)), row()]
    assert document(rows)["mask"] == {
        "shares": {"cat": 0.75, "dog": 0.25, "elk": 0},
        "images": {"cat": 2, "dog": 1, "elk": 0},
        "void": 6 / 26,
    }


def test_masks_of_void_alone():
    assert document([row(mask=(0, 0, 0, 8))])["mask"]["void"] == 1
    assert document([row()])["mask"] == {
        "shares": dict.fromkeys(CLASSES, 0),
        "images": dict.fromkeys(CLASSES, 0),
        "void": 0,
    }


def test_a_box_that_rounding_left_without_width():
    found = document([row(box(0, 5, 5, 5, 6))])["objects"]
    assert 0 < found["aspect"]["max"] < 1


def test_what_the_data_does_not_have_is_left_out():
    (summary,) = summaries([row()], 10)
    found = to_document(summary, {**PROPERTIES, "annotations": ["objects"]}, 2)
    assert "objects" in found
    assert not {"classes", "per_class", "mask"} & set(found)


sides = st.floats(0, 15, width=32)
boxes = st.builds(
    lambda label, x, y, w, h, crowd: box(label, x, y, x + w + 0.5, y + h + 0.5, crowd=crowd),
    *(st.integers(0, 2), sides, sides, sides, sides, st.booleans()),
)
rows_of_facts = st.lists(
    st.builds(
        lambda objects, mask, label, grey: row(*objects, mask=mask, label=label, grey=grey),
        st.lists(boxes, max_size=4),
        st.one_of(st.just([]), st.lists(st.integers(0, 99), min_size=4, max_size=4)),
        st.integers(-1, 2),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60)
@given(rows_of_facts, st.integers(1, 12), st.randoms(use_true_random=False))
def test_the_same_however_rows_are_cut_and_ordered(rows, size, dice):
    whole = json.dumps(document(rows))
    parts = summaries(rows, size)
    dice.shuffle(parts)
    assert json.dumps(to_document(functools.reduce(Summary.merge, parts, Summary()), PROPERTIES, 2)) == whole


@settings(max_examples=60)
@given(rows_of_facts)
def test_against_numpy(rows):
    """NumPy over the values one by one, and no Parquet, sketches or lists in between."""
    found = document(rows, 5)
    every = [(number, one) for number, line in enumerate(rows) for one in line["objects"]]
    objects = found["objects"]
    assert objects["count"] == len(every)
    for label, name in enumerate(CLASSES):
        mine = [(number, one) for number, one in every if one["label"] == label]
        assert objects["classes"][name] == len(mine)
        if mine:
            assert objects["per_class"][name]["images"] == len({number for number, _ in mine})
            size = np.sqrt(np.array([one["area"] for _, one in mine], np.float32).astype(float))
            assert objects["per_class"][name]["size"]["mean"] == pytest.approx(size.mean(), abs=1e-6)
        assert found["classes"][name] == sum(line["label"] == label for line in rows)
    if every:
        aspect = [(one["x2"] - one["x1"]) / (one["y2"] - one["y1"]) for _, one in every]
        assert objects["aspect"]["mean"] == pytest.approx(np.mean(aspect), rel=1e-4)
        assert objects["aspect"]["std"] == pytest.approx(np.std(aspect), rel=1e-3, abs=1e-4)
    masks = np.array([line["mask_pixels"] for line in rows if line["mask_pixels"]]).reshape(-1, 4)
    assert found["mask"]["images"] == dict(zip(CLASSES, (masks > 0).sum(0)[:3].tolist(), strict=True))
    known = masks[:, :3].sum()
    assert list(found["mask"]["shares"].values()) == pytest.approx(masks[:, :3].sum(0) / max(known, 1))
    sums = np.sum([line["pixel_sum"] * (3 // len(line["pixel_sum"])) for line in rows], axis=0)
    assert found["channel_mean"] == pytest.approx(sums / (512 * len(rows)))
