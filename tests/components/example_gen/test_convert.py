"""One image with what its source says of it, made into an example: features, facts, faults and preview."""

import io

import numpy as np
import PIL.Image
import pytest
from small_images import chunk, decode, encode, header, noise, png, rows, with_orientation
from tensorflow_datasets.proto import tf_example_pb2

from conveyor.components.example_gen.convert import Classes, Converter, preview
from conveyor.components.example_gen.readers.raw import REASONS, WHOLE, Fault, RawExample, RawObject
from conveyor.components.example_gen.settings import ExampleGenSettings, PolicySettings

IMAGE = encode(noise(20, 40, 3))
CAT = RawObject("cat", (4, 2, 24, 12))
NAMES = ["cat", "dog"]
MASK = np.zeros((20, 40), np.uint8)
MASK[:5], MASK[5:7], MASK[0, 0] = 1, 2, 255
TWO = [PIL.Image.fromarray(noise(9, 7, seed=seed)) for seed in range(2)]
ROTATED = with_orientation(noise(20, 40, 3), "JPEG", 6)  # 40x20 as stored, 20x40 upright


def convert(*annotations, data=IMAGE, key="a.png", max_pixels=10_000, policy=None, **known):
    settings = ExampleGenSettings(source="x", max_pixels=max_pixels, policy=PolicySettings(**policy or {}))
    classes = Classes(NAMES, ["background", *NAMES] if "mask" in annotations else [])
    raw = RawExample(key, **{"label": "", "split": "", **known}, data=data)
    return Converter(frozenset(annotations), classes, settings).convert(raw)


def told(converted):
    return [(fault.field, fault.reason, fault.action) for fault in converted.faults]


def features(converted):
    """Returns name -> list of values."""
    example = tf_example_pb2.Example.FromString(converted.record)
    return {
        name: list(getattr(value, value.WhichOneof("kind")).value) if value.WhichOneof("kind") else []
        for name, value in example.features.feature.items()
    }


def test_an_image_with_a_label():
    found = convert("label", label="dog", group="g", split="test")
    assert told(found) == []
    assert features(found) == {"image": [IMAGE], "id": [b"a.png"], "label": [1]}
    facts = found.facts
    assert (facts["label"], facts["group"], facts["source_split"]) == (1, "g", "test")
    assert (facts["objects"], facts["mask_pixels"]) == ([], [])
    assert found.as_is


def test_an_image_with_objects_by_hand():
    outline = [[4, 2, 14, 2, 14, 12, 4, 12]]
    things = (CAT, RawObject("dog", (10, 5, 50, 15), True, outline, True))
    found = convert("objects", objects=things)
    assert told(found) == [("objects[1]", "box_outside", "clipped")]
    stored = features(found)
    # Relative y, x, y, x: of 20 rows and 40 columns.
    np.testing.assert_allclose(stored["objects/bbox"], [0.1, 0.1, 0.6, 0.6, 0.25, 0.25, 0.75, 1])
    assert stored["objects/label"] == [0, 1]
    assert stored["objects/area"] == [200, 100]  # of the box 20 x 10; of the outline 10 x 10
    assert (stored["objects/is_crowd"], stored["objects/is_difficult"]) == ([0, 1], [0, 1])
    assert (stored["objects/segmentation"][0], "label" in stored) == (b"", False)
    first, second = found.facts["objects"]
    assert [first[side] for side in ("x1", "y1", "x2", "y2", "area")] == [4, 2, 24, 12, 200]
    assert [second[side] for side in ("x1", "y1", "x2", "y2", "area")] == [10, 5, 40, 15, 100]
    assert (first["crowd"], second["crowd"], second["difficult"], found.facts["label"]) == (
        False,
        True,
        True,
        -1,
    )
    assert not found.as_is


@pytest.mark.parametrize("size", [None, (40, 20)])
def test_what_nobody_says_where_it_is_fills_the_upright_image(size):
    found = convert(
        "objects",
        data=ROTATED,
        key="a.jpg",
        objects=(RawObject("cat", WHOLE), RawObject("dog", WHOLE)),
        size=size,
    )
    assert told(found) == []
    assert features(found)["objects/bbox"] == [0, 0, 1, 1] * 2
    assert features(found)["objects/label"] == [0, 1]
    assert found.facts["objects"][0]["area"] == 20 * 40


@pytest.mark.parametrize("objects", [(), None])
def test_an_image_without_objects_is_kept(objects):
    found = convert("objects", objects=objects)
    assert (told(found), found.facts["objects"], found.as_is) == ([], [], True)
    assert features(found)["objects/bbox"] == features(found)["objects/segmentation"] == []


def test_an_image_with_a_mask_and_objects():
    found = convert("objects", "mask", objects=(CAT,), mask=encode(MASK), size=(40, 20))
    assert told(found) == []
    assert found.facts["mask_pixels"] == [20 * 40 - 7 * 40, 5 * 40 - 1, 2 * 40, 1]
    assert features(found)["segmentation_mask"] == [encode(MASK)]
    assert len(found.facts["objects"]) == 1


def test_annotations_that_lie_on_their_side_are_turned():
    # Orientation 6: a point at (x, y) of 40 x 20 goes to (20 - y, x) of 20 x 40.
    thing = RawObject("cat", (4, 2, 24, 12), segmentation=[[4, 2, 24, 2, 24, 12, 4, 12]])
    found = convert(
        "objects", "mask", data=ROTATED, key="a.jpg", objects=(thing,), mask=encode(MASK), size=(40, 20)
    )
    (row,) = found.facts["objects"]
    assert [row[side] for side in ("x1", "y1", "x2", "y2", "area")] == [8, 4, 18, 24, 200]
    np.testing.assert_array_equal(decode(features(found)["segmentation_mask"][0]), np.rot90(MASK, -1))
    assert (found.facts["width"], found.facts["height"]) == (20, 40)
    assert not found.as_is
    upright = convert("objects", data=ROTATED, key="a.jpg", objects=(CAT,), size=(20, 40))
    assert upright.facts["objects"][0]["x1"] == 4


SET_ASIDE = [
    ("empty", {"data": b""}),
    ("unreadable", {"data": b"no image"}),
    ("truncated", {"data": IMAGE[: len(IMAGE) // 2]}),
    ("animated", {"data": encode(TWO[0], "GIF", save_all=True, append_images=TWO[1:]), "key": "a.gif"}),
    ("unsupported_mode", {"data": encode(np.float32([[0.5]]), "TIFF"), "key": "a.tif"}),
    ("too_large", {"max_pixels": 799}),
    ("wrong_extension", {"key": "a.jpg"}),
    ("image_size", {"size": (40, 21)}),
    ("missing_image", {"data": None, "error": "not there", "reason": "missing_image"}),
]


@pytest.mark.parametrize(("reason", "known"), SET_ASIDE)
def test_set_aside(reason, known):
    found = convert("objects", **{"objects": (CAT,), **known})
    assert told(found) == [("", reason, "set_aside")]
    assert found.faults[0].detail
    assert (found.facts, found.record, found.as_is) == ({}, b"", False)


@pytest.mark.parametrize(
    ("mask", "size", "reason"),
    [
        (encode(MASK.T), None, "mask_size"),
        (encode(MASK), (40, 21), "mask_size"),
        (encode(np.where(MASK == 2, np.uint8(3), MASK)), None, "mask_index"),
        (encode(MASK > 0), None, "unsupported_mode"),
        (b"", None, "unreadable"),
        (None, None, "unreadable"),
    ],
)
@pytest.mark.parametrize("data", [IMAGE, ROTATED])
def test_masks_that_cannot_be_used(mask, size, reason, data):
    """Also where it is to be turned, of which nothing must be tried before it is checked."""
    if data is ROTATED and size is None:
        size = (40, 20)
    found = convert("mask", data=data, key="", mask=mask, size=size)
    assert told(found) == [("", reason, "set_aside")]


def test_classes_that_are_unknown():
    assert told(convert("label", label="cow")) == [("", "unknown_class", "set_aside")]
    found = convert("objects", objects=(RawObject("cow", CAT.box), CAT))
    assert told(found) == [("objects[0]", "unknown_class", "dropped")]
    assert len(found.facts["objects"]) == 1


def test_a_doubtful_label_sets_aside_and_a_doubtful_object_does_not():
    fault = Fault("malformed", "what", "label")
    assert told(convert("label", label="cat", faults=(fault,))) == [("", "malformed", "set_aside")]
    found = convert("objects", objects=(CAT,), faults=(Fault("malformed", "what", "objects[1]"),))
    assert told(found) == [("objects[1]", "malformed", "dropped")]
    doubts = (Fault("duplicate_file", "twice"), Fault("missing_annotation", "in no set", "split"))
    found = convert("objects", objects=(CAT,), faults=doubts)
    assert told(found) == [("", "duplicate_file", "kept"), ("split", "missing_annotation", "kept")]
    assert found.as_is


@pytest.mark.parametrize(
    "outline",
    [
        {"size": [40, 20], "counts": [800]},  # of an image on its side
        {"size": [10**9, 10**9], "counts": "0"},
        [[100, 100, 110, 100, 110, 110]],  # beyond the image
    ],
)
def test_an_outline_that_cannot_be_used_leaves_its_box(outline):
    things = (RawObject("cat", (4, 2, 24, 12), segmentation=outline, field="annotations[8]"),)
    found = convert("objects", objects=things)
    assert told(found) == [("annotations[8].segmentation", "malformed", "dropped")]
    assert found.facts["objects"][0]["area"] == 200
    assert features(found)["objects/segmentation"] == [b""]


def test_what_is_kept_by_policy_is_told():
    policy = {"wrong_extension": "keep", "image_size": "keep", "box_duplicate": "keep"}
    things = (CAT, CAT)
    found = convert("objects", key="a.jpg", size=(41, 20), objects=things, policy=policy)
    assert told(found) == [
        ("", "wrong_extension", "kept"),
        ("", "image_size", "kept"),
        ("objects[1]", "box_duplicate", "kept"),
    ]
    assert found.as_is
    assert len(found.facts["objects"]) == 2
    dropped = convert("objects", objects=(RawObject("cat", (-1, 0, 9, 9)),), policy={"box_outside": "drop"})
    assert (told(dropped), dropped.facts["objects"]) == ([("objects[0]", "box_outside", "dropped")], [])


def test_what_is_converted_is_not_as_it_is():
    deep = png(header(1, 1, depth=16), rows(np.uint8([[1, 2]])))
    for data in (deep, encode(noise(4, 4), "BMP"), with_orientation(noise(4, 4), "PNG", 3)):
        assert not convert("label", label="cat", data=data, key="").as_is
    assert convert(
        "label", label="cat", data=png(header(1, 1), rows(np.uint8([[1]])), chunk(b"tEXt", b"a\0b"))
    ).as_is


def test_reasons_are_known():
    assert {reason for reason, _ in SET_ASIDE} <= REASONS.keys()


# === previews ===


def shown(raw, faults=(), max_pixels=10**6):
    data = preview(raw, list(faults), max_pixels)
    return PIL.Image.open(io.BytesIO(data)) if data else None


def raw_of(data):
    return RawExample("a", "", "", data)


def test_a_preview_is_small_and_shows_faulty_boxes():
    grey = raw_of(encode(np.full((400, 800), 100, np.uint8)))
    image = shown(grey, [Fault("box_duplicate", "", box=(200, 100, 600, 300))])
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (240, 120))
    red = np.asarray(image)[..., 0] > 1.5 * np.asarray(image)[..., 1]
    # By 240 / 800: from (60, 30) to (180, 90).
    assert red[32:88, 60].all()
    assert red[30, 62:178].all()
    assert red[89, 62:178].all()
    assert not red[40:80, 70:170].any()
    assert not red[:25].any()


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_preview_is_upright(orientation):
    image = shown(raw_of(with_orientation(noise(100, 200, 3), "JPEG", orientation)))
    assert image.size == ((100, 200) if orientation == 6 else (200, 100))


@pytest.mark.parametrize(
    "box",
    [(9, 9, 1, 1), (float("nan"),) * 4, (float("inf"),) * 4, (-1e300, 0, 5, 5), (1e7, 1e7, 2e7, 2e7), None],
)
def test_a_preview_with_a_box_that_is_none(box):
    assert shown(raw_of(IMAGE), [Fault("box_degenerate", "", box=box)]).size == (40, 20)


@pytest.mark.parametrize("data", [None, b"", b"no image", IMAGE[:100], IMAGE[:40]])
def test_what_cannot_be_shown(data):
    assert shown(raw_of(data)) is None


def test_too_large_to_be_shown():
    assert shown(raw_of(IMAGE), max_pixels=799) is None
    assert shown(raw_of(png(header(2**31 - 1, 2**31 - 1), b""))) is None


@pytest.mark.parametrize("size", [(1, 900), (900, 1), (1, 1)])
def test_a_preview_of_an_odd_shape(size):
    assert max(shown(raw_of(encode(noise(*size))), [Fault("x", "", box=(0, 0, 1, 1))]).size) <= 240
