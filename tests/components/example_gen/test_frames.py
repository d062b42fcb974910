"""Annotations turned with their picture, and run lengths: against Pillow's own turning and pycocotools."""

import io
import types

import hotcoco.mask
import numpy as np
import PIL.Image
import PIL.ImageOps
import pycocotools.mask as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_images import decode, encode, with_orientation

from conveyor.components.example_gen import frames
from conveyor.components.example_gen.frames import (
    area,
    decode_rle,
    encode_rle,
    is_sideways,
    run_lengths,
    turn_mask,
    turn_object,
)
from conveyor.components.example_gen.images import measure
from conveyor.components.example_gen.readers.raw import RawObject

WIDTH, HEIGHT = 40, 30  # of the file's pixels
SIDEWAYS = (5, 6, 7, 8)
BOX = (3, 5, 12, 9)


def image(orientation):
    return measure(with_orientation(np.zeros((HEIGHT, WIDTH), np.uint8), "PNG", orientation), 10_000)


def upright(pixels, orientation):
    """What Pillow makes of a picture with this orientation."""
    turned = PIL.ImageOps.exif_transpose(
        PIL.Image.open(io.BytesIO(with_orientation(pixels, "PNG", orientation)))
    )
    return np.asarray(turned)


def drawn(box):
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    x1, y1, x2, y2 = box
    pixels[y1:y2, x1:x2] = 1
    return pixels


def bounds(pixels):
    rows, columns = np.nonzero(pixels)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


boxes = st.tuples(
    st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(1, WIDTH), st.integers(1, HEIGHT)
).map(lambda b: (b[0], b[1], min(WIDTH, b[0] + b[2]), min(HEIGHT, b[1] + b[3])))


@given(st.sampled_from(SIDEWAYS), boxes)
@settings(max_examples=40)
def test_a_turned_box_is_where_its_pixels_are(orientation, box):
    x1, y1, x2, y2 = map(float, box)
    polygons = [[x1, y1, x2, y1, x2, y2, x1, y2]]
    shown, pixels = image(orientation), upright(drawn(box), orientation)
    found = turn_object(RawObject("cat", box, segmentation=polygons), shown)
    assert found.box == bounds(pixels)
    np.testing.assert_array_equal(
        decode_rle(run_lengths(found.segmentation, shown.width, shown.height)), pixels
    )


@pytest.mark.parametrize("orientation", SIDEWAYS)
@pytest.mark.parametrize("compressed", [True, False])
def test_turned_run_lengths(orientation, compressed):
    pixels = np.random.default_rng(orientation).integers(0, 2, (HEIGHT, WIDTH), np.uint8)
    rle = encode_rle(pixels) if compressed else {"size": [HEIGHT, WIDTH], "counts": counts_of(pixels)}
    found = turn_object(RawObject("cat", BOX, segmentation=rle), image(orientation))
    assert list(found.segmentation["size"]) == [WIDTH, HEIGHT]
    np.testing.assert_array_equal(decode_rle(found.segmentation), upright(pixels, orientation))


def counts_of(pixels):
    """COCO's run lengths by hand: down the columns, beginning with the number of zeros."""
    flat = pixels.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, len(flat)]).tolist()
    return runs if flat[0] == 0 else [0, *runs]


@pytest.mark.parametrize("orientation", SIDEWAYS)
def test_a_turned_mask(orientation):
    pixels = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    found = decode(turn_mask(encode(pixels), image(orientation)))
    np.testing.assert_array_equal(found, upright(pixels, orientation))


def test_a_polygon_by_hand():
    # Orientation 6: the first row is the right side, the first column the top: x' = 30 - y, y' = x.
    found = turn_object(RawObject("cat", BOX, segmentation=[[3, 5, 12, 5, 12, 9]]), image(6))
    assert found.segmentation == [[25, 3, 25, 12, 21, 12]]
    assert found.box == (21, 3, 25, 12)


@pytest.mark.parametrize("box", [(12, 5, 3, 9), (3, 5, 3, 9), (float("nan"), 5, 12, 9)])
def test_a_box_that_is_none_stays_one(box):
    assert turn_object(RawObject("cat", box), image(6)).box is box


def test_run_lengths_of_another_size_are_left_as_they_are():
    rle = {"size": [7, 7], "counts": [49]}
    assert turn_object(RawObject("cat", BOX, segmentation=rle), image(6)).segmentation == rle


# === which frame ===


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_tells_the_frame(orientation):
    shown = image(orientation)
    on_side = orientation in SIDEWAYS
    assert (shown.width, shown.height) == ((HEIGHT, WIDTH) if on_side else (WIDTH, HEIGHT))
    assert not is_sideways(None, shown)
    assert not is_sideways((shown.width, shown.height), shown)
    if on_side:
        assert is_sideways((WIDTH, HEIGHT), shown)
    else:
        with pytest.raises(ValueError, match="annotated as 30x40, the image has 40x30"):
            is_sideways((HEIGHT, WIDTH), shown)
    with pytest.raises(ValueError, match="annotated as 40x31"):
        is_sideways((WIDTH, HEIGHT + 1), shown)


def test_a_square_is_taken_to_be_upright():
    assert not is_sideways((8, 8), types.SimpleNamespace(width=8, height=8, orientation=6))


# === run lengths ===

points = st.tuples(st.integers(-100, 500), st.integers(-100, 500)).map(lambda p: (p[0] / 10, p[1] / 10))
polygons = st.lists(points, min_size=3, max_size=8).map(lambda found: [side for p in found for side in p])


@given(st.lists(polygons, min_size=1, max_size=3))
def test_polygons_as_pycocotools_draws_them(outline):
    """Within and beyond the image, turned over themselves, and several to an object."""
    expected = oracle.merge(oracle.frPyObjects(outline, HEIGHT, WIDTH))
    found = run_lengths(outline, WIDTH, HEIGHT)
    assert list(found["size"]) == [HEIGHT, WIDTH]
    assert found["counts"] == expected["counts"]
    assert area(found) == oracle.area(expected)
    np.testing.assert_array_equal(decode_rle(found), oracle.decode(expected))


@given(st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
def test_run_lengths_in_each_form(height, width, dice):
    pixels = np.array([[dice.random() < 0.5 for _ in range(width)] for _ in range(height)], np.uint8)
    expected = oracle.encode(np.asfortranarray(pixels))
    forms = [
        {"size": [height, width], "counts": counts_of(pixels)},
        {"size": [height, width], "counts": expected["counts"].decode()},
        {"size": [height, width], "counts": expected["counts"]},
    ]
    for form in forms:
        found = run_lengths(form, width, height)
        assert found["counts"] == expected["counts"]
        assert isinstance(found["counts"], bytes)
        assert area(found) == pixels.sum()
        np.testing.assert_array_equal(decode_rle(form), pixels)
    assert encode_rle(pixels)["counts"] == expected["counts"]


@pytest.mark.parametrize("counts", ["13", [1, 3], b"13"])
@pytest.mark.parametrize("size", [[3, 2], [2, 3], [10**9, 10**9], [2**31, 1], [-2, -2]])
def test_sizes_that_do_not_fit_reach_no_decoder(size, counts, monkeypatch):
    """A decoder believes a size, and takes the memory for it or ends the process."""
    monkeypatch.setattr(frames, "hotcoco", None)
    with pytest.raises(ValueError, match=f"run lengths for {size[1]}x{size[0]}, the image has 2x2"):
        run_lengths({"size": size, "counts": counts}, 2, 2)
    rle = RawObject("cat", BOX, segmentation={"size": size, "counts": counts})
    assert turn_object(rle, image(6)).segmentation == rle.segmentation


def test_points_that_are_far_away_cost_nothing(monkeypatch):
    seen = []
    real = hotcoco.mask.fr_py_objects
    monkeypatch.setattr(hotcoco.mask, "fr_py_objects", lambda o, *size: (seen.extend(o), real(o, *size))[1])
    found = run_lengths([[-1e300, 10, 1e300, 10, 1e300, 1e300, -1e300, 1e300]], WIDTH, HEIGHT)
    assert all(abs(side) <= 3 * WIDTH for polygon in seen for side in polygon)
    np.testing.assert_array_equal(decode_rle(found), drawn((0, 10, WIDTH, HEIGHT)))
