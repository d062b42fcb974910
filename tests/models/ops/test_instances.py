"""Maps of single objects: drawn, cut out and put back."""

import hotcoco.mask
import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from ways import run

from conveyor.models.ops.instances import FIRST, crop_instances, instance_map, paste_masks


def runs(*masks):
    return np.array(
        [coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"] for mask in masks], object
    )


def rectangle(left, top, right, bottom, size=(6, 8)):
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


def test_the_smaller_is_in_front_whatever_its_place():
    small, large = rectangle(2, 1, 4, 3), rectangle(1, 0, 6, 5)
    expected = np.zeros((6, 8), int)
    expected[0:5, 1:6] = FIRST
    expected[1:3, 2:4] = FIRST + 1
    for order in ([0, 1], [1, 0]):
        counts = runs(*[[large, small][k] for k in order])
        found = instance_map(tf.constant(counts.tolist()), 6, 8).numpy()[..., 0]
        renamed = np.where(found >= FIRST, FIRST + np.array(order)[np.maximum(found - FIRST, 0)], found)
        np.testing.assert_array_equal(renamed, expected)


def test_objects_without_an_outline_and_images_without_objects():
    counts = tf.constant(["", runs(rectangle(0, 0, 2, 2))[0]])
    found = instance_map(counts, 6, 8).numpy()
    assert found.dtype == np.int32
    assert sorted(np.unique(found)) == [0, FIRST + 1]
    assert not instance_map(tf.zeros([0], tf.string), 6, 8).numpy().any()


def test_drawn_in_a_data_set():
    data = tf.data.Dataset.from_tensors(tf.constant([runs(rectangle(3, 2, 5, 6))[0]]))
    (found,) = data.map(lambda counts: instance_map(counts, 6, 8))
    np.testing.assert_array_equal(found[..., 0] == FIRST, rectangle(3, 2, 5, 6))


def test_cut_out_by_hand(way):
    """Columns 2 and 3 of rows 1 and 2 are object 0: of the region from (1, 0) to (5, 4) the middle."""
    instances = np.where(rectangle(2, 1, 4, 3), FIRST, 0).astype(np.int32)[np.newaxis, ..., np.newaxis]
    boxes = np.array([[[1, 0, 5, 4], [1, 0, 5, 4], [-2, 0, 2, 4], [6, 4, 10, 8]]], np.float32)
    owner = np.array([[FIRST, FIRST + 1, FIRST, FIRST]], np.int32)
    found = run(way, lambda *args: crop_instances(*args, 4), instances, boxes, owner)
    middle = np.pad(np.ones((2, 2), bool), 1)
    np.testing.assert_array_equal(found[0, 0], middle)
    assert not found[0, 1:].any()  # another object, and places beside the map


def test_regions_outside_of_the_map_do_not_repeat_its_border():
    instances = np.full((1, 6, 8, 1), FIRST, np.int32)
    region, owner = tf.constant([[[-4.0, 0.0, 4.0, 6.0]]]), tf.constant([[FIRST]])
    found = crop_instances(tf.constant(instances), region, owner, 4).numpy()[0, 0]
    np.testing.assert_array_equal(found, np.tile([False, False, True, True], (4, 1)))


def test_put_back_by_hand():
    """A mask of two columns, 0 and 1, in a box of four pixels: 0.5 is reached between their centres, at 2."""
    found = paste_masks(np.array([[[0.0, 1.0]]]), np.array([[1.0, 1.0, 5.0, 3.0]]), 4, 7)
    # pixel centres 1.5, 2.5, 3.5, 4.5 are at 0 (clamped), 0.25, 0.75 and 1 (clamped)
    expected = np.zeros((4, 7), bool)
    expected[1:3, 3:5] = True
    np.testing.assert_array_equal(found[0], expected)


def test_boxes_beside_the_image_or_without_area_leave_nothing():
    boxes = np.array([[-9, 0, -1, 4], [2, 2, 2, 2], [-1, -1, -1, -1], [3, 1, 90, 2]], float)
    found = paste_masks(np.ones((4, 3, 3)), boxes, 4, 7)
    assert found.sum((1, 2)).tolist() == [0, 0, 0, 4]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_what_is_cut_out_at_its_own_size_comes_back(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((9, 12)) < 0.5
    left, top = rng.integers(0, 4, 2)
    side = int(rng.integers(1, 6))
    box = np.array([left, top, left + side, top + side], float)
    counts = hotcoco.mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    drawn = instance_map(tf.constant([counts]), 9, 12)
    region = tf.constant(box[np.newaxis, np.newaxis], tf.float32)
    cut = crop_instances(drawn[tf.newaxis], region, tf.constant([[FIRST]]), side)
    (back,) = paste_masks(cut.numpy()[0].astype(float), box[np.newaxis], 9, 12)
    window = np.zeros_like(mask)
    window[top : top + side, left : left + side] = True
    np.testing.assert_array_equal(back, mask & window)
