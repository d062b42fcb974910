"""Segmenters take images of any size, also smaller than their stride."""

import numpy as np
import pydantic
import pytest
import tensorflow as tf

from conveyor.models.build import build_model
from conveyor.models.families import FamilySettings

CASES = {
    "unet": {"family": "unet", "filters": [4, 6, 8]},
    "unet-strided": {"family": "unet", "filters": [4, 6], "stem_strides": 2},
    "fcn": {"family": "fcn", "filters": [3, 4, 5], "head_filters": 4},
    "fcn-fine": {"family": "fcn", "filters": [3, 4], "skips": 2, "head_filters": 0},
    "fcn-strided": {"family": "fcn", "filters": [3, 4], "stem_strides": 4, "skips": 2, "head_filters": 0},
    "deeplab": {"family": "deeplab", "filters": [3, 4, 6], "pyramid_filters": 5},
}


def build(values, shape):
    settings = pydantic.TypeAdapter(FamilySettings).validate_python(values)
    return build_model(settings, shape, {"classes": 3})


@pytest.mark.parametrize("name", CASES)
def test_any_size_gives_logits_of_each_pixel(name):
    model = build(CASES[name], (None, None, 2))
    serve = tf.function(model.serve, input_signature=[tf.TensorSpec([None, None, None, 2])])
    random = np.random.default_rng(0)
    for sides in ((1, 1), (3, 40), (16, 16), (33, 18)):
        images = random.random((2, *sides, 2)).astype(np.float32)
        found = serve(images).numpy()
        assert found.shape == (2, *sides, 3)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("name", CASES)
def test_the_same_weights_at_a_known_and_an_unknown_size(name):
    known, unknown = build(CASES[name], (18, 17, 2)), build(CASES[name], (None, None, 2))
    unknown.set_weights(known.get_weights())
    images = np.random.default_rng(0).random((2, 18, 17, 2)).astype(np.float32)
    np.testing.assert_allclose(known(images), unknown(images), atol=1e-5)


def test_stem_of_an_fcn_plays_no_part_with_a_backbone():
    backbone = {"family": "cnn", "filters": [3, 4, 5]}
    case = {"family": "fcn", "backbone": backbone, "skips": 2, "head_filters": 0}
    plain, strided = (build({**case, "stem_strides": strides}, (16, 16, 2)) for strides in (1, 2))
    assert [layer.name for layer in strided.layers] == [layer.name for layer in plain.layers]
    assert [weight.shape for weight in strided.weights] == [weight.shape for weight in plain.weights]


def test_known_sides_that_are_multiples_need_no_padding():
    names = {layer.name for layer in build(CASES["unet"], (16, 24, 2)).layers}
    assert not {"padded", "cropped"} & names
    assert {"padded", "cropped"} <= {layer.name for layer in build(CASES["unet"], (16, 23, 2)).layers}


def test_fcn_starts_with_the_scores_of_the_last_map_enlarged_bilinearly():
    model = build({**CASES["fcn"], "skips": 2}, (32, 32, 2))
    for name in ("score_1", "score_2"):
        assert not np.any(model.get_layer(name).kernel)
    # By 2, the weights of a line are 1, 3, 3 and 1 quarters of a half.
    kernel = np.array(model.get_layer("larger_2").kernel)
    line = np.array([0.25, 0.75, 0.75, 0.25])
    np.testing.assert_allclose(kernel[..., 1, 1], np.outer(line, line))
    assert not np.any(kernel[..., 0, 1])
    images = np.random.default_rng(0).random((1, 32, 32, 2)).astype(np.float32)
    before = model(images).numpy()
    score = model.get_layer("score_3")
    score.set_weights([np.zeros_like(score.kernel), np.zeros(3)])
    assert abs(before).max() > 0
    assert abs(model(images).numpy()).max() == 0  # all there is comes from the last map


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"family": "fcn", "filters": [3, 4], "skips": 3}, "at most 2 skips"),
        ({"family": "deeplab", "filters": [3, 4], "low_level": 5}, "low_level of 0, 1"),
        ({"family": "unet", "backbone": {"family": "cnn", "filters": [3], "pool_size": 1}}, "feature maps"),
    ],
)
def test_what_does_not_go_together_is_told(values, said):
    with pytest.raises(ValueError, match=said):
        build(values, (16, 16, 2))
