"""One worker of several, by TF_CONFIG: trains on its share of each batch; prints what came of it."""

import json

import keras
import numpy as np

from conveyor.components.trainer.optimizers import make_optimizer
from conveyor.components.trainer.settings import FitSettings
from conveyor.components.trainer.strategy import open_strategy
from conveyor.models.model import Model


class Linear(Model):
    """A linear model."""

    def __init__(self):
        image = keras.Input((2, 2, 1))
        super().__init__(image, keras.layers.Dense(2)(keras.layers.Flatten()(image)))


strategy = open_strategy("multi_worker")
keras.utils.set_random_seed(0)
with strategy.scope():
    model = Linear()
    how = FitSettings(optimizer={"name": "sgd", "learning_rate": 0.5, "clip_norm": 0.1})
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(make_optimizer(how, 2, model), loss, metrics=["accuracy"])
random = np.random.default_rng(0)
images, labels = random.normal(size=(8, 2, 2, 1)), np.eye(2)[random.integers(2, size=8)]
history = model.fit(images, labels, batch_size=4, epochs=2, shuffle=False, verbose=0).history
judged = model.evaluate(images, labels, batch_size=4, verbose=0, return_dict=True)
weights = [weight.round(5).tolist() for weight in model.get_weights()]
print(json.dumps([strategy.num_replicas_in_sync, weights, history, judged]))
