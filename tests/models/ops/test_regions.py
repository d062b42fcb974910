import numpy as np
import pytest
import tensorflow as tf
from ways import random_boxes, run

from conveyor.models.ops.regions import region_levels, roi_align, roi_pool

STRIDES = (4, 8)


def maps(dtype=tf.float32):
    shapes = [(2, 20, 26, 3), (2, 10, 13, 3)]
    return [tf.cast(tf.random.stateless_normal(s, [0, i]), dtype) for i, s in enumerate(shapes)]


def regions():
    """Some lie partly or wholly outside the image of 80 x 104."""
    boxes = random_boxes(0, (2, 6)) - 10
    boxes[0, 0] = [-90, -90, -60, -60]
    boxes[1, 1] = [10, 10, 10.5, 10.5]
    boxes[1, 2] = [-20, -20, 200, 200]
    return boxes, np.random.default_rng(0).integers(0, 2, (2, 6)).astype(np.int32)


def sample(image, y, x):
    """Bilinear; beyond the border its nearest pixel, beyond that by more than one nothing."""
    height, width = image.shape[:2]
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0 * image[0, 0]
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = image[top, left] * (left + 1 - x) + image[top, right] * (x - left)
    lower = image[bottom, left] * (left + 1 - x) + image[bottom, right] * (x - left)
    return upper * (top + 1 - y) + lower * (y - top)


def align_by_loops(image, box, size, ratio):
    left, top, right, bottom = box
    found = np.zeros((*size, image.shape[-1]))
    for row, column in np.ndindex(*size):
        for i, j in np.ndindex(ratio, ratio):
            y = top + (bottom - top) * (row + (i + 0.5) / ratio) / size[0] - 0.5
            x = left + (right - left) * (column + (j + 0.5) / ratio) / size[1] - 0.5
            found[row, column] += sample(image, y, x) / ratio**2
    return found


def pool_by_loops(image, box, size):
    sides = []
    for low, high, length, bins in zip(box[1::-1], box[:1:-1], image.shape, size, strict=False):
        start = min(max(int(np.floor(low + 0.5)), 0), length - 1)
        end = min(max(int(np.floor(high + 0.5)), start + 1), length)
        step = (end - start) / bins
        sides.append(
            [(start + int(np.floor(k * step)), start + int(np.ceil((k + 1) * step))) for k in range(bins)]
        )
    return np.array([[image[a:b, c:d].max((0, 1)) for c, d in sides[1]] for a, b in sides[0]])


def by_loops(function, features, boxes, levels, *arguments):
    return [
        [
            function(features[level][image].numpy(), box / STRIDES[level], *arguments)
            for box, level in zip(boxes[image], levels[image], strict=True)
        ]
        for image in range(2)
    ]


@pytest.mark.parametrize("portable", [None, True])
def test_align_by_hand(portable):
    ramp = tf.reshape(tf.range(16.0), [1, 4, 4, 1])  # 4 * row + column
    box = [[[8.0, 8.0, 24.0, 24.0]]]  # on the map 1 to 3: the four pixels in the middle, of stride 8
    found = roi_align([ramp], [8], box, size=(2, 2), sampling_ratio=1, portable=portable)
    np.testing.assert_allclose(found[0, 0, ..., 0], [[5, 6], [9, 10]], atol=1e-5)
    found = roi_align([ramp], [8], box, size=(1, 1), sampling_ratio=2, portable=portable)
    np.testing.assert_allclose(found[0, 0, ..., 0], [[7.5]], atol=1e-5)


@pytest.mark.parametrize("ratio", [1, 2, 3])
def test_align_as_by_loops(way, ratio):
    boxes, levels = regions()
    features = maps()
    found = run(
        way,
        lambda b, v, *f: roi_align(f, STRIDES, b, v, size=(3, 2), sampling_ratio=ratio),
        boxes,
        levels,
        *features,
    )
    np.testing.assert_allclose(
        found, by_loops(align_by_loops, features, boxes, levels, (3, 2), ratio), atol=1e-4
    )


@pytest.mark.parametrize("portable", [False, True])
def test_align_as_crop_and_resize_at_the_same_samples(portable):
    features = maps()[0]
    boxes = random_boxes(1, (2, 5), 40.0, 30.0) + 4
    low, high = boxes[..., 1::-1] / 4, boxes[..., :1:-1] / 4
    half = (high - low) / 8  # of a sample's share of a side, with two bins of two samples
    ends = np.concatenate([low + half - 0.5, high - half - 0.5], -1) / np.tile([19, 25], 2)
    image = np.repeat([0, 1], 5)
    crops = tf.image.crop_and_resize(features, ends.reshape(-1, 4).astype(np.float32), image, [4, 4])
    expected = tf.reshape(tf.nn.avg_pool2d(crops, 2, 2, "VALID"), [2, 5, 2, 2, 3])
    found = roi_align([features], [4], boxes, size=(2, 2), portable=portable)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("operation", [roi_align, roi_pool])
def test_bfloat16_features(way, operation):
    boxes, levels = regions()
    features = maps(tf.bfloat16)
    function = lambda b, v, *f: operation(f, STRIDES, b, v, size=(2, 2))  # noqa: E731
    with_cast = lambda *a: tf.cast(function(*a), tf.float32)  # noqa: E731
    assert function(boxes, levels, *features).dtype == tf.bfloat16
    expected = function(boxes, levels, *(tf.cast(f, tf.float32) for f in features))
    np.testing.assert_allclose(run(way, with_cast, boxes, levels, *features), expected, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("portable", [False, True])
def test_gradients_of_align_go_to_features_only(portable):
    boxes = tf.Variable([[[4.0, 4.0, 36.0, 28.0]]])
    features = tf.Variable(maps()[0][:1])
    with tf.GradientTape() as tape:
        found = roi_align([features], [4], boxes, size=(2, 2), portable=portable)
    to_features, to_boxes = tape.gradient(found, [features, boxes])
    assert to_boxes is None
    # each of 4 bins and 3 channels is a mean, so what it hands out sums to one
    np.testing.assert_allclose(tf.reduce_sum(tf.convert_to_tensor(to_features)), 12, rtol=1e-5)


def test_align_has_a_gradient_under_xla():
    boxes, levels = regions()

    def gradient(*features):
        with tf.GradientTape() as tape:
            tape.watch(features)
            found = tf.reduce_sum(roi_align(features, STRIDES, boxes, levels) ** 2)
        return tape.gradient(found, features)

    for one, other in zip(run("xla", gradient, *maps()), run("eager", gradient, *maps()), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("count", [128, 257, 384])  # of two images: 1 part, 3 (2 missing), 3
def test_many_regions_are_aligned_in_parts(count):
    boxes = tf.constant(random_boxes(1, (2, count)))
    weights = tf.random.stateless_normal([2, count, 2, 3, 3], [0, 3])

    @tf.function
    def answers(features, portable):
        with tf.GradientTape() as tape:
            tape.watch(features)
            found = roi_align([features], [4], boxes, size=(2, 3), portable=portable)
            loss = tf.reduce_sum(weights * found)
        return found, tf.convert_to_tensor(tape.gradient(loss, features))

    for one, other in zip(answers(maps()[0], False), answers(maps()[0], True), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
    alone = roi_align(maps()[:1], [4], boxes[:, -3:], size=(2, 3))
    np.testing.assert_allclose(answers(maps()[0], False)[0][:, -3:], alone, atol=1e-5)


def test_no_region_on_a_level():
    boxes, _ = regions()
    found = roi_align(maps(), STRIDES, boxes, np.ones((2, 6), np.int32))
    np.testing.assert_array_equal(found, roi_align(maps()[1:], [8], boxes))


def test_pool_by_hand(way):
    ramp = tf.reshape(tf.range(16.0), [1, 4, 4, 1])
    boxes = np.float32([[[8, 8, 24, 24], [0, 0, 24, 24], [3, 3, 4, 4]]])  # 2, 3 and no pixels a side
    found = run(way, lambda f, b: roi_pool([f], [8], b, size=(2, 2)), ramp, boxes)
    np.testing.assert_array_equal(found[0, 0, ..., 0], [[5, 6], [9, 10]])
    np.testing.assert_array_equal(found[0, 1, ..., 0], [[5, 6], [9, 10]])  # bins of two pixels, which overlap
    np.testing.assert_array_equal(found[0, 2, ..., 0], [[0, 0], [0, 0]])


@pytest.mark.parametrize("size", [(7, 7), (1, 3)])
def test_pool_as_by_loops(way, size):
    boxes, levels = regions()
    features = maps()
    found = run(way, lambda b, v, *f: roi_pool(f, STRIDES, b, v, size=size), boxes, levels, *features)
    np.testing.assert_array_equal(found, by_loops(pool_by_loops, features, boxes, levels, size))


def test_gradient_of_pool_goes_to_the_maximum():
    ramp = tf.Variable(tf.reshape(tf.range(16.0), [1, 4, 4, 1]))
    with tf.GradientTape() as tape:
        found = roi_pool([ramp], [8], [[[0.0, 0.0, 24.0, 24.0]]], size=(1, 1))
    expected = np.zeros((4, 4))
    expected[2, 2] = 1
    np.testing.assert_array_equal(tape.gradient(found, ramp)[0, ..., 0], expected)


def test_levels_by_size(way):
    sides = np.float32([0, 111, 112, 223, 224, 448, 5000])
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], -1)[np.newaxis]
    found = run(way, lambda b: region_levels(b, 4), boxes)
    np.testing.assert_array_equal(found, [[0, 0, 1, 1, 2, 3, 3]])  # levels 2 to 5 of a pyramid
