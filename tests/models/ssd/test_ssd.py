"""What a single-shot detector is trained on, by hand; and that it learns."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.detection.anchors import fitted_shapes, regular_shapes
from conveyor.models.ops.offsets import encode
from conveyor.models.ssd.ssd import SSD

BACKBONE = {"family": "cnn", "filters": [4, 8], "strides": 2, "pool_size": 1}
SHAPES = [[[8.0, 8.0]]]  # one anchor in each of 4 x 4 places that are 4 px apart


def make(**more):
    keras.utils.set_random_seed(3)
    settings = {"finest": 2, "coarsest": 2, "filters": 8, "shapes": SHAPES, **more}
    return SSD((16, 16, 1), 2, BACKBONE, **settings)


def targets(boxes, labels, **more):
    return {"boxes": np.array(boxes, np.float32), "labels": np.array(labels, np.int32), **more}


def raw(anchors, classes, sure, offsets=0.0):
    """Answers of logits 0 but for what is sure: (image, anchor, class) -> logit."""
    logits = np.zeros((1, anchors, classes), np.float32)
    for place, value in sure.items():
        logits[0][place] = value
    return {"logits": logits, "offsets": np.full((1, anchors, 4), offsets, np.float32)}


def test_mined_losses_by_hand():
    model = make()
    anchor = model.anchor_levels[0][5]  # row 1, column 1: centre (6, 6)
    np.testing.assert_array_equal(anchor, [2, 2, 10, 10])
    asked = targets([[[2, 2, 10, 10]]], [[1]])
    assert model.assigned(asked).numpy()[0].tolist() == [0 if place == 5 else -1 for place in range(16)]
    # anchors beside overlap by 4 x 8 of 2 x 64 - 32: IoU 1/3, background. Offsets are 1, asked 0.
    found = model.losses_of(None, asked, raw(16, 3, {(9, 0): 2.0}, offsets=1.0), training=True)
    np.testing.assert_allclose(found["box_loss"], 4 * 0.5)
    # of one positive: ln 3; of 3 background anchors: the hard one, and two more of logits 0
    hard = math.log(math.exp(2) + 2)
    np.testing.assert_allclose(found["class_loss"], math.log(3) + hard + 2 * math.log(3), rtol=1e-5)


def test_images_without_boxes_are_background():
    model = make()
    empty = targets([[[-1, -1, -1, -1]]], [[-1]])
    assert (model.assigned(empty).numpy() == -1).all()
    found = model.losses_of(None, empty, raw(16, 3, {}, offsets=9.0), training=True)
    assert found["box_loss"].numpy() == 0
    np.testing.assert_allclose(found["class_loss"], 3 * math.log(3), rtol=1e-5)  # the three hardest


def test_crowds_count_for_nothing():
    model = make(class_loss="focal", focal_gamma=0.0)
    whole = targets([[[0, 0, 16, 16]]], [[-1]], ignored=np.array([[True]]))
    assert (model.assigned(whole).numpy() == -2).all()
    found = model.losses_of(None, whole, raw(16, 2, {}), training=True)
    assert found["class_loss"].numpy() == 0 == found["box_loss"].numpy()


def test_quality_asks_for_the_overlap_that_is_reached():
    model = make(class_loss="quality", box_loss="giou", box_weight=3.0)
    asked = targets([[[2, 2, 10, 10]]], [[1]])
    # the answer is the anchor itself: IoU 1, so that the asked score is 1; all scores are sigmoid(0) = 0.5
    found = model.losses_of(None, asked, raw(16, 2, {}), training=True)
    np.testing.assert_allclose(found["box_loss"], 0.0, atol=1e-6)
    np.testing.assert_allclose(found["class_loss"], 32 * 0.25 * math.log(2), rtol=1e-5)
    moved = raw(16, 2, {})
    moved["offsets"][0, 5] = encode([4.0, 2, 12, 10], model.anchor_levels[0][5])  # 2 px to the right
    found = model.losses_of(None, asked, moved, training=True)
    # IoU 48 / 80 = 0.6: |0.6 - 0.5|^2 in place of 0.5^2; GIoU 0.6, as the hull (2, 2, 12, 10) is filled
    np.testing.assert_allclose(found["box_loss"], 3 * 0.4, rtol=1e-5)
    np.testing.assert_allclose(found["class_loss"], (31 * 0.25 + 0.01) * math.log(2), rtol=1e-5)


def test_answers_are_decoded_boxes_and_scores():
    model = make()
    answer = raw(16, 3, {(5, 1): 5.0})
    answer["offsets"][0, 5] = encode([3.0, 1, 12, 9], model.anchor_levels[0][5])
    boxes, scores = model.scored(None, answer)
    np.testing.assert_allclose(boxes[0, 5], [3, 1, 12, 9], atol=1e-5)
    assert scores.shape == (1, 16, 2)
    np.testing.assert_allclose(scores[0, 5, 1], math.exp(5) / (math.exp(5) + 2), rtol=1e-5)


@pytest.mark.parametrize(
    "how", [pytest.param({}, marks=pytest.mark.slow), {"class_loss": "quality", "box_loss": "giou"}]
)
def test_learns_where_a_square_is_and_of_which_brightness(how):
    random = np.random.default_rng(0)
    images, boxes, labels = np.zeros((16, 16, 16, 1), np.float32), [], []
    for image in images:
        x, y, label = *random.integers(0, 8, 2), random.integers(2)
        image[y : y + 8, x : x + 8] = 1.0 if label else -1.0
        boxes.append([[x, y, x + 8, y + 8]])
        labels.append([label])
    model = make(**how)
    model.compile(keras.optimizers.Adam(0.01))
    for _ in range(100):
        model.train_on_batch(images, targets(boxes, labels))
    found = model.serve(images)
    np.testing.assert_array_equal(found["labels"][:, 0], np.array(labels)[:, 0])
    np.testing.assert_allclose(found["boxes"][:, 0], np.array(boxes)[:, 0], atol=1.5)


def test_regular_shapes_are_in_strides():
    found = regular_shapes([3, 4], [2.0], [1.0, 4.0])
    np.testing.assert_allclose(found, [[[16, 16], [32, 8]], [[32, 32], [64, 16]]])


def test_fitted_shapes_go_by_size_and_count_rare_sizes():
    sizes = np.array([[10.0, 10.0]] * 1000 + [[11.0, 10.0]] * 1000 + [[80.0, 40.0]])
    small, large = np.array(fitted_shapes([3, 4], 1, sizes))
    np.testing.assert_allclose(small[0], [10.5, 10], atol=0.8)
    np.testing.assert_allclose(large[0], [80, 40], rtol=0.05)  # one of 2,001
    arguments = {"anchors": "auto", "shapes": None, "finest": 3, "coarsest": 4, "per_place": 1}
    assert SSD.fitted(arguments, sizes)["shapes"] == [small.tolist(), large.tolist()]
    regular = {**arguments, "anchors": "regular"}
    assert SSD.fitted(regular, sizes) is regular


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match="boxes to fit the anchors to"):
        make(anchors="auto", shapes=None)
    with pytest.raises(ValueError, match="images of one size"):
        SSD((None, None, 3), 2, BACKBONE)


def test_losses_are_float32_where_layers_are_bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make()
    finally:
        keras.config.set_dtype_policy(before)
    answer = model(np.zeros((2, 16, 16, 1), np.float32))
    asked = targets([[[2, 2, 10, 10]]] * 2, [[1]] * 2)
    found = model.losses_of(None, asked, answer, training=True)
    assert {value.dtype for value in found.values()} == {tf.float32}


@pytest.mark.slow
def test_a_backbone_that_was_trained_before_learns_as_its_settings_say(tmp_path):
    backbone = {
        "family": "pretrained",
        "backbone": {"application": "mobilenet-v2", "weights": "none"},
        "frozen_epochs": 2,
    }
    model = SSD((64, 96, 3), 2, backbone, coarsest=6, filters=8)
    assert [len(level) // 6 for level in model.anchor_levels] == [8 * 12, 4 * 6, 2 * 3, 1 * 2]
    assert model.frozen_epochs == 2
    assert model.backbone().output_shape == (None, 2, 3, 1280)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    images = np.random.default_rng(0).random((2, 64, 96, 3), dtype=np.float32)
    np.testing.assert_array_equal(again(images)["logits"], model(images)["logits"])
