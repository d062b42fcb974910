"""Trains on one CPU, and mirrored on two logical CPUs; prints what differs, as JSON."""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from conveyor.components.trainer.optimizers import make_optimizer
from conveyor.components.trainer.settings import FitSettings
from conveyor.components.trainer.strategy import open_strategy
from conveyor.models.cnn.cnn import CNN
from conveyor.pipeline.errors import UserError

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
HOW = FitSettings(
    epochs=3,
    schedule="cosine",
    warmup_epochs=1,
    optimizer={"name": sys.argv[1], "weight_decay": 0.1, "clip_norm": 0.5, "ema": 0.5, "learning_rate": 0.05},
)
random = np.random.default_rng(0)
IMAGES = random.normal(size=(32, 8, 8, 1)).astype(np.float32)
LABELS = np.eye(3, dtype=np.float32)[random.integers(3, size=32)]


def train(name):
    keras.utils.set_random_seed(0)
    strategy = open_strategy(name)
    with strategy.scope():
        model = CNN((8, 8, 1), 3, filters=[2], dense=4)
        model.frozen_epochs = 1
        model.is_pretrained = lambda variable: "conv" in variable.path
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(make_optimizer(HOW, 4, model), loss)
    history = model.fit(IMAGES, LABELS, batch_size=8, epochs=3, shuffle=False, verbose=0).history
    return strategy, history["loss"], model.get_weights()


one, losses, weights = train("cpu")
two, mirrored, mirrored_weights = train("mirrored")
with two.scope():
    try:
        make_optimizer(FitSettings(accumulate=2), 4, CNN((8, 8, 1), 3, filters=[2]))
        told = ""
    except UserError as error:
        told = str(error)
difference = max(float(abs(a - b).max()) for a, b in zip(weights, mirrored_weights, strict=True))
replicas = [one.num_replicas_in_sync, two.num_replicas_in_sync]
print(json.dumps({"replicas": replicas, "losses": [losses, mirrored], "weights": difference, "told": told}))
