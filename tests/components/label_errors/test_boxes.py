import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from conveyor.components.facts import read_facts
from conveyor.components.label_errors.boxes import cut_out
from conveyor.components.label_errors.find import find_label_errors

NAMES = ["disc", "square"]


def box_of(label, x, y, side, crowd=False):
    sides = {"x1": x, "y1": y, "x2": x + side, "y2": y + side}
    return {"label": label, **sides, "area": 0.0, "crowd": crowd, "difficult": False}


@pytest.fixture(scope="module")
def scenes():
    """40 pictures with a disc and a square each; in one they are swapped, in another a box holds nothing."""
    random, rows = np.random.default_rng(0), []
    for number in range(40):
        image = PIL.Image.fromarray(random.integers(80, 120, (60, 120, 3), np.uint8))
        draw, objects = PIL.ImageDraw.Draw(image), []
        for label in range(2):
            side = int(random.integers(14, 20))
            x, y = label * 40 + int(random.integers(0, 20)), int(random.integers(0, 40))
            (draw.ellipse, draw.rectangle)[label]((x, y, x + side, y + side), fill=(220, 220, 220))
            objects.append(box_of(label, x, y, side + 1))
        if number == 7:
            objects[0]["label"], objects[1]["label"] = 1, 0
        if number == 9:
            objects[1] = box_of(1, 100, 10, 16)
        rows.append({"key": f"{number:02d}", "image": np.asarray(image), "objects": objects})
    return rows


def test_swapped_and_empty_boxes_are_found(make_examples, scenes, tmp_path):
    examples = make_examples(scenes, NAMES, ["objects"])
    (found,) = find_label_errors(examples, tmp_path / "pictures")
    assert found["kind"] == "box_label_error"
    assert set(found["examples"]) == {"07", "09"}
    captions = [picture["caption"] for picture in found["pictures"]]
    assert len(captions) == 3
    assert any("100 10 116 26: labelled square, looks like background" in caption for caption in captions)
    assert sum(caption.startswith("07, box") for caption in captions) == 2
    assert "3 of 80 boxes" in found["long"]


def test_cuts_are_the_boxes_and_free_places(make_examples, scenes):
    examples = make_examples(scenes, NAMES, ["objects"])
    facts = read_facts(examples, ["key", "content_hash", "objects"])
    cuts = cut_out(examples, facts, 2)
    assert (cuts.labels < 2).sum() == 80
    assert (cuts.labels == 2).sum() > 60
    for row in range(40):
        mine = cuts.rows == row
        boxes = np.array(
            [[box[side] for side in ("x1", "y1", "x2", "y2")] for box in facts["objects"][row].as_py()]
        )
        for free in cuts.boxes[mine & (cuts.labels == 2)]:
            overlap = np.minimum(free[2:], boxes[:, 2:]) - np.maximum(free[:2], boxes[:, :2])
            assert overlap.clip(0).prod(1).sum() <= 0.2 * (free[2:] - free[:2]).prod() + 1e-6
            assert (free >= 0).all()
            assert (free <= [120, 60, 120, 60]).all()


def test_crowds_and_specks_are_not_judged(make_examples):
    image = np.zeros((30, 30, 3), np.uint8)
    objects = [box_of(0, 0, 0, 30, crowd=True), box_of(0, 3, 3, 2), box_of(1, 5, 5, 10)]
    examples = make_examples([{"key": "a", "image": image, "objects": objects}], NAMES, ["objects"], shards=1)
    cuts = cut_out(examples, read_facts(examples, ["key", "content_hash", "objects"]), 2)
    assert cuts.boxes.tolist() == [[5, 5, 15, 15]]  # and no place is free of the crowd


def test_a_box_as_large_as_the_image_leaves_no_place(make_examples):
    rows = [
        {"key": "a", "image": np.zeros((9, 7, 3), np.uint8), "objects": [{**box_of(0, 0, 0, 7), "y2": 9}]}
    ]
    examples = make_examples(rows, NAMES, ["objects"], shards=1)
    assert len(cut_out(examples, read_facts(examples, ["key", "content_hash", "objects"]), 2).rows) == 1


def test_images_without_boxes_say_nothing(make_examples, tmp_path):
    rows = [{"key": str(number), "image": np.full((9, 9), number, np.uint8)} for number in range(5)]
    examples = make_examples(rows, NAMES, ["objects"])
    assert find_label_errors(examples, tmp_path / "pictures") == []
