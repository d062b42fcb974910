import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.augmentation.augmentation import Augmentation
from conveyor.models.augmentation.choice import choose, same
from conveyor.models.augmentation.layers import make_layer
from conveyor.models.augmentation.seeds import Seeds

PIXELS = np.random.default_rng(0).integers(0, 256, (200, 8, 9, 3)).astype(np.uint8)
SEED = tf.constant([4, 5])


def add(value):
    return lambda batch, seeds: {**batch, "images": batch["images"] + value}


def test_each_image_gets_what_is_chosen_for_it():
    chosen = np.array([2, 0, 1, 0, 2, 2], np.int32)
    batch = {"images": np.zeros((6, 1, 1, 1), np.float32), "labels": np.eye(6, dtype=np.float32)}
    found = choose(batch, tf.constant(chosen), [same, add(10), add(20), add(30)], Seeds(SEED))
    np.testing.assert_array_equal(found["images"][:, 0, 0, 0], chosen * 10)
    np.testing.assert_array_equal(found["labels"], np.eye(6))


@pytest.mark.parametrize(("probability", "low", "high"), [(0, 0, 0), (0.3, 40, 80), (1, 200, 200)])
def test_probability_is_the_share_of_images(probability, low, high):
    step = make_layer("random_invert", {"factor": [1.0, 1.0], "probability": probability})
    found = step({"images": PIXELS}, Seeds(SEED))["images"].numpy()
    changed = np.any(found != PIXELS, axis=(1, 2, 3))
    assert low <= changed.sum() <= high
    np.testing.assert_array_equal(found[changed], 255 - PIXELS[changed].astype(np.float32))


def test_boxes_where_only_some_are_mixed():
    boxes = np.tile(np.array([[[1, 1, 6, 7]]], np.float32), (200, 1, 1))
    batch = {"images": PIXELS, "bounding_boxes": {"boxes": boxes, "labels": np.zeros((200, 1), np.int32)}}
    chain = Augmentation([{"cut_mix": {"probability": 0.5}}], 0)
    found = chain(batch, tf.constant(0, tf.int64))
    labels = found["bounding_boxes"]["labels"].numpy()
    assert labels.shape == (200, 2)
    same_image = np.all(found["images"] == PIXELS, axis=(1, 2, 3))
    assert 80 < same_image.sum() < 150
    assert np.all(labels[same_image, 0] == 0)


def test_rand_augment_chooses_for_each_image():
    """Of many equal images, no single layer makes more than its share."""
    grey = np.full((300, 8, 8, 3), 100, np.uint8)  # colour layers but brightness and the like leave it
    grey[:, :4] = 200
    found = make_layer("rand_augment", {"num_ops": 1})({"images": grey}, Seeds(SEED))["images"].numpy()
    assert len({image.tobytes() for image in found}) > 100
    unchanged = np.all(found == grey, axis=(1, 2, 3)).mean()
    assert unchanged < 0.4


def test_rand_augment_moves_boxes_with_pixels():
    images = np.zeros((60, 40, 40, 1), np.float32)
    images[:, 10:30, 12:28] = 255
    boxes = np.tile(np.array([[[12, 10, 28, 30]]], np.float32), (60, 1, 1))
    masks = (images / 255).astype(np.uint8)
    batch = {"images": images, "segmentation_masks": masks}
    batch["bounding_boxes"] = {"boxes": boxes, "labels": np.zeros((60, 1), np.int32)}
    found = make_layer("rand_augment", {"factor": 0.2})(batch, Seeds(SEED))
    moved = 0
    for mask, box, label in zip(
        found["segmentation_masks"].numpy()[..., 0], *found["bounding_boxes"].values(), strict=True
    ):
        if label[0] == 0 and np.any(mask == 1):
            rows, columns = np.nonzero(mask == 1)
            around = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            # the box of a turned box is larger than what is in it
            assert np.all(box[0, :2] <= around[:2] + 1.5)
            assert np.all(box[0, 2:] >= around[2:] - 1.5)
            moved += np.any(np.abs(box[0] - boxes[0, 0]) > 1)
    assert moved > 10


def test_aug_mix_is_a_mixture():
    found = make_layer("aug_mix", {"factor": 0.0})({"images": PIXELS[:20]}, Seeds(SEED))["images"]
    assert found.shape == (20, 8, 9, 3)
    nothing = make_layer("aug_mix", {"chain_depth": 0})({"images": PIXELS[:20]}, Seeds(SEED))["images"]
    np.testing.assert_allclose(nothing, PIXELS[:20], atol=1e-3)  # shares sum to 1
