import itertools
import math

import keras
import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.components.trainer.schedules import make_schedule
from conveyor.components.trainer.settings import FitSettings

NAMES = ["constant", "linear", "cosine", "exponential", "steps"]


def rates(steps_per_epoch=10, learning_rate=0.5, **how):
    """The rate of each batch."""
    how = FitSettings(optimizer={"learning_rate": learning_rate}, **how)
    schedule = make_schedule(how, steps_per_epoch)
    batches = np.arange(how.epochs * steps_per_epoch)
    return np.array(schedule(batches)).tolist() if callable(schedule) else [schedule] * len(batches)


def test_constant_is_a_plain_number():
    assert make_schedule(FitSettings(optimizer={"learning_rate": 0.5}, accumulate=2), 10) == 0.5


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"schedule": "linear"}, [1.0, 0.75, 0.5, 0.25]),
        ({"schedule": "linear", "final_rate": 0.2}, [1.0, 0.8, 0.6, 0.4]),
        ({"schedule": "cosine"}, [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
        ({"schedule": "cosine", "final_rate": 0.5}, [1.0, 0.75 + math.sqrt(0.5) / 4, 0.75, None]),
        ({"schedule": "exponential", "final_rate": 1 / 16}, [1.0, 1 / 2, 1 / 4, 1 / 8]),
        ({"schedule": "exponential"}, [1.0, 0.01**0.25, 0.1, 0.01**0.75]),
        ({"schedule": "steps"}, [1.0, 1.0, 0.1, 0.01]),
        ({"schedule": "steps", "drops": [0.25], "final_rate": 0.5}, [1.0, 0.5, 0.5, 0.5]),
    ],
)
def test_four_updates_worked_by_hand(how, expected):
    found = rates(4, learning_rate=1.0, epochs=1, **how)
    for rate, wanted in zip(found, expected, strict=True):
        assert wanted is None or rate == pytest.approx(wanted, abs=1e-6)


def test_warm_up_rises_in_equal_steps_to_the_rate_and_the_schedule_follows():
    found = rates(3, learning_rate=1.0, epochs=3, warmup_epochs=1, schedule="linear")
    assert found == pytest.approx([0.25, 0.5, 0.75, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_warm_up_may_be_a_part_of_an_epoch():
    assert rates(4, learning_rate=1.0, epochs=1, warmup_epochs=0.5) == pytest.approx([1 / 3, 2 / 3, 1.0, 1.0])


def test_schedules_count_updates_not_batches():
    found = rates(4, learning_rate=1.0, epochs=2, accumulate=2, schedule="linear")
    assert found == pytest.approx([1.0, 1.0, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25])


@settings(deadline=None)
@given(
    name=st.sampled_from(NAMES),
    epochs=st.integers(1, 4),
    steps=st.integers(1, 9),
    accumulate=st.integers(1, 3),
    share=st.floats(0.0, 0.9),
)
def test_every_schedule_stays_between_nothing_and_the_rate(name, epochs, steps, accumulate, share):
    warmup = share * epochs
    how = {"schedule": name, "epochs": epochs, "accumulate": accumulate}
    found = rates(steps, learning_rate=0.5, warmup_epochs=warmup, **how)
    rise = round(warmup * steps / accumulate) * accumulate
    assert all(0 < rate <= 0.5 + 1e-6 for rate in found[: epochs * steps // accumulate * accumulate])
    assert all(later >= earlier for earlier, later in itertools.pairwise(found[: rise + 1]))
    assert all(later <= earlier + 1e-7 for earlier, later in itertools.pairwise(found[rise:]))
    assert found[rise : rise + 1] in ([], [pytest.approx(0.5)])


@pytest.mark.parametrize("name", NAMES)
def test_schedule_is_the_same_from_its_config(name):
    schedule = make_schedule(FitSettings(schedule=name, warmup_epochs=2, accumulate=3, epochs=4), 10)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert [float(again(step)) for step in range(40)] == [float(schedule(step)) for step in range(40)]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"epochs": 2, "warmup_epochs": 2}, "fewer warmup_epochs than epochs"),
        ({"schedule": "exponential", "final_rate": 0.0}, "final_rate above 0"),
        ({"schedule": "steps", "final_rate": 0.0}, "final_rate above 0"),
        ({"drops": [0.75, 0.5]}, "ascending"),
        ({"drops": [0.5, 0.5]}, "ascending"),
        ({"drops": [1.0]}, "less than 1"),
        ({"class_weights": "balanced", "sampling": "balanced"}, "twice"),
    ],
)
def test_wrong_settings_are_told(how, expected):
    with pytest.raises(pydantic.ValidationError, match=expected):
        FitSettings(**how)
