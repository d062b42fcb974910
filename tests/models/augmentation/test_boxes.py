"""Boxes are judged by the pixels that they are around."""

import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.augmentation import boxes
from conveyor.models.augmentation.augmentation import Augmentation

SIZE = (60, 80)
MOVES = {
    "random_crop": {"padding": 12},
    "random_crop stretched": {"height": 40, "width": 50, "padding": 5},
    "random_flip": {},
    "random_perspective": {"factor": [1.0, 1.0], "scale": 0.5},
    "random_rotation": {"factor": 0.15},
    "random_scale": {"factor": [0.6, 1.5]},
    "random_object_crop": {"factor": [0.6, 0.9]},
    "random_shear": {"x_factor": 0.3, "y_factor": 0.3},
    "random_translation": {"height_factor": 0.3, "width_factor": 0.3},
    "random_zoom": {"height_factor": 0.4, "width_factor": 0.4},
}


def scenes(count=24, seed=0):
    """One box an image, filled with 255; its mask likewise of class 1."""
    random = np.random.default_rng(seed)
    low = random.integers([5, 5], [45, 30], (count, 2))
    high = low + random.integers(9, 28, (count, 2))
    images = np.zeros((count, *SIZE, 1), np.float32)
    for image, (x0, y0), (x1, y1) in zip(images, low, high, strict=True):
        image[y0:y1, x0:x1] = 255
    drawn = np.concatenate([low, high], 1).astype(np.float32)[:, np.newaxis]
    found = {"boxes": drawn, "labels": np.ones((count, 1), np.int32)}
    return {"images": images, "segmentation_masks": (images / 255).astype(np.uint8), "bounding_boxes": found}


def augment(name, arguments, batch, number=0):
    chain = Augmentation([{name.split()[0]: arguments}], 1)
    return tf.nest.map_structure(np.asarray, chain(batch, tf.constant(number, tf.int64)))


def around(pixels):
    """The box around what is bright, or None."""
    rows, columns = np.nonzero(pixels[..., 0] > 127)
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None


@pytest.mark.parametrize("name", MOVES)
def test_boxes_are_around_the_pixels(name):
    before = scenes()
    after = augment(name, MOVES[name], before)
    inside = after["bounding_boxes"]["labels"][:, 0] == 1
    moved = np.any(after["bounding_boxes"]["boxes"] != before["bounding_boxes"]["boxes"], axis=(1, 2))
    assert inside.sum() > 12
    assert moved[inside].mean() > 0.4
    for image, box in zip(after["images"][inside], after["bounding_boxes"]["boxes"][inside, 0], strict=True):
        np.testing.assert_allclose(
            box, around(image), atol=1.6
        )  # corners of slanted boxes are less than a pixel


@pytest.mark.parametrize("name", ["random_crop", "random_flip"])
def test_boxes_are_exact_where_pixels_move_to_pixels(name):
    after = augment(name, MOVES[name], scenes())
    for image, box, label in zip(after["images"], *after["bounding_boxes"].values(), strict=True):
        if label[0] == 1:
            np.testing.assert_allclose(box[0], around(image), atol=1e-3)


@pytest.mark.parametrize("name", MOVES)
def test_masks_go_with_the_pixels(name):
    after = augment(name, MOVES[name], scenes())
    masks = after["segmentation_masks"]
    assert masks.dtype == np.uint8
    assert set(np.unique(masks)) <= {0, 1, 255}
    judged = masks != 255
    agree = (masks == 1) == (after["images"] > 127)
    assert agree[judged].mean() > 0.99
    if name not in ("random_flip", "random_object_crop"):
        assert np.all(after["images"][~judged] <= 127)
        assert not judged.all()


def test_outside_of_reflected_masks_nothing_is_void():
    batch = scenes()
    del batch["bounding_boxes"]
    after = augment("random_translation", MOVES["random_translation"], batch)
    assert set(np.unique(after["segmentation_masks"])) == {0, 1}


def test_objects_that_leave_become_padding():
    batch = scenes()
    after = augment("random_translation", {"height_factor": 0.0, "width_factor": [1.0, 1.0]}, batch)
    assert np.all(after["bounding_boxes"]["labels"] == -1)
    assert np.all(after["bounding_boxes"]["boxes"] == -1)


@pytest.mark.parametrize("name", MOVES)
def test_padding_stays_padding(name):
    batch = scenes(4)
    batch["bounding_boxes"] = {
        "boxes": np.full((4, 3, 4), -1, np.float32),
        "labels": np.full((4, 3), -1, np.int32),
    }
    found = augment(name, MOVES[name], batch)["bounding_boxes"]
    assert np.all(found["boxes"] == -1)
    assert np.all(found["labels"] == -1)
    assert found["boxes"].shape == (4, 3, 4)


@pytest.mark.parametrize(
    ("name", "arguments", "count"),
    [
        ("rand_augment", {"factor": 0.2}, 1),
        ("cut_mix", {"probability": 0.5}, 2),
        ("random_crop", {"padding": 9}, 1),
        ("random_mosaic", {}, 4),
        ("random_object_crop", {}, 1),
    ],
)
def test_graphs_move_them_too(name, arguments, count):
    chain, batch = Augmentation([{name: arguments}], 1), scenes(6)
    dataset = tf.data.Dataset.from_tensor_slices(batch).batch(6)
    dataset = dataset.map(lambda batch: chain(batch, tf.constant(0, tf.int64)))
    assert dataset.element_spec["images"].shape[1:] == (*SIZE, 1)
    found = next(iter(dataset))
    expected = augment(name, arguments, batch)
    assert found["bounding_boxes"]["boxes"].shape == (6, count, 4)
    tf.nest.map_structure(lambda a, b: np.testing.assert_allclose(a, b, atol=0.01), found, expected)


def test_mosaics_show_four_images_with_their_boxes_and_masks():
    before = scenes()
    after = augment("random_mosaic", {"factor": [0.6, 1.0]}, before)
    found = after["bounding_boxes"]
    assert found["boxes"].shape == (24, 4, 4)
    masks = after["segmentation_masks"][..., 0]
    assert masks.dtype == np.uint8
    assert ((masks == 1) == (after["images"][..., 0] > 134))[masks != 255].mean() > 0.98
    assert 1.5 < (found["labels"] == 1).sum(1).mean() <= 4
    for image, boxes_, labels in zip(after["images"], *found.values(), strict=True):
        bright = np.zeros_like(image)
        for x0, y0, x1, y1 in boxes_[labels == 1].round().astype(int):
            bright[y0:y1, x0:x1] = 255
        # all that is bright is in a box or in a piece too small for one, and boxes are full
        assert np.abs(bright - np.where(image > 134, 255, 0)).mean() < 255 * 0.03


def test_crops_keep_objects_whose_centres_are_inside():
    batch = scenes()
    corner = np.array([[[0.0, 0, 4, 4]]] * 24, np.float32)  # another object, in the corner
    both = np.concatenate([batch["bounding_boxes"]["boxes"], corner], 1)
    batch["bounding_boxes"] = {"boxes": both, "labels": np.array([[1, 0]] * 24, np.int32)}
    after = augment("random_object_crop", {"factor": [0.4, 0.6]}, batch)
    kept = after["bounding_boxes"]["labels"] >= 0
    assert kept.any(1).all()  # each crop has an object
    assert 0 < kept.all(1).sum() < 24 or not kept.all(1).any()
    for image, box, there in zip(
        after["images"], after["bounding_boxes"]["boxes"][:, 0], kept[:, 0], strict=True
    ):
        if there:
            np.testing.assert_allclose(box, around(image), atol=1.6)


@pytest.mark.parametrize("name", ["random_mosaic", "random_object_crop"])
def test_number_decides(name):
    images = [augment(name, {}, scenes(4), number)["images"] for number in (3, 3, 4)]
    np.testing.assert_array_equal(images[0], images[1])
    assert np.any(images[0] != images[2])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("random_scale", {"factor": [1.5, 0.5]}),
        ("random_scale", {"factor": 2}),
        ("random_object_crop", {"factor": [0.5, 1.5]}),
        ("random_mosaic", {"middle": [0.0, 0.5]}),
    ],
)
def test_ranges_must_be_two_numbers_in_order(name, arguments):
    with pytest.raises(ValueError, match=f"{name}: expected two numbers"):
        augment(name, arguments, scenes(2))


def test_clip_by_hand():
    window = tf.constant([[[10.0, 10, 20, 20]]])
    found = {
        "boxes": tf.constant([[[8.0, 12, 16, 18], [0, 0, 9, 9], [0, 10, 11, 20], [12, 12, 12.5, 19]]]),
        "labels": tf.constant([[3, 2, 1, 0]]),
    }
    cut = boxes.clip(found, window)
    # of the second nothing is seen, of the third 1/11, the fourth is half a pixel wide
    np.testing.assert_array_equal(cut["labels"], [[3, -1, -1, -1]])
    np.testing.assert_array_equal(cut["boxes"][0, :2], [[10, 12, 16, 18], [-1, -1, -1, -1]])


def test_outside_by_hand():
    window = tf.constant([[[10.0, 10, 20, 20]]])
    found = {
        "boxes": tf.constant([[[10.0, 10, 20, 20], [10, 10, 21, 20], [5, 5, 10, 10], [0, 10, 20, 20]]]),
        "labels": tf.constant([[0, 1, 2, 3]]),
    }
    kept = boxes.outside(found, window)  # all of the first is covered, of the second all but 1/11
    np.testing.assert_array_equal(kept["labels"], [[-1, -1, 2, 3]])
    np.testing.assert_array_equal(kept["boxes"][0, 3], [0, 10, 20, 20])


def test_mirrored_objects_are_refused():
    with pytest.raises(ValueError, match="random_rotation: expected fill_mode=constant"):
        augment("random_rotation", {"factor": 0.1, "fill_mode": "reflect"}, scenes(2))


@pytest.mark.parametrize("name", ["random_elastic_transform", "aug_mix"])
def test_layers_that_no_box_can_follow(name):
    with pytest.raises(ValueError, match=f"{name}: expected"):
        augment(name, {}, scenes(2))
