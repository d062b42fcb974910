"""The heads: what is said of anchors, of regions, and of the pixels in them."""

import keras

_NEAR_ZERO = {"class": 0.01, "box": 0.001}  # deviation of the last kernels, Girshick, "Fast R-CNN", section 4


def proposal_head(maps, filters, per_place):
    """Says of each anchor whether it shows an object, and where that is; alike on all levels.

    Args:
        maps: Of each level [n, rows, columns, channels].
        filters: Of its convolution.
        per_place: Anchors at each place.

    Returns:
        Logits float32 [n, a] and offsets float32 [n, a, 4], level by level.
    """
    start = {"padding": "same", "activation": "relu", "kernel_initializer": "he_normal"}
    shared = keras.layers.Conv2D(filters, 3, **start, name="proposal_conv")
    seen = [shared(features) for features in maps]
    found = []
    for name, count, shape in (("objectness", per_place, (-1,)), ("offsets", 4 * per_place, (-1, 4))):
        conv = keras.layers.Conv2D(count, 1, kernel_initializer=_small("class"), name=f"{name}_conv")
        flatten = keras.layers.Reshape(shape, name=f"{name}_flat")
        found.append(joined([flatten(conv(features)) for features in seen], name))
    return found


def joined(parts, name):
    """Returns tensors one after the other along axis 1, float32."""
    if len(parts) == 1:
        return keras.layers.Activation("linear", dtype="float32", name=name)(parts[0])
    return keras.layers.Concatenate(1, dtype="float32", name=name)(parts)


def box_head(size, channels, dense, classes):
    """Returns a model that says what each region shows, and where that is.

    Args:
        size: Bins along each side of a region.
        channels: Of its features.
        dense: Widths of the layers before the last.
        classes: Without background.

    Returns:
        From [n, r, size, size, channels] to logits float32 [n, r, classes + 1] and offsets float32
        [n, r, classes, 4].
    """
    inputs = keras.Input((None, size, size, channels), name="region")
    features = keras.layers.Reshape((-1, size * size * channels), name="region_flat")(inputs)
    for number, width in enumerate(dense, 1):
        layer = keras.layers.Dense(
            width, activation="relu", kernel_initializer="he_normal", name=f"region_dense_{number}"
        )
        features = layer(features)
    exact = {"dtype": "float32"}
    logits = keras.layers.Dense(classes + 1, kernel_initializer=_small("class"), **exact, name="class_logits")
    offsets = keras.layers.Dense(4 * classes, kernel_initializer=_small("box"), **exact, name="box_offsets")
    split = keras.layers.Reshape((-1, classes, 4), **exact, name="box_offsets_by_class")
    return keras.Model(inputs, [logits(features), split(offsets(features))], name="box_head")


def mask_head(size, channels, filters, classes):
    """Returns a model that says of each pixel of a region whether it is of the object; class by class.

    Args:
        size: Bins along each side of a region.
        channels: Of its features.
        filters: Of each convolution before the map is doubled.
        classes: Without background.

    Returns:
        From [r, size, size, channels] to logits float32 [r, 2 * size, 2 * size, classes].
    """
    inputs = keras.Input((size, size, channels), name="mask_region")
    features = inputs
    shared = {"activation": "relu", "kernel_initializer": "he_normal"}
    for number, count in enumerate(filters, 1):
        conv = keras.layers.Conv2D(count, 3, padding="same", **shared, name=f"mask_conv_{number}")
        features = conv(features)
    count = (filters or [channels])[-1]
    features = keras.layers.Conv2DTranspose(count, 2, 2, **shared, name="mask_doubled")(features)
    last = keras.layers.Conv2D(
        classes, 1, kernel_initializer=_small("class"), dtype="float32", name="mask_logits"
    )
    return keras.Model(inputs, last(features), name="mask_head")


def _small(kind):
    return keras.initializers.RandomNormal(stddev=_NEAR_ZERO[kind])
