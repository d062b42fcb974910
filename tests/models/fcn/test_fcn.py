"""What is scored, and at which size."""

import pytest

from conveyor.models.fcn.fcn import FCN


def scored(**arguments):
    """Returns level -> (side of the map that is scored, its channels), of an image of 64 x 64 pixels."""
    model = FCN((64, 64, 3), 2, filters=[3, 4, 5], convolutions=1, head_filters=0, **arguments)
    found = {}
    for layer in model.layers:
        if layer.name.startswith("score_"):
            _, height, width, channels = layer.input.shape
            assert height == width
            found[int(layer.name.removeprefix("score_"))] = height, channels
    return found


@pytest.mark.parametrize(
    ("skips_from", "skips", "levels"),
    [
        # level 3 is the last block's map after pooling: 64 / 2^3 = 8
        ("pooling", 0, {3: (8, 5)}),
        ("pooling", 1, {3: (8, 5), 2: (16, 4)}),
        ("pooling", 2, {3: (8, 5), 2: (16, 4), 1: (32, 3)}),
        ("pooling", 3, {3: (8, 5), 2: (16, 4), 1: (32, 3), 0: (64, 3)}),
        # as large as above, but each is the output of one block more
        ("blocks", 0, {3: (8, 5)}),
        ("blocks", 1, {3: (8, 5), 2: (16, 5)}),
        ("blocks", 2, {3: (8, 5), 2: (16, 5), 1: (32, 4)}),
        ("blocks", 3, {3: (8, 5), 2: (16, 5), 1: (32, 4), 0: (64, 3)}),
    ],
)
def test_skips_are_maps_after_pooling_or_what_was_pooled(skips_from, skips, levels):
    assert scored(skips=skips, skips_from=skips_from) == levels


def test_skips_are_from_pooling_unless_told():
    assert scored(skips=2) == scored(skips=2, skips_from="pooling")


def test_with_a_stem_all_maps_are_as_much_smaller():
    assert scored(skips=3, stem_strides=2, skips_from="blocks") == {
        4: (4, 5),
        3: (8, 5),
        2: (16, 4),
        1: (32, 3),
    }


def test_more_skips_than_maps():
    with pytest.raises(ValueError, match="at most 3 skips"):
        FCN((64, 64, 3), 2, filters=[3, 4, 5], skips=4)
