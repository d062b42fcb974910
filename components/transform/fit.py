"""What the preprocessing needs to know, from the training split's statistics."""

import typing

from conveyor.components.transform.settings import TransformSettings
from conveyor.pipeline.errors import UserError

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: how decoders make grey of RGB
_LARGEST = 224  # pixels; where sizes differ and none is configured


def fit(
    statistics: dict[str, typing.Any], data_channels: int, settings: TransformSettings
) -> dict[str, typing.Any]:
    """Returns the document of a TransformGraph.

    Args:
        statistics: The document of a Statistics artifact; only `train` is used.
        data_channels: Most channels of any image.
        settings: What to do.

    Raises:
        UserError: There is no training split.
    """
    if "train" not in statistics:
        raise UserError(
            "there is no training split to fit the preprocessing on",
            expected="a split train",
            received=", ".join(statistics),
        )
    train = statistics["train"]
    height, width = settings.size or _common_size(train)
    channels = settings.channels or data_channels
    mean, std = [0.0] * channels, [255.0] * channels
    if settings.normalize == "standardize":
        mean = _match(train["channel_mean"], channels)
        std = [max(value, 1.0) for value in _match(train["channel_std"], channels)]
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "mean": mean,
        "std": std,
        "resize": settings.resize,
        "stride": settings.stride,
        "fill": [round(value) for value in _match(train["channel_mean"], channels)],
    }


def input_shape(document: dict[str, typing.Any]) -> tuple[int | None, int | None, int]:
    """Returns height, width and channels of the model input, as a TransformGraph's document has them.

    Sides are None where images keep their sizes.
    """
    sides = (None, None) if document["resize"] == "none" else (document["height"], document["width"])
    return *sides, document["channels"]


def _common_size(train: dict[str, typing.Any]) -> tuple[int, int]:
    """Returns the size of all images; where they differ, near the median, at most 224 pixels."""
    sizes = train["height"], train["width"]
    if all(size["min"] == size["max"] for size in sizes):
        return int(sizes[0]["min"]), int(sizes[1]["min"])
    medians = [size["quantiles"][len(size["quantiles"]) // 2] for size in sizes]
    scale = min(1.0, _LARGEST / max(medians))
    height, width = (max(8, round(median * scale / 8) * 8) for median in medians)
    return height, width


def _match(values: list[float], channels: int) -> list[float]:
    """Returns a value per channel: grey repeated, or RGB as luma.

    The mean of luma is the luma of the means. Of deviations that gives the largest that luma can
    have, which is near the truth, because the channels of photographs go together.
    """
    if len(values) == channels:
        return values
    if len(values) == 1:
        return values * channels
    return [sum(weight * value for weight, value in zip(_LUMA, values, strict=True))]
