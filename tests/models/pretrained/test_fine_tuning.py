"""How the optimiser moves the weights of a backbone: not at first, then at lower rates."""

import keras
import numpy as np
import pytest

from conveyor.components.trainer.optimizers import make_optimizer
from conveyor.components.trainer.settings import FitSettings
from conveyor.models.cnn.cnn import CNN
from conveyor.models.pretrained.pretrained import Pretrained

IMAGE = (12, 10, 1)
STEPS = 3


@pytest.fixture
def file(tmp_path):
    keras.utils.set_random_seed(3)
    CNN(IMAGE, 5, filters=[4, 6], normalization="batch", dense=0, name="cnn").save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def make(file, rate=0.5):
    keras.utils.set_random_seed(4)
    return Pretrained(IMAGE, 2, {"path": str(file)}, dropout=0, frozen_epochs=1, rate=rate, rate_decay=0.2)


def train(model, epochs):
    """Returns path -> how far each weight went in the last epoch."""
    how = FitSettings(epochs=2, optimizer={"name": "sgd", "momentum": 0, "learning_rate": 0.01})
    model.compile(make_optimizer(how, STEPS, model), keras.losses.CategoricalCrossentropy(from_logits=True))
    images = np.random.default_rng(0).random((STEPS * 4, *IMAGE), dtype=np.float32)
    targets = np.eye(2, dtype=np.float32)[np.arange(STEPS * 4) % 2]
    for _ in range(epochs):
        before = [weights.numpy() for weights in model.weights]
        model.fit(images, targets, batch_size=4, epochs=1, verbose=0, shuffle=False)
    pairs = zip(before, model.weights, strict=True)
    return {weights.path: np.abs(weights.numpy() - old).max() for old, weights in pairs}


def test_only_the_head_moves_while_the_backbone_is_frozen(file):
    moved = {path for path, distance in train(make(file), 1).items() if distance}
    assert moved == {"logits/kernel", "logits/bias"}


def test_afterwards_all_moves_but_batch_normalisation(file):
    moved = {path for path, distance in train(make(file), 2).items() if distance}
    assert moved == {"conv_1_1/kernel", "conv_2_1/kernel", "logits/kernel", "logits/bias"}


def test_a_lower_rate_moves_the_backbone_less(file):
    half, tenth = train(make(file, rate=0.5), 2), train(make(file, rate=0.1), 2)
    for path in ("conv_1_1/kernel", "conv_2_1/kernel"):
        assert tenth[path] == pytest.approx(half[path] / 5, rel=0.05)


def test_without_a_rate_it_never_moves(file):
    moved = {path for path, distance in train(make(file, rate=0.0), 2).items() if distance}
    assert moved == {"logits/kernel", "logits/bias"}
