"""Windows around something: one at a time, of images that are read; by batches, of kept ones."""

import numpy as np
import pytest
import tensorflow as tf

from conveyor.components.trainer.flat import Flat
from conveyor.components.trainer.windows import Windows

SIDE = 4  # of windows of 20x20 images
AROUND = {"height": SIDE, "width": SIDE, "stride": 1, "fill": [0, 0]}


def located(height, width):
    """Returns an image whose pixels tell where they are."""
    return {"images": tf.constant(np.moveaxis(np.indices((height, width)), 0, -1).astype(np.uint8))}


def read(foreground, annotations, count):
    windows = Windows(AROUND, foreground)
    example = windows.looked_at({**located(20, 20), **annotations})
    return [windows.cut(example, tf.constant([seed, 7]))["images"].numpy() for seed in range(count)]


def kept(foreground, annotations, count):
    """Returns windows of the second of two examples; the first is wider."""
    windows = Windows(AROUND, foreground)
    other = {**located(20, 23), **annotations}
    if "segmentation_masks" in other:
        other["segmentation_masks"] = tf.pad(other["segmentation_masks"], [[0, 0], [0, 3], [0, 0]])
    examples = [windows.looked_at(one) for one in (other, {**located(20, 20), **annotations})]
    spec = tf.nest.map_structure(_of_any_length, examples[1])
    flat = Flat(tf.data.Dataset.from_generator(lambda: examples, output_signature=spec), 2, windows)
    return flat.cut(tf.ones(count, tf.int64), tf.constant([3, 7]))["images"].numpy()


def _of_any_length(one):
    last = one.shape[1:][-1:]  # of vectors none
    return tf.TensorSpec([None] * (one.shape.rank - len(last)) + list(last), one.dtype)


@pytest.fixture(params=[read, kept])
def corners_of(request):
    """What returns the corners of random windows of a 20x20 image, in order."""
    return lambda *arguments: [tuple(image[0, 0].tolist()) for image in request.param(*arguments)]


def mask_of(**pixels):
    """Returns a mask with classes at (row, column); a part of the rest is void."""
    mask = np.zeros((20, 20, 1), np.uint8)
    mask[15:] = 255
    for name, (rows, columns) in pixels.items():
        mask[rows, columns] = int(name.removeprefix("class_"))
    return {"segmentation_masks": tf.constant(mask)}


def test_windows_are_around_pixels_of_each_class_alike(corners_of):
    """One pixel of a class counts as much as 36 of another: about 100 windows of 200 (7 to a deviation)."""
    masks = mask_of(class_1=(10, 10), class_2=(slice(2, 8), slice(12, 18)))
    found = corners_of(1.0, masks, 200)
    centres = {(row + SIDE // 2, column + SIDE // 2) for row, column in found}
    block = {(row, column) for row in range(2, 8) for column in range(12, 18)}
    assert centres <= block | {(10, 10)}
    assert len(centres & block) > 25
    assert 70 < found.count((8, 8)) < 130


def test_the_other_windows_are_where_they_were(corners_of):
    """Of 300 windows a share of 0.3 is 90 (8 to a deviation)."""
    masks = mask_of(class_3=(10, 10))
    anywhere, some = corners_of(0.0, masks, 300), corners_of(0.3, masks, 300)
    moved = [one for one, before in zip(some, anywhere, strict=True) if one != before]
    assert set(moved) == {(8, 8)}
    assert 60 < len(moved) < 120


def test_windows_are_from_anywhere_where_there_is_nothing(corners_of):
    nothing = {"boxes": -tf.ones([2, 4]), "labels": tf.constant([-1, -1])}
    for annotations in (mask_of(), {"bounding_boxes": nothing}, {**mask_of(), "bounding_boxes": nothing}):
        assert corners_of(1.0, annotations, 30) == corners_of(0.0, annotations, 30)


def test_windows_stay_within_the_image(corners_of):
    assert set(corners_of(1.0, mask_of(class_1=(0, 19)), 5)) == {(0, 20 - SIDE)}


def test_windows_are_around_centres_of_boxes(corners_of):
    """The box from x 2 to 6 and y 11 to 16 has its centre at row 13.5 and column 4: from row 11, column 2."""
    boxes = {"boxes": tf.constant([[-1.0] * 4, [2.0, 11.0, 6.0, 16.0]]), "labels": tf.constant([-1, 5])}
    assert set(corners_of(1.0, {"bounding_boxes": boxes}, 5)) == {(11, 2)}
    instances = mask_of(class_9=(3, 3))  # whose values are no classes
    assert set(corners_of(1.0, {"bounding_boxes": boxes, **instances}, 5)) == {(11, 2)}
