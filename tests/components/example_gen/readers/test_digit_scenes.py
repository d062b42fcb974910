"""Digits made into scenes, and distorted as in the paper on spatial transformers."""

import collections
import functools
import io
import pickle

import numpy as np
import PIL.Image
import pycocotools.mask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.components.example_gen.annotations import check_mask, check_objects
from conveyor.components.example_gen.readers import distortions, scenes
from conveyor.components.example_gen.readers.digit_scenes import DigitScenesReader
from conveyor.components.example_gen.readers.distortions import (
    FRAME,
    affine,
    draw,
    elastic,
    load_frames,
    projective,
    warp,
)
from conveyor.components.example_gen.readers.reader import open_source
from conveyor.components.example_gen.readers.scenes import draw_scene, run_lengths, tight_box
from conveyor.components.example_gen.settings import PolicySettings
from conveyor.pipeline.errors import UserError

DISTORTIONS = ("R", "RTS", "P", "E")


@functools.cache
def read(argument=""):
    """Returns all examples, read as workers do."""
    reader = pickle.loads(pickle.dumps(open_source(f"digit_scenes:{argument}")))  # noqa: S301
    return [example for chunk in reader.chunks() for example in reader.read(chunk)]


def decode(data):
    return np.asarray(PIL.Image.open(io.BytesIO(data)))


def grid(side=FRAME):
    return np.indices((side, side)).astype(float)


# === scenes


def outlines(example):
    """Returns the pixels of each object, as COCO's own code reads them."""
    codes = [found.segmentation for found in example.objects]
    packed = [pycocotools.mask.frPyObjects(code, *code["size"]) for code in codes]
    return [pycocotools.mask.decode(code).astype(bool) for code in packed]


def test_boxes_are_the_tight_bounds_of_outlines():
    for example in read():
        for found, seen in zip(example.objects, outlines(example), strict=True):
            rows, columns = np.nonzero(seen)
            expected = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert found.box == pytest.approx(expected, abs=0)


def test_masks_are_the_outlines_with_the_classes_of_their_objects():
    names = ["background", *DigitScenesReader().classes()]
    for example in read():
        expected = np.zeros((96, 96), np.uint8)
        for found, seen in zip(example.objects, outlines(example), strict=True):
            assert not expected[seen].any(), "no pixel is of two digits"
            expected[seen] = names.index(found.label)
        assert np.array_equal(decode(example.mask), expected)


def test_scenes_have_nothing_that_ingestion_would_set_aside():
    names = DigitScenesReader().classes()
    for example in read():
        assert decode(example.data).shape == (96, 96, 3)
        assert check_objects(example.objects, names, 96, 96, PolicySettings()) == (list(example.objects), [])
        assert sum(check_mask(example.mask, 1 + len(names), 96, 96)) == 96 * 96
        assert 1 <= len(example.objects) <= 5


def test_digits_stand_out_from_the_background():
    for example in read()[::10]:
        luma = decode(example.data) @ [0.299, 0.587, 0.114]
        background = decode(example.mask) == 0
        for seen in outlines(example):
            assert abs(luma[seen].mean() - luma[background].mean()) > 25


def test_digits_hide_a_quarter_of_those_behind_them_at_most(monkeypatch):
    # Squares for digits, all of one size and upright: what of their area is missing is hidden.
    monkeypatch.setattr(scenes, "_TILT", 0)
    monkeypatch.setattr(scenes, "_SIZES", (0.3, 0.3))
    frames = np.pad(np.ones((1, 20, 20)), ((0, 0), (4, 4), (4, 4)))
    drawn = [draw_scene(np.random.default_rng(seed), 96, frames, np.array([8])) for seed in range(100)]
    areas = [np.bincount(scene.owner.ravel())[1:] for scene in drawn]
    whole = areas[0].max()
    assert whole == pytest.approx((0.3 * 96) ** 2, rel=0.1)
    assert all(found[-1] == whole for found in areas), "nothing is in front of the last one"
    behind = np.concatenate([found[:-1] for found in areas])
    assert behind.max() == whole
    assert 0.75 * whole <= behind.min() < 0.8 * whole


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_run_lengths_and_box_of_any_mask(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.4
    mask[height // 2, width // 2] = True
    code = pycocotools.mask.frPyObjects(run_lengths(mask), height, width)
    assert np.array_equal(pycocotools.mask.decode(code), mask)
    x, y, w, h = pycocotools.mask.toBbox(code)
    assert tight_box(mask) == (x, y, x + w, y + h)


# === splits, classes, determinism


@pytest.mark.parametrize("argument", ["", *DISTORTIONS])
def test_every_class_is_in_every_split(argument):
    argument = argument and f"{argument},count=1000"
    reader = DigitScenesReader(argument)
    found = collections.defaultdict(collections.Counter)
    for example in read(argument):
        found[example.split].update([example.label] if argument else [o.label for o in example.objects])
    assert found.keys() == reader.splits() == {"train", "validation", "test"}
    digits = [str(digit) for digit in range(10)]
    assert all(counts.keys() == set(digits) for counts in found.values())
    assert reader.classes() == digits
    assert reader.annotations == ({"label"} if argument else {"objects", "mask"})
    assert len({example.key for example in read(argument)}) == len(read(argument))


def test_no_scan_is_in_two_splits_and_labels_are_those_of_the_scans(monkeypatch):
    monkeypatch.setattr(distortions, "draw", lambda _kind, _rng: affine())
    frames, labels = load_frames()
    known = {np.rint(frame * 255).astype(np.uint8).tobytes(): scan for scan, frame in enumerate(frames)}
    reader = DigitScenesReader("R,count=4000")
    used = collections.defaultdict(collections.Counter)
    for example in reader.read(range(4000)):
        scan = known[decode(example.data).tobytes()]
        assert example.label == str(labels[scan])
        used[example.split][scan] += 1
    assert len({scan for counts in used.values() for scan in counts}) == sum(map(len, used.values())) == 1797
    for counts in used.values():  # every scan as often as any other
        assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("variant", ["scenes", *DISTORTIONS])
def test_an_image_depends_on_its_number_alone(variant):
    few, many = DigitScenesReader(f"{variant},count=20"), DigitScenesReader(f"{variant},count=40")
    backwards = [next(few.read(range(index, index + 1))) for index in reversed(range(20))]
    assert backwards[::-1] == list(many.read(range(40)))[:20]
    assert len({example.data for example in backwards}) == 20


def test_fingerprint_tells_what_would_be_read(tmp_path):
    arguments = ["", "scenes", "scenes,size=96,count=600", "R", "RTS", "scenes,size=64", "scenes,count=601"]
    prints = [DigitScenesReader(argument).fingerprint(tmp_path) for argument in arguments]
    assert len(set(prints)) == 5
    assert len(set(prints[:3])) == 1


def test_options():
    examples = read("scenes, size=128, count=10")
    assert [decode(example.data).shape for example in examples] == [(128, 128, 3)] * 10
    assert [example.split for example in examples] == ["train"] * 7 + ["validation"] + ["test"] * 2
    assert {decode(example.data).shape for example in read("RTS,count=10")} == {(42, 42)}
    assert {decode(example.data).shape for example in read("P,count=10")} == {(28, 28)}


@pytest.mark.parametrize(
    ("argument", "what", "told"),
    [
        ("rts", "no variant 'rts'", "one of"),
        ("scene", "no variant 'scene'", "did you mean 'scenes'?"),
        ("count=100", "no variant 'count=100'", ""),
        ("scenes,coutn=100", "does not know this option", "did you mean 'count'?"),
        ("R,size=32", "does not know this option", "count"),
        ("scenes,count=-5", "does not know this option", ""),
        ("scenes,", "does not know this option", ""),
        ("scenes,count=9", "out of its range", ""),
        ("scenes,count=999999999", "out of its range", ""),
        ("scenes,size=1025", "out of its range", ""),
    ],
)
def test_arguments_that_are_none(argument, what, told):
    with pytest.raises(UserError, match=what) as caught:
        DigitScenesReader(argument)
    assert told in caught.value.fix


# === distortions


def test_frames_hold_the_scans():
    frames, labels = load_frames()
    assert (frames.shape, frames.dtype, labels.shape) == ((1797, 28, 28), np.float32, (1797,))
    assert (frames.min(), frames.max()) == (0, 1)
    border = np.ones((28, 28), bool)
    border[4:-4, 4:-4] = False
    assert not frames[:, border].any()


def test_distortions_by_nothing_give_the_frame_back():
    frame = load_frames()[0][7]
    corners = np.array([(0, 0), (0, 27), (27, 27), (27, 0)], float)
    for where in (affine(), projective(corners), elastic(1.0, np.zeros((16, 2)))):
        np.testing.assert_allclose(where, grid(), atol=1e-9)
        np.testing.assert_allclose(warp(frame, where), frame, atol=1e-6)
    np.testing.assert_allclose(warp(frame, affine(side=42))[7:-7, 7:-7], frame, atol=1e-6)


def test_affine_turns_counter_clockwise_moves_and_scales():
    frame = load_frames()[0][2]
    np.testing.assert_allclose(warp(frame, affine(90)), np.rot90(frame), atol=1e-6)
    np.testing.assert_allclose(warp(frame, affine(shift=(3, -2))), np.roll(frame, (3, -2), (0, 1)), atol=1e-6)
    large = warp(frame, affine(scale=2.0, side=56))
    assert large.sum() == pytest.approx(4 * frame.sum(), rel=0.02)


def test_projective_moves_the_corners():
    corners = np.array([(2, 5), (1, 20), (25, 26), (20, 3)])
    where = projective(corners)
    found = [where[:, row, column] for row, column in corners]
    np.testing.assert_allclose(found, [(0, 0), (0, 27), (27, 27), (27, 0)], atol=1e-9)


def test_projective_keeps_straight_lines_straight():
    where = projective(np.array([(2.0, 5), (1, 20), (25, 26), (20, 3)]))
    for line in (where[:, 10], where[:, :, 13], where[:, np.arange(28), np.arange(28)]):
        assert np.linalg.matrix_rank(line - line.mean(axis=1, keepdims=True), tol=1e-6) == 1


def test_elastic_bends_by_what_its_control_points_say():
    moves = np.random.default_rng(0).normal(0, 1.5, (16, 2))
    where = elastic(1.0, moves)
    # The control points are 9 pixels apart.
    np.testing.assert_allclose((where - grid())[:, ::9, ::9].reshape(2, 16).T, moves, atol=1e-9)


def test_elastic_of_an_affine_move_is_affine():
    points = np.stack(np.meshgrid(range(0, 28, 9), range(0, 28, 9), indexing="ij"), -1).reshape(16, 2)
    matrix, offset = np.array([[0.1, -0.2], [0.05, 0.1]]), np.array([1.0, -2.0])
    expected = grid() + np.einsum("ij,jhw->ihw", matrix, grid()) + offset[:, None, None]
    np.testing.assert_allclose(elastic(1.0, points @ matrix.T + offset), expected, atol=1e-8)


def drawn(kind, count=400):
    return [draw(kind, np.random.default_rng([9, index])) for index in range(count)]


def angle_and_scale(where):
    """Returns the degrees and the scale of an affine map, by how a step to the right shows."""
    down, right = where[:, 0, 1] - where[:, 0, 0]
    return np.rad2deg(np.arctan2(down, right)), 1 / np.hypot(down, right)


def test_rotations_are_uniform_in_their_range():
    angles, scales = zip(*map(angle_and_scale, drawn("R")), strict=True)
    np.testing.assert_allclose(scales, 1)
    assert -90 <= min(angles) < -85
    assert 85 < max(angles) <= 90
    counts, _ = np.histogram(angles, bins=4, range=(-90, 90))
    assert counts.min() > 70  # of 400, that is 100 expected


def test_rts_is_in_its_range_and_loses_no_ink():
    frame = load_frames()[0][3]
    maps = drawn("RTS")
    angles, scales = zip(*map(angle_and_scale, maps), strict=True)
    assert -45 <= min(angles) < -40
    assert 40 < max(angles) <= 45
    assert 0.7 <= min(scales) < 0.73
    assert 1.17 < max(scales) <= 1.2
    for where, scale in zip(maps, scales, strict=True):
        picture = warp(frame, where)
        assert picture.shape == (42, 42)
        assert picture.sum() == pytest.approx(scale**2 * frame.sum(), rel=0.05)
    middles = [np.argwhere(warp(frame, where) > 0.5).mean(axis=0) for where in maps]
    assert np.ptp(middles, axis=0).min() > 15, "digits are all over the image"


def test_projections_move_corners_by_5_pixels_about_a_scaled_frame():
    corners = np.array([corners_of(where) for where in drawn("P")])
    spread = corners - corners.mean(axis=0)
    # A frame scaled by 0.75 to 1 spreads its corners by 1 more; folded ones are drawn again, which trims.
    assert 4 < spread.std() < 5.5
    middle = np.abs(corners.mean(axis=0) - 13.5)
    assert middle.min() > 10
    assert middle.max() < 13.5


def corners_of(where):
    """Returns the pixels at which a projective map shows the frame's corners: fits it, then inverts it."""
    rows, columns = (part.ravel()[::7] for part in grid())
    y, x = (part.ravel()[::7] for part in where)
    one, zero = np.ones_like(rows), np.zeros_like(rows)
    top = np.stack([rows, columns, one, zero, zero, zero, -rows * y, -columns * y, -y], axis=1)
    bottom = np.stack([zero, zero, zero, rows, columns, one, -rows * x, -columns * x, -x], axis=1)
    homography = np.linalg.svd(np.concatenate([top, bottom]), full_matrices=False)[2][-1].reshape(3, 3)
    corners = np.array([(0, 0, 1), (0, 27, 1), (27, 27, 1), (27, 0, 1)]).T
    row, column, depth = np.linalg.solve(homography, corners)
    return np.stack([row / depth, column / depth], axis=1)


def test_bends_are_of_their_size():
    frames = drawn("E")
    scales = [1 / np.polyfit(np.arange(28), where[0].mean(axis=1), 1)[0] for where in frames]
    assert 0.7 < np.quantile(scales, 0.05) < 0.8
    assert 0.95 < np.quantile(scales, 0.95) < 1.1
    # What is left beside the best affine map, at the control points: 16 - 3 degrees of freedom.
    left = []
    for where in frames:
        points = np.stack([*grid()[:, ::9, ::9].reshape(2, 16), np.ones(16)], axis=1)
        values = where[:, ::9, ::9].reshape(2, 16).T
        residual = values - points @ np.linalg.lstsq(points, values, rcond=None)[0]
        left.append((residual**2).sum() / (2 * 13))
    assert np.sqrt(np.mean(left)) == pytest.approx(1.5, rel=0.03)
