"""The shipped experiment compares what it says."""

import pytest

from conveyor.components.experiment import load_experiment
from conveyor.models.build import build_model


def test_all_have_the_same_number_of_weights():
    sweep = load_experiment("deep_versus_wide").sweep
    models = sweep.space["model"].choice
    counts = {}
    for name, section in models.items():
        model = load_experiment("deep_versus_wide", [f"model={section!r}"]).model
        built = build_model(model, (32, 32, 1), {"classes": 10})
        counts[name] = built.count_params()
        convolutions = [layer for layer in built.layers if "Conv2D" in type(layer).__name__]
        assert name == f"{len(convolutions)} layers"
    assert max(counts.values()) <= 1.01 * min(counts.values())
    assert min(counts.values()) == pytest.approx(40_000, rel=0.01)
