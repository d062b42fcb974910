"""Both stages together."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.build import build_model
from conveyor.models.faster_rcnn.faster_rcnn import FasterRCNN
from conveyor.models.faster_rcnn.settings import MASKS, PROPOSALS, REGIONS, FasterRCNNSettings
from conveyor.models.ops.boxes import iou
from conveyor.models.ops.instances import FIRST

BACKBONE = {"family": "cnn", "filters": [6, 8], "strides": 2, "pool_size": 1, "normalization": "batch"}
SIZE = 32


def make(**changed):
    arguments = {
        "finest": 2,
        "coarsest": 2,
        "filters": 8,
        "scales": [3.0],
        "aspect_ratios": [1.0],
        "proposals": {**PROPOSALS, "before": 40, "most": 12, "sample": 32},
        "regions": {**REGIONS, "size": 3, "dense": [16], "sample": 12, "share": 0.5},
        "masks": {**MASKS, "size": 4, "filters": [8]},
        **changed,
    }
    keras.utils.set_random_seed(1)
    return FasterRCNN((SIZE, SIZE, 3), 2, BACKBONE, **arguments)


def squares(count):
    """One square an image, of class 0 where it is red and 1 where it is green; and its mask."""
    rng = np.random.default_rng(0)
    images = rng.normal(0, 0.1, (count, SIZE, SIZE, 3)).astype(np.float32)
    boxes, labels = np.zeros((count, 1, 4), np.float32), np.zeros((count, 1), np.int32)
    instances = np.zeros((count, SIZE, SIZE, 1), np.int32)
    for index in range(count):
        left, top, side = *rng.integers(0, 16, 2), rng.integers(9, 16)
        labels[index] = index % 2
        images[index, top : top + side, left : left + side, index % 2] += 1
        instances[index, top : top + side, left : left + side] = FIRST
        boxes[index] = [left, top, left + side, top + side]
    targets = {
        "boxes": boxes,
        "labels": labels,
        "instances": instances,
        "instance": np.full_like(labels, FIRST),
    }
    return images, {name: tf.constant(values) for name, values in targets.items()}


def test_anchors_are_fitted_to_boxes():
    settings = FasterRCNNSettings(
        family="faster_rcnn", backbone=BACKBONE, finest=1, coarsest=2, anchors="auto", per_place=2
    )
    sizes = np.repeat([[4.0, 4.0], [4.0, 8.0], [12.0, 9.0], [20.0, 20.0]], 5, 0)
    model = build_model(settings, (SIZE, SIZE, 3), {"classes": 2}, sizes)
    # sizes are rounded to eighths of a factor of two before they are clustered
    expected = [[[4, 4], [4, 8]], [[12, 9], [20, 20]]]
    np.testing.assert_allclose(model.arguments["shapes"], expected, rtol=0.05)
    first = model.anchor_levels[1][1]  # the larger shape, around the middle of the first cell of 4 x 4
    np.testing.assert_allclose(first, [2 - 10, 2 - 10, 2 + 10, 2 + 10], rtol=0.05)
    assert FasterRCNN.from_config(model.get_config()).arguments == model.arguments


def test_second_stage_teaches_the_first_no_coordinates():
    """Approximate joint training: what the proposals' offsets are made of learns from its own loss alone."""
    model = make()
    images, targets = squares(2)
    with tf.GradientTape(persistent=True) as tape:
        parts = model.losses_of(images, targets, model(images, training=True), True)
    last = model.get_layer("offsets_conv").kernel.value
    assert tape.gradient(parts["class_loss"] + parts["box_loss"], last) is None
    assert np.any(tape.gradient(parts["proposal_loss"], last))
    first = model.layers[1].kernel.value
    assert np.any(tape.gradient(parts["class_loss"], first))  # features are shared


def test_what_is_drawn_follows_from_the_steps_done():
    """Few are drawn of many; so another step draws others, and validation always the same."""
    model = make(
        proposals={**PROPOSALS, "most": 12, "sample": 4}, regions={**REGIONS, "dense": [4], "sample": 2}
    )
    model.compile(keras.optimizers.SGD(0.0))
    images, targets = squares(2)
    raw = model(images, training=False)

    def losses(training, step):
        model.optimizer.iterations.assign(step)
        return [float(value) for value in model.losses_of(images, targets, raw, training).values()]

    assert losses(True, 3) == losses(True, 3)
    assert losses(True, 3) != losses(True, 4)
    assert losses(False, 3) == losses(False, 4)


@pytest.mark.slow
def test_goes_on_after_a_restart_as_if_there_had_been_none():
    images, targets = squares(4)
    model = make()
    model.compile(keras.optimizers.Adam(0.01))
    model.train_on_batch(images, targets)
    state = [*model.variables, *model.optimizer.variables]
    kept = [variable.numpy() for variable in state]

    def weights_after_two_steps():
        for variable, value in zip(state, kept, strict=True):
            variable.assign(value)
        for _ in range(2):
            model.train_on_batch(images, targets)
        return model.get_weights()

    for one, other in zip(weights_after_two_steps(), weights_after_two_steps(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_images_of_any_size_and_masks_without_targets_are_refused():
    with pytest.raises(ValueError, match="one size"):
        FasterRCNN((None, None, 3), 2, BACKBONE)
    images, targets = squares(2)
    model = make(mask_head=True)
    with pytest.raises(ValueError, match="instance_segmentation"):
        model.losses_of(
            images, {"boxes": targets["boxes"], "labels": targets["labels"]}, model(images), False
        )


def test_levels_that_the_backbone_lacks_are_refused():
    with pytest.raises(ValueError, match=r"stride 8 .*with strides \[2, 4\]"):
        make(finest=3, coarsest=3)


def test_backbones_trained_before_keep_their_rates():
    pretrained = {
        "family": "pretrained",
        "backbone": {"application": "mobilenet", "weights": "none"},
        "frozen_epochs": 2,
    }
    model = FasterRCNN((SIZE, SIZE, 3), 2, pretrained, finest=3, coarsest=5, filters=4)
    assert model.frozen_epochs == 2
    assert not any(model.is_pretrained(weight) for weight in model.weights)  # they learn from scratch
    assert {name for name in model(np.zeros((1, SIZE, SIZE, 3), np.float32)) if name[:3] == "map"} == {
        "map_3",
        "map_4",
        "map_5",
    }


@pytest.mark.slow
def test_learns_boxes_classes_and_masks():
    model = make(mask_head=True)
    model.compile(keras.optimizers.Adam(0.01))
    images, targets = squares(16)
    for _ in range(150):
        model.train_on_batch(images, targets)
    found = tf.function(model.serve)(images)
    assert np.mean(found["labels"][:, :1] == targets["labels"]) >= 0.9
    assert np.mean(iou(found["boxes"][:, :1], targets["boxes"])) >= 0.75
    assert found["masks"].shape == (16, 100, 8, 8)
    assert np.mean(found["masks"][:, 0] > 0.5) >= 0.8  # a square fills its box
