import math

import keras
import numpy as np
import pytest
from small_run import CLASSES, COUNTS, draw_images, make_examples, make_graph, new, train, training

from conveyor.components.artifacts import Model
from conveyor.components.trainer.fit import fit
from conveyor.components.trainer.inputs import evaluation_input
from conveyor.components.trainer.stage import trainer
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context

TRAIN = COUNTS["train"] * len(CLASSES)
# Long enough to learn the noise by heart: validation loss falls, then rises.
TOO_LONG = {"name": "sgd", "learning_rate": 0.1, "epochs": 6}


@pytest.fixture(scope="module")
def without_validation(tmp_path_factory):
    """Examples with a training and a test split only, and their preprocessing."""
    folder = tmp_path_factory.mktemp("without_validation")
    source = draw_images(folder / "source", {"train": 8, "test": 4})
    examples = make_examples(folder, source, splits={"train": 0.9, "validation": 0, "test": 0.1})
    assert set(examples.properties["splits"]) == {"train", "test"}
    return examples, make_graph(folder, examples)


def validation_loss(run, fitted):
    batches = evaluation_input(run.examples, run.graph, fitted.task, "validation", 7)
    return fitted.model.evaluate(batches, verbose=0, return_dict=True)["loss"]


@pytest.mark.parametrize("batch_size", [2, 10, 1000])  # more steps than run in one call; several; one
def test_history_has_a_value_for_every_epoch(run, batch_size):
    fitted = fit(run.examples, run.graph, training(epochs=4, batch_size=batch_size), Context())
    assert set(fitted.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    for name, values in fitted.history.items():
        assert len(values) == 4, name
        assert all(type(value) is float and math.isfinite(value) for value in values), name
    assert fitted.model.optimizer.iterations == 4 * math.ceil(TRAIN / batch_size)
    assert fitted.family == "linear"
    assert fitted.task.classes == CLASSES


def test_cosine_schedule_ends_with_the_last_step(run):
    fitted = fit(run.examples, run.graph, training(schedule="cosine"), Context())
    schedule = fitted.model.optimizer._learning_rate
    assert schedule.decay_steps == fitted.model.optimizer.iterations == 3 * math.ceil(TRAIN / 10)
    assert float(fitted.model.optimizer.learning_rate) == pytest.approx(0.0, abs=1e-9)


def test_best_epoch_is_kept(run):
    context = Context()
    fitted = fit(run.examples, run.graph, training(**TOO_LONG), context)
    losses = fitted.history["val_loss"]
    assert losses.index(min(losses)) not in (0, 5), "this test is of a best epoch between others"
    assert fitted.best_epoch == losses.index(min(losses)) + 1
    assert validation_loss(run, fitted) == pytest.approx(min(losses), rel=1e-5)
    assert context.looks == [{"split": "validation", "purpose": "choose"}]


def test_last_epoch_is_kept_where_it_is_asked_for(run):
    context = Context()
    fitted = fit(run.examples, run.graph, training(**TOO_LONG, select="last"), context)
    losses = fitted.history["val_loss"]
    assert fitted.best_epoch == 6
    assert validation_loss(run, fitted) == pytest.approx(losses[-1], rel=1e-5)
    assert min(losses) < losses[-1]
    assert context.looks == []


def test_without_validation_the_last_epoch_is_kept(without_validation):
    context = Context()
    fitted = fit(*without_validation, training(), context)
    assert set(fitted.history) == {"loss", "accuracy"}
    assert fitted.best_epoch == 3
    assert context.looks == []


def test_training_lowers_the_loss(run):
    fitted = fit(run.examples, run.graph, training(epochs=8), Context())
    assert fitted.history["loss"][-1] < 0.5 * fitted.history["loss"][0]
    assert fitted.history["accuracy"][-1] > 0.9


def test_smoothing_of_the_task_reaches_the_loss(run):
    plain = fit(run.examples, run.graph, training(epochs=1), Context())
    settings = training(epochs=1).model_copy(update={"task": plain.task.settings})
    smoothed = settings.task.model_copy(update={"label_smoothing": 0.5})
    again = fit(run.examples, run.graph, settings.model_copy(update={"task": smoothed}), Context())
    assert again.history["val_loss"] != plain.history["val_loss"]


@pytest.mark.parametrize("seed", [2**31 - 1])
def test_seed_decides_weights(run, seed):
    model = {"family": "mlp", "units": [6], "dropout": 0.3}
    augment = [{"random_rotation": {"factor": 0.1}}, {"random_contrast": {"factor": 0.5}}]

    def fit_with(seed):
        settings = training(model, seed=seed).model_copy(update={"augment": augment})
        return fit(run.examples, run.graph, settings, Context())

    one, same, other = fit_with(seed), fit_with(seed), fit_with(seed + 1)
    assert one.history == same.history
    for a, b in zip(one.model.get_weights(), same.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.history != other.history
    for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        assert np.any(a != b)


# === divergence ===


def test_divergence_names_the_epoch_and_ends_training_there(run, monkeypatch):
    epochs = []
    whole = keras.callbacks.CallbackList.on_epoch_end

    def count(self, epoch, logs=None):
        epochs.append(epoch)
        return whole(self, epoch, logs)

    monkeypatch.setattr(keras.callbacks.CallbackList, "on_epoch_end", count)
    with pytest.raises(UserError, match=r"diverged: (val_)?loss became (nan|inf) in epoch 1") as caught:
        fit(run.examples, run.graph, training(name="sgd", learning_rate=1e38, epochs=5), Context())
    assert "learning_rate" in caught.value.fix
    assert epochs == [0]


def test_divergence_in_a_later_epoch(without_validation):
    # One step an epoch: the first loss is that of the weights before any step.
    settings = training(name="sgd", learning_rate=1e38, batch_size=100)
    with pytest.raises(UserError, match="in epoch 2"):
        fit(*without_validation, settings, Context())


def test_divergence_in_the_very_last_step(without_validation):
    settings = training(name="sgd", learning_rate=1e38, weight_decay=1e3, batch_size=100, epochs=1)
    with pytest.raises(UserError, match="weights are no numbers in epoch 1"):
        fit(*without_validation, settings, Context())


def test_nothing_is_exported_of_a_training_that_diverged(run, tmp_path):
    model = new(tmp_path, Model)
    with pytest.raises(UserError):
        trainer(
            examples=run.examples,
            transform_graph=run.graph,
            model=model,
            settings=training(name="sgd", learning_rate=1e38),
            context=Context(),
        )
    assert list(model.path.iterdir()) == []


def test_model_too_deep_for_the_images_is_told_before_training(run, tmp_path):
    settings = training({"family": "cnn", "filters": [2] * 5})
    with pytest.raises(UserError, match="12x10"):
        train(tmp_path, run.examples, run.graph, settings)
