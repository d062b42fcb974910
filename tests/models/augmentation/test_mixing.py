import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.augmentation.layers import make_layer
from conveyor.models.augmentation.seeds import Seeds
from conveyor.models.ops.instances import FIRST

COUNT = 40
# Image k is all k, so that its pixels say which image they are from.
FROM = np.arange(COUNT, dtype=np.float32)[:, None, None, None] * np.ones((1, 20, 30, 1), np.float32)
WHOLE = np.tile(np.array([[[0, 0, 30, 20]]], np.float32), (COUNT, 1, 1))


def mix(name, arguments=(), **more):
    batch = {"images": FROM, "labels": np.eye(COUNT, dtype=np.float32), **more}
    return make_layer(name, dict(arguments))(batch, Seeds(tf.constant([1, 2])))


def found(boxes):
    return {"boxes": boxes, "labels": np.arange(COUNT, dtype=np.int32)[:, None]}


@pytest.mark.parametrize("name", ["mix_up", "cut_mix"])
def test_labels_are_of_the_share_of_the_pixels(name):
    mixed = mix(name, {"alpha": 1.0} if name == "mix_up" else {})
    mean = np.mean(mixed["images"], axis=(1, 2, 3))
    np.testing.assert_allclose(np.asarray(mixed["labels"]) @ np.arange(COUNT), mean, atol=1e-3)
    np.testing.assert_allclose(np.sum(mixed["labels"], axis=1), 1, atol=1e-5)
    assert np.mean(np.count_nonzero(mixed["labels"], axis=1) == 2) > 0.7


def test_cut_masks_go_with_the_pixels():
    colours = np.repeat(FROM, 3, axis=3)
    mixed = mix("cut_mix", images=colours, segmentation_masks=FROM.astype(np.uint8))
    np.testing.assert_array_equal(mixed["images"][..., :1], mixed["segmentation_masks"])
    assert mixed["segmentation_masks"].dtype == tf.uint8


@pytest.mark.parametrize("name", ["cut_mix", "random_mosaic"])
def test_pixels_of_single_objects_say_which_box_is_theirs(name):
    """Every image has one object, all over it, whose class is the image's number, as its pixels are."""
    maps = np.full(FROM.shape, FIRST, np.int32)
    batch = {"images": FROM, "segmentation_masks": maps, "bounding_boxes": found(WHOLE)}
    mixed = make_layer(name, {})(batch, Seeds(tf.constant([1, 2])))
    labels = mixed["bounding_boxes"]["labels"].numpy()
    rows = mixed["segmentation_masks"].numpy() - FIRST
    image, *_ = shown = np.nonzero(rows >= 0)
    told = labels[image, rows[shown]]
    assert len(np.unique(rows[shown])) == {"cut_mix": 2, "random_mosaic": 4}[name]
    there = told >= 0  # of some too little is left
    assert there.mean() > 0.9
    inside = there & (mixed["images"].numpy()[shown] % 1 == 0)  # not blended at an edge
    assert inside.sum() > 0.8 * len(told)
    np.testing.assert_array_equal(told[inside], mixed["images"].numpy()[shown][inside])


def test_cut_boxes_go_with_the_patch():
    mixed = mix("cut_mix", bounding_boxes=found(WHOLE))
    boxes, labels = (mixed["bounding_boxes"][key].numpy() for key in ("boxes", "labels"))
    assert labels.shape == (COUNT, 2)
    patches = 0
    for own, image in enumerate(mixed["images"].numpy()[..., 0]):
        rows, columns = np.nonzero(image != own)
        share = len(rows) / image.size
        assert labels[own, 0] == (own if share <= 0.9 else -1)
        if share >= 0.1:  # a tenth of the other's box
            patches += 1
            assert labels[own, 1] == image[rows[0], columns[0]]
            around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_array_equal(boxes[own, 1], around)
        elif len(rows):
            assert labels[own, 1] == -1
    assert patches > 10


def test_blended_boxes_are_those_of_both():
    mixed = mix("mix_up", {"alpha": 0.4}, bounding_boxes=found(WHOLE))
    shares = mixed["labels"].numpy()
    for own, labels in enumerate(mixed["bounding_boxes"]["labels"].numpy()):
        seen = {k for k in np.nonzero(shares[own])[0] if shares[own, k] >= 0.1}
        assert set(labels) - {-1} == seen
    assert mixed["bounding_boxes"]["boxes"].shape == (COUNT, 2, 4)


def test_masks_cannot_be_blended():
    with pytest.raises(ValueError, match=r"masks.*cut_mix"):
        mix("mix_up", segmentation_masks=FROM.astype(np.uint8))
