"""Advice: said where it is true, with the right numbers, and not where it is not."""

import keras
import pytest
from keras import layers

from conveyor.models.describe.advice import advise, image_side, object_sizes, totals
from conveyor.models.layer_table import layer_table


def cnn(side, blocks, head=()):
    stack = [keras.Input((side, side, 1), name="image")]
    for number in range(blocks):
        stack += [layers.Conv2D(8, 3, padding="same", name=f"conv_{number}"), layers.MaxPooling2D(2)]
    return layer_table(keras.Sequential([*stack, *head]))


def sizes(small, median, large):
    return {"small": small, "median": median, "large": large}


def test_too_small_a_field_says_what_would_do():
    # 3, 4; 8, 10: two blocks see 10 px, and their features are 4 px apart
    (sentence,) = advise(cnn(64, 2), sizes(8, 31, 50))
    assert "sees 10 px; the median object is 31 px" in sentence
    # a third convolution sees 10 + 2*4, its stride 2 makes 18 + 4 = 22; a fourth 22 + 2*8 + 8 = 46
    assert "2 more stages of a 3-wide convolution and stride 2 would see 46 px" in sentence
    assert keras_says(64, 4) == 46


def keras_says(side, blocks):
    return cnn(side, blocks)[-1]["receptive_field"]


def test_without_objects_the_image_is_to_be_seen():
    (sentence,) = advise(cnn(20, 2))
    assert "sees 10 px; the image is 20 px" in sentence
    assert "One more stage of a 3-wide convolution and stride 2 would see 22 px" in sentence


def test_no_advice_where_all_fits():
    assert advise(cnn(64, 3, [layers.GlobalAveragePooling2D(), layers.Dense(3)]), sizes(8, 12, 20)) == []


def test_small_objects_between_the_places_of_the_last_map():
    (sentence,) = advise(cnn(64, 4), sizes(6, 20, 40))
    assert "are 16 px apart, and one object in ten is smaller than 6 px" in sentence
    assert "The last map that tells such objects apart is conv_2" in sentence  # its places are 4 px apart


def test_far_too_large_a_field_says_which_layer_would_do():
    rows = cnn(16, 2, [layers.Conv2D(8, 3, padding="same", name=f"deep_{i}") for i in range(8)])
    (sentence,) = advise(rows)
    assert "(deep_7) sees 74 px, 5 times the side of the image (16 px)" in sentence
    assert "deep_0 already sees the whole image" in sentence  # 10 + 2*4


def test_a_window_wider_than_its_map():
    rows = cnn(8, 3, [layers.Conv2D(8, 3, padding="same", name="late")])
    assert any(
        "late slides a 3x3 kernel over a map of 1x1: 8 of its 9 places" in text for text in advise(rows)
    )
    rows = cnn(8, 2, [layers.Conv2D(8, 3, padding="same", name="late")])
    assert not any("slides" in text for text in advise(rows)), "on 2x2 each weight meets data somewhere"


def test_a_dense_layer_that_holds_most_parameters():
    rows = cnn(28, 2, [layers.Flatten(name="flatten"), layers.Dense(128, name="dense"), layers.Dense(3)])
    text = advise(rows)[-1]
    # 7*7*8 * 128 + 128; others: 80 + 584 + 387
    assert "dense holds 50,304 of 51,355 parameters (98%), because flatten hands it 392 features" in text
    assert text.endswith("would hand it 8.")


def test_effective_field_that_is_far_below_the_object():
    rows = cnn(32, 4)
    assert not any("depends on" in text for text in advise(rows))
    for row in rows:
        row["effective_field"] = None
    rows[-1]["effective_field"] = 9
    assert any(
        "with these weights 95% of what it depends on lies in 9 px; the image is 32 px" in text
        for text in advise(rows)
    )


@pytest.mark.parametrize(
    "model",
    [
        keras.Sequential([keras.Input((9, 9, 1)), layers.Flatten(), layers.Dense(4)]),
        keras.Sequential([keras.Input((30,)), layers.Dense(400), layers.Dense(4)]),
        keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(4, 3)]),
    ],
)
def test_no_advice_on_what_has_no_field_or_no_size(model):
    assert advise(layer_table(model), sizes(1, 2, 3)) == []


def test_nothing_of_nothing():
    assert advise([]) == []
    assert totals([]) == {"parameters": 0, "flops": 0, "uncounted": [], "shared": 0, "dense": 0}
    assert image_side([]) is None


def test_totals():
    rows = [
        {"layer": "conv", "parameters": 10, "dense_parameters": 500, "flops": 7},
        {"layer": "odd", "parameters": 3, "dense_parameters": None, "flops": None},
    ]
    assert totals(rows) == {"parameters": 13, "flops": 7, "uncounted": ["odd"], "shared": 10, "dense": 500}


def test_object_sizes_are_scaled_to_the_model_input():
    cuts = [number / 100 for number in range(0, 101, 5)]  # shares of the side of a square image
    found = object_sizes({"objects": {"relative_size": {"quantiles": cuts}}}, 50, 200)
    assert found == pytest.approx(sizes(10, 50, 90))  # of the root of 50 * 200
    assert object_sizes({"examples": 3}, 50, 200) is None
