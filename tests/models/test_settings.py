import math

import pydantic
import pytest

from conveyor.models.settings import AugmentationSettings

ADAPTER = pydantic.TypeAdapter(AugmentationSettings)


@pytest.mark.parametrize("value", [1, 0.5, True, None, "constant", [0.1, 2], []])
def test_arguments_stay_what_they_are(value):
    (layer,) = ADAPTER.validate_python([{"random_zoom": {"height_factor": value}}])
    found = layer["random_zoom"]["height_factor"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, [0.1, math.nan], {"a": 1}, [[1]], ["a"], [None], b"a", 10**400]
)
def test_arguments_that_no_layer_takes(value):
    with pytest.raises(pydantic.ValidationError, match="a list of numbers"):
        ADAPTER.validate_python([{"random_zoom": {"height_factor": value}}])


@pytest.mark.parametrize(
    "layer", ["random_flip", {}, {"random_flip": {}, "random_crop": {}}, {"random_flip": None}]
)
def test_an_item_is_one_layer(layer):
    with pytest.raises(pydantic.ValidationError):
        ADAPTER.validate_python([layer])
