"""Receptive fields of graphs, against what really changes an output."""

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from keras import layers

from conveyor.models.describe.field import fields
from conveyor.models.describe.graph import run, walk
from conveyor.models.describe.windows import spatial

SIDE = 41


def theoretical(model):
    """Returns step name -> field along the first side; infinite for the whole image."""
    steps = walk(model).steps
    return {
        step.name: field.sizes[0] if field else None for step, field in zip(steps, fields(steps), strict=True)
    }


def measured(model):
    """Returns step name -> the largest span of pixels that change a place, far from the sides."""
    graph = walk(model)
    for weights in model.weights:
        weights.assign(np.full(weights.shape, 0.1))
    impulses = np.eye(SIDE, dtype=np.float32)[:, :, None]
    plain = run(graph.steps, [np.zeros((1, SIDE, 1), np.float32)])
    found = {}
    for step, values, rest in zip(graph.steps, run(graph.steps, [impulses]), plain, strict=True):
        changed = np.abs(np.asarray(values[0]) - np.asarray(rest[0])).max(axis=-1) > 1e-9
        spans = []
        for place in changed.T:
            seen = np.flatnonzero(place)
            if len(seen) and seen[0] > 0 and seen[-1] < SIDE - 1:
                spans.append(seen[-1] - seen[0] + 1)
        found[step.name] = max(spans, default=None)
    return found


LAYER = st.one_of(
    st.builds(
        lambda kernel, stride, padding: lambda: layers.Conv1D(1, kernel, strides=stride, padding=padding),
        st.integers(1, 4),
        st.integers(1, 3),
        st.sampled_from(["same", "valid", "causal"]),
    ),
    st.builds(
        lambda kernel, dilation: lambda: layers.Conv1D(1, kernel, dilation_rate=dilation, padding="same"),
        st.integers(1, 3),
        st.integers(1, 3),
    ),
    st.builds(
        lambda kernel, stride, padding: (
            lambda: layers.Conv1DTranspose(1, kernel, strides=stride, padding=padding)
        ),
        st.integers(1, 4),
        st.integers(1, 3),
        st.sampled_from(["same", "valid"]),
    ),
    st.builds(lambda size: lambda: layers.UpSampling1D(size), st.integers(1, 3)),
    st.builds(lambda size: lambda: layers.AveragePooling1D(size), st.integers(1, 3)),
    st.builds(lambda before, after: lambda: layers.ZeroPadding1D((before, after)), *[st.integers(0, 2)] * 2),
    st.builds(lambda before, after: lambda: layers.Cropping1D((before, after)), *[st.integers(0, 2)] * 2),
)


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(st.lists(LAYER, min_size=1, max_size=4))
def test_chains_see_what_changes_them(chain):
    x = inputs = keras.Input((SIDE, 1))
    for make in chain:
        hypothesis.assume(x.shape[1] > 12)
        x = make()(x)
    hypothesis.assume(12 < x.shape[1] < 400)
    model = keras.Model(inputs, x)
    expected, found = theoretical(model), measured(model)
    gaps = any(getattr(layer, "dilation_rate", (1,))[0] > 1 for layer in model.layers)
    for name, span in found.items():
        if span is not None:
            # a place may miss an end of its field: where gaps fall between, or a stride skips it
            assert span <= expected[name] if gaps or _skips(model) else span == expected[name], name


def _skips(model):
    """Whether some stride is longer than its kernel, or enlarging comes with a stride."""
    strides = [layer.strides[0] for layer in model.layers if hasattr(layer, "strides")]
    enlarges = any(
        "Transpose" in type(layer).__name__ or "UpSampling" in type(layer).__name__ for layer in model.layers
    )
    return (
        enlarges
        or any(
            layer.strides[0] > layer.kernel_size[0] for layer in model.layers if hasattr(layer, "kernel_size")
        )
        or max(strides, default=1) > 2
    )


def test_branches_see_their_hull():
    image = keras.Input((SIDE, 1), name="image")
    left = layers.Conv1D(1, 7, padding="same", name="left")(image)
    right = layers.Conv1D(1, 3, padding="same", name="right")(layers.Conv1D(1, 3, padding="same")(image))
    both = layers.Add(name="both")([left, right])
    model = keras.Model(image, layers.Conv1D(1, 3, padding="same", name="last")(both))
    expected = theoretical(model)
    assert (expected["left"], expected["right"], expected["both"], expected["last"]) == (7, 5, 7, 9)
    assert measured(model) == expected


def test_branches_that_look_to_different_sides():
    image = keras.Input((SIDE, 1), name="image")
    shifted = layers.Cropping1D((4, 0), name="crop")(layers.ZeroPadding1D((0, 4), name="pad")(image))
    model = keras.Model(image, layers.Add(name="both")([image, shifted]))  # a pixel, and the fourth after it
    assert theoretical(model)["both"] == measured(model)["both"] == 5


def test_residual_keeps_the_longer_path():
    x = image = keras.Input((SIDE, 1), name="image")
    for number in range(3):
        x = layers.Add(name=f"add_{number}")([x, layers.Conv1D(1, 3, padding="same")(x)])
    assert [theoretical(keras.Model(image, x))[f"add_{number}"] for number in range(3)] == [3, 5, 7]


def test_enlarging_what_was_reduced_sees_one_cell():
    x = image = keras.Input((40, 1), name="image")
    x = layers.Conv1D(1, 4, strides=4, name="reduce")(x)
    x = layers.UpSampling1D(4, name="enlarge")(x)
    model = keras.Model(image, layers.Conv1D(1, 3, padding="same", name="smooth")(x))
    expected = theoretical(model)
    assert (expected["reduce"], expected["enlarge"], expected["smooth"]) == (4, 4, 8)
    steps = walk(model).steps
    assert [field.jumps for field in fields(steps)] == [(1,), (4,), (1,), (1,)]


@pytest.mark.parametrize("factor", [2, 3])
def test_bilinear_enlarging_reads_two_neighbours(factor):
    image = keras.Input((8, 8, 1), name="image")
    model = keras.Model(image, layers.UpSampling2D(factor, interpolation="bilinear", name="up")(image))
    impulses = np.zeros((8, 8, 8, 1), np.float32)
    impulses[np.arange(8), np.arange(8)] = 1
    changed = model(impulses).numpy()[:, factor:-factor, 4 * factor, 0] > 0
    assert theoretical(model)["up"] == changed.sum(axis=0).max() == 2


def test_fields_in_one_two_and_three_dimensions():
    for rank, conv, pool in [
        (1, layers.Conv1D, layers.MaxPooling1D),
        (2, layers.SeparableConv2D, layers.AveragePooling2D),
        (2, layers.DepthwiseConv2D, layers.MaxPooling2D),
        (3, layers.Conv3D, layers.MaxPooling3D),
    ]:
        image = keras.Input((12,) * rank + (2,))
        made = conv(3, depth_multiplier=1) if conv is layers.DepthwiseConv2D else conv(2, 3)
        steps = walk(keras.Model(image, pool(2)(made(image)))).steps
        assert [field.sizes for field in fields(steps)] == [(1,) * rank, (3,) * rank, (4,) * rank]


def test_what_mixes_all_places_sees_the_whole_image():
    image = keras.Input((8, 8, 4), name="image")
    squeezed = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(image)
    scaled = layers.Multiply(name="scaled")([image, layers.Conv2D(4, 1, name="gate")(squeezed)])
    after = layers.Conv2D(2, 3, name="after")(scaled)
    flat = layers.Flatten(name="flat")(after)
    back = layers.Reshape((2, 2, 1), name="back")(layers.Dense(4, name="dense")(flat))
    expected = theoretical(keras.Model(image, back))
    assert expected.pop("image") == 1
    assert set(expected.values()) == {float("inf")}


def test_what_is_not_understood_is_not_told():
    image = keras.Input((8, 8, 1), name="image")
    odd = layers.Resizing(5, 5, name="odd")(image)
    expected = theoretical(keras.Model(image, layers.Conv2D(1, 3, name="after")(odd)))
    assert (expected["odd"], expected["after"]) == (None, None)


def test_spatial():
    assert (spatial((4, 5, 3)), spatial((7,)), spatial(())) == ((4, 5), (), ())
