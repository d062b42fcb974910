"""Features of regions: from a box, or a part of it, of any size to a grid of one size.

A feature map of stride s has at row i and column j what was seen around ((j + 0.5) * s, (i + 0.5) * s) in
pixels: a pixel of the map is an area with a centre, as one of the image is. So a coordinate x of a box is
x / s on the map, and half a pixel less is the (fractional) index there: what is called `aligned` elsewhere.

Both functions take the levels of a feature pyramid, and which of them each region is taken from; a pyramid
costs what one map does.
"""

import typing
from collections.abc import Sequence

import tensorflow as tf

from conveyor.models.ops.boxes import area
from conveyor.models.ops.portable import is_portable

_PART = 256  # regions that are sampled at a time


def region_levels(boxes: tf.Tensor, count: int, finest: int = 2, canonical: float = 224.0) -> tf.Tensor:
    """Returns the level of a pyramid that suits each region: the larger, the coarser.

    Args:
        boxes: [n, r, 4], xyxy in pixels.
        count: Number of levels.
        finest: log2 of the stride of the first; each other's is twice the one's before.
        canonical: Side in pixels of a region that level 4, of stride 16, suits.

    Returns:
        int32 [n, r] in [0, count).

    Source: Lin et al., "Feature Pyramid Networks", CVPR 2017, equation 1.
    """
    side = tf.maximum(tf.sqrt(area(boxes)), 1e-3)
    level = tf.math.floor(4.0 + tf.math.log(side / canonical) / tf.math.log(2.0))
    return tf.clip_by_value(tf.cast(level, tf.int32) - finest, 0, count - 1)


def roi_align(
    features: Sequence[tf.Tensor],
    strides: Sequence[int],
    boxes: tf.Tensor,
    levels: tf.Tensor | None = None,
    *,
    size: tuple[int, int] = (7, 7),
    sampling_ratio: int = 2,
    portable: bool | None = None,
) -> tf.Tensor:
    """Returns the means of bilinear samples on a regular grid in each bin of each region.

    A sample beyond the map counts as its border does, or as 0 if it is more than a pixel away from there.

    Args:
        features: Of each level float32 or bfloat16 [n, height, width, channels].
        strides: Of each level, in pixels.
        boxes: [n, r, 4], xyxy in pixels of the image. No gradient goes to them.
        levels: int32 [n, r], the level of each region; None: the first.
        size: Rows and columns of bins.
        sampling_ratio: Samples on each side of a bin.
        portable: Use only what XLA (and so a TPU) and LiteRT have too, which is slower on a CPU. None: where
            what is traced must be so, see `is_portable`.

    Returns:
        [n, r, rows, columns, channels], of the features' type.

    Source: He et al., "Mask R-CNN", ICCV 2017, section 3.
    """
    boxes = tf.stop_gradient(tf.cast(boxes, tf.float32))
    if portable is None:
        portable = is_portable()
    align = _align_by_gathers if portable else _align_by_crops
    return align(features, strides, boxes, levels, size, sampling_ratio)


def roi_pool(
    features: Sequence[tf.Tensor],
    strides: Sequence[int],
    boxes: tf.Tensor,
    levels: tf.Tensor | None = None,
    *,
    size: tuple[int, int] = (7, 7),
) -> tf.Tensor:
    """Returns the maximum of each bin of each region, whose borders are rounded to pixels of the map.

    A region is cut to the map, and has at least one pixel. Bins overlap where it cannot be divided.

    Args:
        features: Of each level float32 or bfloat16 [n, height, width, channels]; of static height and width.
        strides: Of each level, in pixels.
        boxes: [n, r, 4], xyxy in pixels of the image. No gradient goes to them.
        levels: int32 [n, r], the level of each region; None: the first.
        size: Rows and columns of bins.

    Returns:
        [n, r, rows, columns, channels], of the features' type.

    Source: Girshick, "Fast R-CNN", ICCV 2015, section 2.1.
    """
    # The maximum of any window is that of four overlapping ones whose sides are powers of two. Those of all
    # places are made once, for all regions.
    powers = [[_powers(side, bins) for side, bins in zip(f.shape[1:3], size, strict=True)] for f in features]
    tables = [_maxima(f, *p) for f, p in zip(features, powers, strict=True)]
    place = _place(features, strides, boxes, levels, [tf.shape(table)[1] for table in tables])
    left, top, right, bottom = tf.unstack(place.boxes, axis=-1)
    first, last, power_y = _bins(top, bottom, place.height, size[0], max(p[0] for p in powers))
    left_most, right_most, power_x = _bins(left, right, place.width, size[1], max(p[1] for p in powers))
    columns = tf.gather([p[1] for p in powers], place.level)
    sheet = _grid(power_y * columns[..., tf.newaxis], power_x) * (place.height * place.width)[..., None, None]
    start = place.start[..., tf.newaxis, tf.newaxis] + sheet
    table = tf.concat(tables, 1)
    corners = []
    for y in (first, last):
        for x in (left_most, right_most):
            index = start + _grid(y * place.width[..., tf.newaxis], x)
            corners.append(tf.gather(table, index, batch_dims=1))
    return tf.reduce_max(tf.stack(corners), 0)


# === where a region's level is ===


class _Place(typing.NamedTuple):
    level: tf.Tensor  # int32 [n, r]
    start: tf.Tensor  # int32 [n, r], of the level in the table of all
    height: tf.Tensor  # int32 [n, r], of the level
    width: tf.Tensor  # the same
    boxes: tf.Tensor  # float32 [n, r, 4], in pixels of the level


def _place(
    features: Sequence[tf.Tensor],
    strides: Sequence[int],
    boxes: tf.Tensor,
    levels: tf.Tensor | None,
    lengths: Sequence[tf.Tensor],
) -> _Place:
    """Looks up the level of each region; `lengths` are the levels' rows in the table of all."""
    if levels is None:
        levels = tf.zeros(tf.shape(boxes)[:2], tf.int32)
    starts = tf.cumsum(tf.stack(lengths), exclusive=True)
    sizes = tf.gather(tf.stack([tf.shape(f)[1:3] for f in features]), levels)
    stride = tf.gather(tf.constant(strides, tf.float32), levels)
    scaled = tf.stop_gradient(tf.cast(boxes, tf.float32)) / stride[..., tf.newaxis]
    return _Place(levels, tf.gather(starts, levels), sizes[..., 0], sizes[..., 1], scaled)


def _grid(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Returns the sums [n, r, y, x] of [n, r, y] and [n, r, x]."""
    return rows[:, :, :, tf.newaxis] + columns[:, :, tf.newaxis, :]


# === RoI Align ===


def _align_by_crops(
    features: Sequence[tf.Tensor],
    strides: Sequence[int],
    boxes: tf.Tensor,
    levels: tf.Tensor | None,
    size: tuple[int, int],
    ratio: int,
) -> tf.Tensor:
    """Aligns by `tf.image.crop_and_resize`, which samples from one end of a box to the other."""
    batch, regions = tf.shape(boxes)[0], tf.shape(boxes)[1]
    image = tf.repeat(tf.range(batch), regions)
    flat = tf.reshape(boxes, [-1, 4])
    if levels is None or len(features) == 1:
        bins = _crop(features[0], flat / strides[0], image, size, ratio)
    else:
        level = tf.reshape(levels, [-1])
        rows = [tf.where(level == number)[:, 0] for number in range(len(features))]
        crops = [
            _crop(f, tf.gather(flat, row) / stride, tf.gather(image, row), size, ratio)
            for f, stride, row in zip(features, strides, rows, strict=True)
        ]
        bins = tf.dynamic_stitch([tf.cast(row, tf.int32) for row in rows], crops)
    return tf.reshape(bins, [batch, regions, *size, features[0].shape[-1]])


def _crop(
    features: tf.Tensor, boxes: tf.Tensor, image: tf.Tensor, size: tuple[int, int], ratio: int
) -> tf.Tensor:
    samples = [bins * ratio for bins in size]
    sides = tf.shape(features)[1:3]
    # the border once more on each side, as a sample there counts
    rows, columns = (tf.clip_by_value(tf.range(-1, side + 1), 0, side - 1) for side in tf.unstack(sides))
    table = tf.reshape(features, [tf.shape(features)[0], -1, features.shape[-1]])
    padded = tf.gather(tf.cast(table, tf.float32), rows[:, tf.newaxis] * sides[1] + columns, axis=1)
    last = tf.cast(sides + 1, tf.float32)
    low, high = boxes[:, 1::-1], boxes[:, :1:-1]  # y and x
    inset = 0.5 * (high - low) / tf.constant(samples, tf.float32)
    ends = tf.concat([(low + inset + 0.5) / last, (high - inset + 0.5) / last], -1)
    channels = features.shape[-1]

    def bins_of(part: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        crops = tf.image.crop_and_resize(padded, *part, samples)
        bins = tf.nn.avg_pool2d(crops, ratio, ratio, "VALID") if ratio > 1 else crops
        return tf.reshape(bins, [-1, size[0] * size[1] * channels])

    bins = _in_parts(bins_of, ends, image)
    return tf.cast(tf.reshape(bins, [-1, *size, channels]), features.dtype)


def _in_parts(
    work: typing.Callable[[tuple[tf.Tensor, tf.Tensor]], tf.Tensor], ends: tf.Tensor, image: tf.Tensor
) -> tf.Tensor:
    """Returns what `work` makes of all regions, [r, features], a part of them after another.

    The samples of a part are some 50 MB, whose memory the next part takes over; those of 1,000 regions at
    once are 200, and to get that much takes longer than to fill it.
    """
    count = tf.shape(ends)[0]
    parts = tf.maximum(-(-count // _PART), 1)
    each = -(-count // parts)
    missing = parts * each - count
    pieces = (
        tf.reshape(tf.pad(ends, [[0, missing], [0, 0]]), [parts, each, 4]),
        tf.reshape(tf.pad(image, [[0, missing]]), [parts, each]),
    )
    made = tf.map_fn(work, pieces, parallel_iterations=1, fn_output_signature=tf.float32)
    return tf.reshape(made, [parts * each, made.shape[-1]])[:count]


def _align_by_gathers(
    features: Sequence[tf.Tensor],
    strides: Sequence[int],
    boxes: tf.Tensor,
    levels: tf.Tensor | None,
    size: tuple[int, int],
    ratio: int,
) -> tf.Tensor:
    """Adds up the pixels around all samples of a bin, one a bin at a time: XLA makes one loop of it."""
    tables = [tf.reshape(f, [tf.shape(f)[0], -1, f.shape[-1]]) for f in features]
    place = _place(features, strides, boxes, levels, [tf.shape(table)[1] for table in tables])
    table = tf.concat(tables, 1)
    left, top, right, bottom = tf.unstack(place.boxes, axis=-1)
    rows, row_weights = _taps(top, bottom, place.height, size[0], ratio)
    columns, column_weights = _taps(left, right, place.width, size[1], ratio)
    total = tf.zeros([], tf.float32)
    for i in range(2 * ratio):
        row = place.start[..., tf.newaxis] + rows[..., i] * place.width[..., tf.newaxis]
        for j in range(2 * ratio):
            pixels = tf.gather(table, _grid(row, columns[..., j]), batch_dims=1)
            weights = row_weights[:, :, :, tf.newaxis, i] * column_weights[:, :, tf.newaxis, :, j]
            total += tf.cast(pixels, tf.float32) * weights[..., tf.newaxis]
    return tf.cast(total, features[0].dtype)


def _taps(
    low: tf.Tensor, high: tf.Tensor, length: tf.Tensor, bins: int, ratio: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the pixels beside the samples along one side of regions, and their weights.

    Args:
        low: float32 [n, r], where the side begins, in pixels of the map.
        high: Where it ends.
        length: int32 [n, r], of the map.
        bins: On the side.
        ratio: Samples in a bin.

    Returns:
        int32 and float32 [n, r, bins, 2 * ratio].
    """
    share = (tf.range(bins * ratio, dtype=tf.float32) + 0.5) / (bins * ratio)
    at = low[..., tf.newaxis] + share * (high - low)[..., tf.newaxis] - 0.5
    end = tf.cast(length, tf.float32)[..., tf.newaxis]
    counts = tf.cast((at >= -1.0) & (at <= end), tf.float32) / ratio
    at = tf.clip_by_value(at, 0.0, end - 1.0)
    before = tf.floor(at)
    index = tf.stack([before, tf.minimum(before + 1.0, end - 1.0)], -1)
    weight = tf.stack([1.0 - (at - before), at - before], -1) * counts[..., tf.newaxis]
    shape = tf.concat([tf.shape(low), [bins, 2 * ratio]], 0)
    return tf.reshape(tf.cast(index, tf.int32), shape), tf.reshape(weight, shape)


# === RoI pooling ===


def _powers(side: int, bins: int) -> int:
    """Returns how many powers of two are windows in the largest bin."""
    return min(side, -(-side // bins) + 1).bit_length()


def _maxima(features: tf.Tensor, rows: int, columns: int) -> tf.Tensor:
    """Returns the maxima of windows of 2^i rows and 2^j columns from each pixel on.

    Those that leave the map are wrong; none is looked at.

    Returns:
        [n, rows * columns * pixels, channels].
    """
    sheets = []
    for i in range(rows):
        across = features
        for j in range(columns):
            sheets.append(tf.reshape(across, [tf.shape(features)[0], -1, features.shape[-1]]))
            across = tf.maximum(across, tf.roll(across, -(2**j), 2))
        features = tf.maximum(features, tf.roll(features, -(2**i), 1))
    return tf.concat(sheets, 1)


def _bins(
    low: tf.Tensor, high: tf.Tensor, length: tf.Tensor, bins: int, powers: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns two windows of 2^p pixels that cover each bin of a side: where they begin, and p.

    Args:
        low: float32 [n, r], where the side begins, in pixels of the map.
        high: Where it ends.
        length: int32 [n, r], of the map.
        bins: On the side.
        powers: How many there are.

    Returns:
        int32 [n, r, bins], three times.
    """
    start = tf.clip_by_value(tf.cast(tf.floor(low + 0.5), tf.int32), 0, length - 1)
    end = tf.clip_by_value(tf.cast(tf.floor(high + 0.5), tf.int32), start + 1, length)
    number = tf.range(bins)
    size = (end - start)[..., tf.newaxis]
    first = start[..., tf.newaxis] + number * size // bins
    stop = start[..., tf.newaxis] - (-(number + 1) * size) // bins
    power = sum(tf.cast(stop - first >= 2**p, tf.int32) for p in range(1, powers))
    power = tf.zeros_like(first) + power
    return first, stop - 2**power, power
