"""What the preprocessing is fitted to."""

import pydantic
import pytest

from conveyor.components.transform.fit import fit
from conveyor.components.transform.settings import TransformSettings
from conveyor.pipeline.errors import UserError


def numbers(low, median, high):
    return {"min": low, "max": high, "quantiles": [low, low, median, high, high]}


def train(height, width, mean=(100.0,), std=(50.0,)):
    facts = {"channel_mean": list(mean), "channel_std": list(std)}
    return {"train": {"height": numbers(*height), "width": numbers(*width), **facts}}


SAME = train((28, 28, 28), (20, 20, 20))
RGB = train((8, 8, 8), (8, 8, 8), mean=(10, 20, 30), std=(4, 5, 6))


def size(statistics, **settings):
    document = fit(statistics, 1, TransformSettings(**settings))
    return document["height"], document["width"]


@pytest.mark.parametrize(
    ("statistics", "expected"),
    [
        (SAME, (28, 20)),
        (train((27, 27, 27), (1, 1, 1)), (27, 1)),
        # The medians, to the nearest multiple of 8, but not less than 8.
        (train((20, 29, 90), (21, 21, 21)), (32, 24)),
        (train((20, 27, 90), (3, 3, 3)), (24, 8)),
        # 500 x 300 is made to fit into 224: by 0.448, so 224 x 134.4.
        (train((100, 500, 900), (100, 300, 900)), (224, 136)),
        (train((100, 240, 900), (100, 4000, 9000)), (16, 224)),
        (train((224, 224, 300), (224, 224, 300)), (224, 224)),
        # The sketch is off by up to 0.5%.
        (train((1, 223.1, 300), (1, 64.3, 300)), (224, 64)),
    ],
)
def test_size(statistics, expected):
    assert size(statistics) == expected


def test_configured_size():
    assert size(SAME, size=(5, 7)) == (5, 7)
    assert size(train((1, 2, 3), (1, 2, 3)), size=(300, 400)) == (300, 400)


@pytest.mark.parametrize("of_the_data", [1, 3])
@pytest.mark.parametrize("configured", [None, 1, 3])
def test_rescale(of_the_data, configured):
    document = fit(SAME if of_the_data == 1 else RGB, of_the_data, TransformSettings(channels=configured))
    channels = configured or of_the_data
    assert document["channels"] == channels
    assert (document["mean"], document["std"]) == ([0.0] * channels, [255.0] * channels)


@pytest.mark.parametrize(
    ("statistics", "of_the_data", "channels", "mean", "std"),
    [
        (SAME, 1, None, [100], [50]),
        (RGB, 3, None, [10, 20, 30], [4, 5, 6]),
        (SAME, 1, 3, [100] * 3, [50] * 3),
        # 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15, and likewise 4.815.
        (RGB, 3, 1, [18.15], [4.815]),
        # No pixel differs: dividing by 0 is of no use.
        (train((8, 8, 8), (8, 8, 8), (7,), (0,)), 1, None, [7], [1]),
    ],
)
def test_standardize(statistics, of_the_data, channels, mean, std):
    document = fit(statistics, of_the_data, TransformSettings(normalize="standardize", channels=channels))
    assert document["mean"] == pytest.approx(mean)
    assert document["std"] == pytest.approx(std)
    assert document["channels"] == len(mean)


def test_only_the_training_split_counts():
    other = {**SAME["train"], "height": numbers(1, 2, 3), "channel_mean": [7.0]}
    settings = TransformSettings(normalize="standardize")
    assert fit({"test": other, **SAME, "validation": other}, 1, settings) == fit(SAME, 1, settings)


def test_without_a_training_split():
    with pytest.raises(UserError, match="no training split") as caught:
        fit({"test": SAME["train"], "extra": SAME["train"]}, 1, TransformSettings())
    assert caught.value.received == "test, extra"


@pytest.mark.parametrize(
    "settings",
    [{"size": (0, 5)}, {"size": (5,)}, {"size": 5}, {"channels": 2}, {"normalize": "none"}, {"sise": (5, 5)}],
)
def test_settings_that_are_none(settings):
    with pytest.raises(pydantic.ValidationError):
        TransformSettings(**settings)
