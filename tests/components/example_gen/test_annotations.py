"""Boxes and masks against their image: what is dropped or clipped, worked by hand and by brute force."""

import itertools
import math

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_images import chunk, encode, header, noise, png

from conveyor.components.example_gen.annotations import MaskError, _iou, _Seen, check_mask, check_objects
from conveyor.components.example_gen.readers.raw import REASONS, RawObject
from conveyor.components.example_gen.settings import PolicySettings

CLASSES = ("cat", "dog")
INF, NAN = math.inf, math.nan


def check(*objects, width=100, height=50, **policy):
    """Returns the boxes that are kept, and (field, reason, action) of each fault."""
    found = [RawObject(*thing) if isinstance(thing, tuple) else thing for thing in objects]
    kept, faults = check_objects(found, CLASSES, width, height, PolicySettings(**policy))
    assert all(fault.reason in REASONS and fault.detail for fault in faults)
    return [thing.box for thing in kept], [(fault.field, fault.reason, fault.action) for fault in faults]


@pytest.mark.parametrize(
    ("box", "usable"),
    [
        ((0, 0, 100, 50), (0, 0, 100, 50)),  # the whole image
        ((10.5, 20.25, 30, 40), (10.5, 20.25, 30, 40)),
        ((-5, 10, 20, 30), (0, 10, 20, 30)),
        ((90, 40, 120, 60), (90, 40, 100, 50)),
        ((-1e9, -1e9, 1e9, 1e9), (0, 0, 100, 50)),
        ((99.5, 49.5, 200, 200), (99.5, 49.5, 100, 50)),
    ],
)
def test_inside_or_clipped(box, usable):
    inside = box == usable
    expected = [] if inside else [("objects[0]", "box_outside", "clipped")]
    assert check(("cat", box)) == ([usable], expected)
    dropped = [] if inside else [("objects[0]", "box_outside", "dropped")]
    assert check(("cat", box), box_outside="drop") == ([box] if inside else [], dropped)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((10, 10, 10, 20), "box_degenerate"),
        ((10, 10, 20, 10), "box_degenerate"),
        ((20, 10, 10, 20), "box_degenerate"),
        ((10, 10, 10.009, 20), "box_degenerate"),  # float32 would not tell its sides apart
        ((NAN, 10, 20, 30), "box_degenerate"),
        ((10, NAN, 20, 30), "box_degenerate"),
        ((10, 10, INF, 30), "box_degenerate"),
        ((-INF, 10, 20, 30), "box_degenerate"),
        ((10, 10, 20, NAN), "box_degenerate"),
        ((100, 10, 120, 20), "box_outside"),  # it begins where the image ends
        ((10, 50, 20, 60), "box_outside"),
        ((-20, 10, 0, 20), "box_outside"),
        ((10, -20, 20, 0), "box_outside"),
        ((99.999, 10, 120, 20), "box_outside"),  # all but a sliver
    ],
)
@pytest.mark.parametrize("policy", [{}, {"box_outside": "drop", "box_duplicate": "keep"}])
def test_never_usable(box, reason, policy):
    assert check(("cat", box), **policy) == ([], [("objects[0]", reason, "dropped")])


def test_what_is_told():
    place = RawObject("cow", (1, 2, 3, 4), field="annotations[17]")
    _, (unknown, outside) = check_objects(
        [place, RawObject("cat", (-5, 10, 20.5, 30))], CLASSES, 100, 50, PolicySettings()
    )
    assert (unknown.field, unknown.reason, unknown.detail) == (
        "annotations[17]",
        "unknown_class",
        "class 'cow'",
    )
    assert outside.detail == "box (-5, 10, 20.5, 30) of 'cat' in an image of 100x50"
    assert (unknown.box, outside.box) == ((1, 2, 3, 4), (-5, 10, 20.5, 30))


# Of 40 x 20 = 800 pixels and a part of it: with 38.1 of the width IoU is 38.1 / 40 = 0.9525, with 37.9 it is
# 0.9475, and with 38 just 0.95, which is not above it.
@pytest.mark.parametrize(("width", "same"), [(38.1, True), (37.9, False), (38, False), (40, True)])
def test_duplicates(width, same):
    first, second = (10, 10, 50, 30), (10, 10, 10 + width, 30)
    fault = ("objects[1]", "box_duplicate", "dropped") if same else ("objects[1]", "box_overlap", "kept")
    for pair in ((first, second), (second, first)):
        assert check(("cat", pair[0]), ("cat", pair[1])) == ([pair[0]] if same else [*pair], [fault])
    told = [("objects[1]", "box_duplicate" if same else "box_overlap", "kept")]
    assert check(("cat", first), ("cat", second), box_duplicate="keep") == ([first, second], told)


def test_shifted_duplicates():
    """A box of 100 moved by d overlaps in 100 - d of 100 + d: 0.9608 for 2, 0.9417 for 3."""
    for shift, same in ((2, True), (3, False), (-2, True), (-3, False)):
        boxes = (50, 10, 150, 40), (50 + shift, 10, 150 + shift, 40)
        kept, _ = check(*(("cat", box) for box in boxes), width=400)
        assert len(kept) == 2 - same


def test_boxes_that_are_nearly_one_are_told_and_kept():
    """Of a box of 100 x 30, 92 x 30 is a share of 0.92, and 85 x 30 one of 0.85, not above it."""
    boxes = [(0, 0, 100, 30), (0, 0, 92, 30)]
    kept, faults = check(*(("cat", box) for box in boxes))
    assert kept == boxes
    assert faults == [("objects[1]", "box_overlap", "kept")]
    assert check(("cat", boxes[0]), ("cat", (0, 0, 85, 30)))[1] == []


def test_what_is_no_duplicate():
    box = (10, 10, 50, 30)
    assert check(("cat", box), ("dog", box)) == ([box, box], [])
    crowd = RawObject("cat", box, crowd=True)
    assert check(crowd, ("cat", box), crowd) == ([box] * 3, [])


def test_boxes_are_the_same_after_they_are_clipped():
    kept, faults = check(("cat", (-10, 0, 50, 30)), ("cat", (-90, 0, 50, 30)))
    assert kept == [(0, 0, 50, 30)]
    assert [reason for _, reason, _ in faults] == ["box_outside", "box_outside", "box_duplicate"]


def test_what_is_dropped_hides_no_other():
    """Of a chain in which each covers the next, the second goes; the third is compared with the first."""
    boxes = [(0, 0, 100, 30), (0, 0, 96, 30), (0, 0, 93, 30)]  # 0.96, 0.96875; the ends 0.93
    kept, _ = check(*(("cat", box) for box in boxes))
    assert kept == [boxes[0], boxes[2]]


sides = st.integers(0, 60).map(lambda number: number / 2)
boxes = st.tuples(sides, sides, st.integers(1, 60), st.integers(1, 60)).map(
    lambda found: (found[0], found[1], found[0] + found[2], found[1] + found[3])
)


@given(st.lists(st.tuples(st.sampled_from(CLASSES), boxes), max_size=40), st.data())
def test_seen_is_as_if_all_were_compared(objects, data):
    """With copies moved a little, so that there are pairs just above and below the limit."""
    moves = [
        (label, tuple(side + data.draw(st.sampled_from([0, 0, 0.25, -0.25, 1])) for side in box))
        for label, box in objects[:10]
    ]
    seen, before = _Seen(), []
    for label, box in objects + moves:
        if box[0] >= box[2] or box[1] >= box[3]:
            continue
        largest = max((_brute_iou(box, known) for other, known in before if label == other), default=0)
        found = seen.overlap(RawObject(label, box))
        assert found == pytest.approx(largest if largest > 0.85 else 0)
        assert (found > 0.95) == (largest > 0.95)
        seen.add(RawObject(label, box))
        before.append((label, box))


def _brute_iou(a, b):
    """Sides are quarters, so that quarters of pixels can be counted."""
    inside = 1
    for low, high in ((0, 2), (1, 3)):
        inside *= max(0, min(a[high], b[high]) - max(a[low], b[low]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return inside / (sum(areas) - inside)


def test_iou():
    a = (0.0, 0.0, 4.0, 2.0)
    assert _iou(a, a) == 1
    assert _iou(a, (2.0, 1.0, 6.0, 3.0)) == 2 / 14
    assert _iou(a, (4.0, 0.0, 8.0, 2.0)) == _iou(a, (0.0, 2.0, 4.0, 4.0)) == 0


@given(st.permutations([(0, 0, 40, 20), (0, 0, 39, 20), (50, 0, 60, 20), (50, 0, 60, 19.9)]))
def test_one_of_each_pair_is_kept_in_any_order(order):
    kept, _ = check(*(("cat", box) for box in order))
    assert len(kept) == 2
    assert all(_iou(a, b) <= 0.95 for a, b in itertools.combinations(kept, 2))


# === masks ===

INDICES = np.uint8([[0, 1, 2], [255, 1, 1]])


def test_pixels_of_each_class_and_of_void():
    assert check_mask(encode(INDICES), 3, 3, 2) == [1, 3, 1, 1]
    assert check_mask(encode(INDICES), 5, 3, 2) == [1, 3, 1, 0, 0, 1]
    assert check_mask(encode(INDICES), 255, 3, 2)[:3] == [1, 3, 1]


def paletted():
    image = PIL.Image.fromarray(INDICES, "P")
    image.putpalette([7] * 768)
    return encode(image)


@pytest.mark.parametrize(
    ("mask", "reason", "detail"),
    [
        (encode(INDICES), "mask_index", "index [2] of 2 classes"),
        (encode(np.uint8([[9, 254, 0], [0, 0, 0]])), "mask_index", "index [9, 254] of 2 classes"),
        (encode(INDICES.T), "mask_size", "mask of 2x3, image of 3x2"),
        (b"", "unreadable", "mask: cannot identify image file"),
        (b"garbage", "unreadable", "mask: cannot identify image file"),
        (encode(INDICES, "BMP"), "unreadable", "mask: cannot identify image file"),
        (encode(noise(40, 3))[:70], "mask_size", "mask of 3x40"),
        (png(header(3, 2), b"\0\0\0"), "unreadable", "mask: image file is truncated"),
        (png(header(2**31 - 1, 2**31 - 1), b""), "mask_size", "mask of 2147483647x2147483647"),
        # Decoders do not agree on, or do not give, the indices of these.
        (paletted(), "unsupported_mode", "mode P"),
        (encode(INDICES > 0), "unsupported_mode", "mode 1"),
        (encode(INDICES.astype(np.uint16) + 300), "unsupported_mode", "mode I;16"),
        (encode(np.stack([INDICES] * 3, -1)), "unsupported_mode", "mode RGB"),
        (encode(np.stack([INDICES] * 2, -1)), "unsupported_mode", "mode LA"),
    ],
)
def test_masks_that_cannot_be_used(mask, reason, detail):
    with pytest.raises(MaskError) as caught:
        check_mask(mask, 2, 3, 2)
    assert caught.value.reason == reason
    assert reason in REASONS
    assert detail in caught.value.detail
    assert " at 0x" not in caught.value.detail, "an address differs from run to run"


def test_a_damaged_mask_is_told():
    whole = encode(noise(30, 30) % 2)
    for cut in range(0, len(whole) - 12, 7):
        with pytest.raises(MaskError):
            check_mask(whole[:cut], 2, 30, 30)
    wrong = png(header(3, 2), bytes(8), before=chunk(b"IDAT", b"no zlib"))
    with pytest.raises(MaskError):
        check_mask(wrong, 2, 3, 2)
