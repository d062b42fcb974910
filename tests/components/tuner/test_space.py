import types

import pydantic
import pytest
import yaml

from conveyor.components.experiment import load_experiment
from conveyor.components.tuner.settings import DimensionSettings, SweepSettings
from conveyor.components.tuner.space import add_dimensions, check_space, fragment, grid, names, overrides
from conveyor.pipeline.errors import UserError


def make(sampler="tpe", **space):
    space = {key.replace("__", "."): value for key, value in space.items()}
    return SweepSettings.model_validate({"sampler": sampler, "space": space})


def load(more):
    return load_experiment("digits_cnn", more)


CNN = {"family": "cnn", "filters": [8]}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"uniform": [0, 1], "int": [0, 1]},
        {"uniform": [1, 0]},
        {"log": [0, 1]},
        {"int": [1, 1]},
        {"int": [0.5, 2]},
        {"choice": []},
        {"choice": {}},
        {"uniform": [0, float("nan")]},
        {"uniform": [0]},
        {"normal": [0, 1]},
    ],
)
def test_what_is_no_distribution(wrong):
    with pytest.raises(pydantic.ValidationError):
        DimensionSettings.model_validate(wrong)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "nothing to vary"),
        ({"trainer.optimizer.learning_rat": {"log": [0.1, 1]}}, "did you mean 'learning_rate'"),
        ({"trainr.epochs": {"int": [1, 2]}}, "did you mean 'trainer'"),
        ({"data.splits": {"choice": [{}]}}, "same examples"),
        ({"evaluator.split": {"choice": ["test"]}}, "same examples"),
        ({"seed": {"int": [0, 3]}}, "sweep.seeds"),
        ({"model": {"choice": [CNN]}, "model.dropout": {"uniform": [0, 0.5]}}, "part of it"),
        ({"model.dropout": {"uniform": [0, 1.5]}}, "model.dropout: 1.5"),
        ({"model": {"choice": {"good": CNN, "bad": {"family": "cnnn"}}}}, "did you mean 'cnn'"),
        ({"model": {"choice": {"good": CNN, "bad": {"family": "cmn"}}}}, "model: bad"),
    ],
)
def test_wrong_spaces_are_refused_before_anything_runs(space, message):
    with pytest.raises(UserError, match=message):
        check_space(SweepSettings.model_validate({"space": space}), load)


def test_a_grid_is_of_choices():
    with pytest.raises(UserError, match="grid"):
        check_space(make("grid", model__dropout={"uniform": [0, 0.5]}), load)


def test_good_spaces_are_let_through():
    space = {
        "model.filters": {"choice": [[16, 32], [32, 64]]},
        "trainer.optimizer.learning_rate": {"log": [1e-5, 1e-2]},
        "trainer.batch_size": {"int": [16, 128]},
        "task.label_smoothing": {"uniform": [0, 0.2]},
        "augment.0.random_translation.height_factor": {"uniform": [0, 0.2]},
    }
    check_space(SweepSettings.model_validate({"space": space}), load)


def test_a_grid_is_all_combinations():
    sweep = make("grid", model__dropout={"choice": [0.1, 0.2]}, model__dense={"choice": {"a": 8, "b": 9}})
    found = [names(sweep.space, point) for point in grid(sweep.space)]
    assert [tuple(one.values()) for one in found] == [(0.1, "a"), (0.1, "b"), (0.2, "a"), (0.2, "b")]


@pytest.mark.parametrize("value", [1e-5, 1e22, 3, "adam", None, True, [8, 16], CNN, "a: b", ["x, y"], "1e-5"])
def test_overrides_read_back_as_the_same_value(value):
    space = make(model={"choice": [value]}).space
    key, _, text = overrides(space, {"model": 0})[0].partition("=")
    assert key == "model"
    assert "\n" not in text
    assert yaml.safe_load(text) == value
    assert type(yaml.safe_load(text)) is type(value)


def test_the_fragment_is_the_same_settings():
    space = make(
        trainer__optimizer__learning_rate={"log": [1e-5, 1]},
        model={"choice": {"small": CNN}},
        augment__0__random_translation__height_factor={"uniform": [0, 1]},
    ).space
    point = {
        "trainer.optimizer.learning_rate": 1e-5,
        "model": 0,
        "augment.0.random_translation.height_factor": 0.25,
    }
    settings = load(overrides(space, point))
    text = fragment(space, point, settings.model_dump(mode="json", by_alias=True))
    pasted = [
        f"{key}={yaml.safe_dump(value)}" for key, value in yaml.safe_load(text).items() if key != "trainer"
    ]
    again = load([*pasted, "trainer.optimizer.learning_rate=0.00001"])
    assert again == settings
    assert yaml.safe_load(text)["trainer"] == {"optimizer": {"learning_rate": 1e-5}}


def test_the_command_line_adds_to_the_space_and_replaces():
    sweep = make(model__dropout={"uniform": [0, 0.5]})
    added = add_dimensions(sweep, ["model.dropout={uniform: [0, 0.1]}", "model.dense={int: [8, 9]}"])
    assert added.space["model.dropout"].uniform == (0, 0.1)
    assert added.space["model.dense"].ends() == [8, 9]
    assert sweep.space["model.dropout"].uniform == (0, 0.5)


@pytest.mark.parametrize(
    "text", ["model.dropout", "={uniform: [0, 1]}", "a=3", "a={unifrm: [0, 1]}", "a={uniform: 3}"]
)
def test_what_the_command_line_cannot_mean(text):
    with pytest.raises(UserError) as told:
        add_dimensions(SweepSettings(), [text])
    assert text in str(told.value)


def test_values_that_do_not_go_together_are_not_blamed_on_a_key():
    """Each end is tried with the first of all others, so what is refused is the key's own."""
    seen = []
    sweep = make(model__dense={"int": [8, 9]}, model__dropout={"uniform": [0.1, 0.5]})
    check_space(sweep, lambda more: seen.append(more) or types.SimpleNamespace())
    assert seen == [
        ["model.dense=8", "model.dropout=0.1"],
        ["model.dense=9", "model.dropout=0.1"],
        ["model.dense=8", "model.dropout=0.1"],
        ["model.dense=8", "model.dropout=0.5"],
    ]
