import os

import keras
import numpy as np
import pytest

from conveyor.components.trainer import checkpoint
from conveyor.components.trainer.checkpoint import Progress


def make():
    inputs = keras.Input([3])
    hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    optimizer = keras.optimizers.Adam(use_ema=True, gradient_accumulation_steps=2)
    model.compile(optimizer, "mse", metrics=["mae"])
    random = np.random.default_rng(0)
    model.fit(random.normal(size=(8, 3)), random.normal(size=(8, 2)), batch_size=2, epochs=1, verbose=0)
    return model


@pytest.fixture(scope="module")
def model():
    return make()


PROGRESS = Progress(
    done=7,
    history={"loss": [0.1 + 0.2, 1e-300]},
    best_epoch=1,
    best_value=1 / 3,
    best_weights=[np.float32([1.5]), np.zeros((0, 2), np.float32)],
)


def test_all_that_training_changes_is_saved(model):
    kinds = [variable.path for variable in checkpoint.variables_of(model)]
    for part in ("kernel", "moving_mean", "seed_generator", "velocity", "average", "gradient_accumulator"):
        assert any(part in path for path in kinds), part
    assert any("iteration" in path for path in kinds)
    assert {id(variable) for variable in model.metrics_variables} <= {
        id(variable) for variable in checkpoint.variables_of(model)
    }


def test_restores_every_bit(model, tmp_path):
    saved = [np.array(variable) for variable in checkpoint.variables_of(model)]
    checkpoint.save(tmp_path, "key", PROGRESS, model)
    for variable in checkpoint.variables_of(model):
        variable.assign(np.ones_like(variable))
    loaded = checkpoint.load(tmp_path, "key")
    checkpoint.restore(loaded, model)
    for variable, value in zip(checkpoint.variables_of(model), saved, strict=True):
        np.testing.assert_array_equal(variable, value)
    for name in ("done", "history", "best_epoch", "best_value"):
        assert getattr(loaded, name) == getattr(PROGRESS, name)
    for one, other in zip(loaded.best_weights, PROGRESS.best_weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert loaded.epochs == 2


def test_nothing_best_yet(model, tmp_path):
    checkpoint.save(tmp_path, "key", Progress(done=1), model)
    loaded = checkpoint.load(tmp_path, "key")
    assert (loaded.best_epoch, loaded.best_value, loaded.best_weights, loaded.history) == (0, np.inf, [], {})


def test_checkpoint_of_another_training_is_not_taken(model, tmp_path):
    checkpoint.save(tmp_path, "key", PROGRESS, model)
    assert checkpoint.load(tmp_path, "other") == Progress()
    assert checkpoint.load(tmp_path / "absent", "key") == Progress()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", None])
def test_damaged_checkpoint_is_as_none(model, tmp_path, damage):
    checkpoint.save(tmp_path, "key", PROGRESS, model)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-100] if damage is None else damage)
    assert checkpoint.load(tmp_path, "key") == Progress()


def test_pickles_are_not_opened(tmp_path):
    np.savez(tmp_path / "checkpoint.npz", state=np.array([{"key": "key"}], dtype=object))
    assert checkpoint.load(tmp_path, "key") == Progress()


def test_save_that_dies_leaves_the_one_before(model, tmp_path, monkeypatch):
    checkpoint.save(tmp_path, "key", PROGRESS, model)

    def die(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, "key", Progress(done=9), model)
    assert checkpoint.load(tmp_path, "key").done == 7
