"""Learning rates over the updates of a training."""

import typing

import keras
from keras import ops
from keras.optimizers import schedules

from conveyor.components.trainer.settings import FitSettings


@keras.saving.register_keras_serializable("conveyor")
class Warmup(schedules.LearningRateSchedule):
    """A linear rise to the learning rate, then another schedule; counted in updates of the weights.

    Keras calls a schedule with the number of batches, and has a warm-up in its cosine alone.

    Args:
        learning_rate: Where the rise ends.
        updates: Updates of the rise; 0 for none. Update u, from 0, has (u + 1) / (updates + 1) of the rate.
        after: Called with the updates since the rise; None to stay at `learning_rate`.
        accumulate: Batches for one update.
    """

    def __init__(self, learning_rate, updates, after=None, accumulate=1):
        self.learning_rate = learning_rate
        self.updates = updates
        self.after = after
        self.accumulate = accumulate

    def __call__(self, step):
        update = ops.floor_divide(step, self.accumulate)
        share = ops.cast(update + 1, "float32") / (self.updates + 1)
        rise = self.learning_rate * ops.minimum(share, 1.0)
        if self.after is None:
            return rise
        return ops.where(update < self.updates, rise, self.after(ops.maximum(update - self.updates, 0)))

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "updates": self.updates,
            "after": self.after and schedules.serialize(self.after),
            "accumulate": self.accumulate,
        }

    @classmethod
    def from_config(cls, config):
        after = config["after"] and schedules.deserialize(config["after"])
        return cls(**{**config, "after": after})


def make_schedule(how: FitSettings, steps_per_epoch: int) -> typing.Any:
    """Returns the learning rate as Keras's optimisers take it.

    Args:
        how: Settings.
        steps_per_epoch: Batches an epoch.

    Returns:
        A float where the rate is constant, else a schedule from the number of batches to the rate.
    """
    rate = how.optimizer.learning_rate
    rise = round(how.warmup_epochs * steps_per_epoch / how.accumulate)
    updates = max(how.epochs * steps_per_epoch // how.accumulate - rise, 1)
    after = _decay(how, updates)
    if rise == 0 and (after is None or how.accumulate == 1):
        return after or rate
    return Warmup(rate, rise, after, how.accumulate)


def _decay(how: FitSettings, updates: int) -> schedules.LearningRateSchedule | None:
    """Returns a schedule of Keras from the number of updates; None where the rate is constant."""
    rate = how.optimizer.learning_rate
    final = how.final_rate
    if final is None:
        final = 0.01 if how.schedule in ("exponential", "steps") else 0.0
    match how.schedule:
        case "linear":
            return schedules.PolynomialDecay(rate, updates, rate * final)
        case "cosine":
            return schedules.CosineDecay(rate, updates, alpha=final)
        case "exponential":
            return schedules.ExponentialDecay(rate, updates, final)
        case "steps":
            values = [rate * final ** (drop / len(how.drops)) for drop in range(len(how.drops) + 1)]
            last = [max(round(at * updates), 1) - 1 for at in how.drops]  # the last update before a drop
            return schedules.PiecewiseConstantDecay(last, values)
        case _:
            return None
