"""Feature pyramids: what is seen coarsely told to the fine maps."""

import keras


def feature_pyramid(
    maps: dict[int, keras.KerasTensor], filters: int, coarsest: int = 0
) -> dict[int, keras.KerasTensor]:
    """Returns maps of one width, each of which has seen the coarser ones.

    Args:
        maps: Level -> [n, rows, columns, channels], levels rising by one; each half the one before, rounded
            up.
        filters: Channels of the results.
        coarsest: Levels are added up to this one, each by a strided convolution of the one before.

    Returns:
        Level -> [n, rows, columns, filters].

    Source: Lin et al., "Feature Pyramid Networks", CVPR 2017, section 3; Lin et al., "Focal loss for dense
    object detection", ICCV 2017, section 4, for the levels added.
    """
    levels = sorted(maps)
    merged: dict[int, keras.KerasTensor] = {}
    for level in reversed(levels):
        lateral = keras.layers.Conv2D(filters, 1, name=f"lateral_{level}")(maps[level])
        if level + 1 in merged:
            lateral = keras.layers.Add(name=f"merge_{level}")(
                [lateral, _doubled(merged[level + 1], lateral, level)]
            )
        merged[level] = lateral
    pyramid = {level: _conv(filters, 1, level)(merged[level]) for level in levels}
    for level in range(levels[-1] + 1, coarsest + 1):
        pyramid[level] = _conv(filters, 2, level)(pyramid[level - 1])
    return pyramid


def _conv(filters: int, strides: int, level: int) -> keras.Layer:
    return keras.layers.Conv2D(filters, 3, strides, padding="same", name=f"pyramid_{level}")


def _doubled(coarse: keras.KerasTensor, fine: keras.KerasTensor, level: int) -> keras.KerasTensor:
    """Returns a map with each pixel twice along both sides, but the last where the fine map is odd."""
    larger = keras.layers.UpSampling2D(2, name=f"upsample_{level}")(coarse)
    over = [large - side for large, side in zip(larger.shape[1:3], fine.shape[1:3], strict=True)]
    if not any(over):
        return larger
    return keras.layers.Cropping2D(((0, over[0]), (0, over[1])), name=f"crop_{level}")(larger)
