"""What is drawn when examples are resampled."""

import numpy as np
import pytest
from judged import decide, make_evaluation, make_examples

from conveyor.components.evaluator.units import find_groups
from conveyor.pipeline.errors import UserError

IDS = np.array(["3", "0", "2", "1"])


def examples(tmp_path, groups):
    return make_examples(tmp_path / "examples", group=groups)


def test_groups_are_found_by_id_and_others_stand_alone(tmp_path):
    data = examples(tmp_path, ["a", "b", "a", ""])
    found = find_groups(data, "test", IDS, "auto")
    of = dict(zip(IDS.tolist(), found.tolist(), strict=True))
    assert of["0"] == of["2"]
    assert len({of["0"], of["1"], of["3"]}) == 3
    np.testing.assert_array_equal(find_groups(data, "test", IDS, "groups"), found)
    assert find_groups(data, "test", IDS, "examples") is None


@pytest.mark.parametrize("groups", [["", "", "", ""], ["a", "b", "c", "d"], ["a", "", "b", ""]])
def test_where_no_two_share_a_group_examples_are_drawn(tmp_path, groups):
    data = examples(tmp_path, groups)
    assert find_groups(data, "test", IDS, "auto") is None
    with pytest.raises(UserError, match="no two examples share a group"):
        find_groups(data, "test", IDS, "groups")


def test_a_name_of_a_group_is_no_name_of_an_example(tmp_path):
    data = examples(tmp_path, ["", "example 0", "example 0", ""])
    assert len(np.unique(find_groups(data, "test", IDS, "auto"))) == 3


def test_a_contest_draws_groups(tmp_path):
    """Of 10 groups of 40 the new model is better on 6 and worse on 3: undecided, though by single examples
    it would be better for sure."""
    group = np.repeat(np.arange(10), 40)
    right = np.arange(400) % 4 > 0
    new, old = right & (group >= 3), right & (group < 4)
    data = make_examples(tmp_path / "examples", group=[f"patient {number}" for number in group])
    truth = np.arange(400) % 2
    pair = make_evaluation(tmp_path / "new", truth, new), make_evaluation(tmp_path / "old", truth, old)
    how = {"bless": {"metric": "accuracy", "at_least": 0.1}, "against": {"model": "last_blessed"}}
    by = {
        kind: decide(tmp_path / f"by {kind}", pair[0], data, pair[1], resample=kind, **how).read()[
            "comparison"
        ]
        for kind in ("auto", "examples")
    }
    assert (by["auto"]["verdict"], by["examples"]["verdict"]) == ("undecided", "better")
    width = {kind: found["gain"]["high"] - found["gain"]["low"] for kind, found in by.items()}
    assert width["auto"] > 3 * width["examples"]
    assert by["auto"]["gain"]["value"] == by["examples"]["gain"]["value"]
