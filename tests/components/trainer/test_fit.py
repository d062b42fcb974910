import importlib.util
import math

import keras
import numpy as np
import pytest
from small_run import CLASSES, COUNTS, draw_images, make_examples, make_graph, new, scratch, training

from conveyor.components.artifacts import Model
from conveyor.components.trainer.fit import fit
from conveyor.components.trainer.inputs import evaluation_input
from conveyor.components.trainer.stage import trainer
from conveyor.components.trainer.watch import Selection
from conveyor.models.tasks.classification import Classification
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context

TRAIN = COUNTS["train"] * len(CLASSES)
# Long enough to learn the noise by heart: validation loss falls, then rises.
TOO_LONG = {"name": "sgd", "learning_rate": 0.05, "epochs": 6}


@pytest.fixture
def context(tmp_path):
    return Context(scratch=tmp_path)


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
def test_history_has_a_value_for_every_epoch(run, batch_size, context):
    fitted = fit(run.examples, run.graph, training(epochs=4, batch_size=batch_size), context)
    assert set(fitted.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    for name, values in fitted.history.items():
        assert len(values) == 4, name
        assert all(type(value) is float and math.isfinite(value) for value in values), name
    assert fitted.model.optimizer.iterations == 4 * math.ceil(TRAIN / batch_size)
    assert fitted.family == "linear"
    assert fitted.task.classes == CLASSES


def test_best_epoch_is_kept(run, context):
    fitted = fit(run.examples, run.graph, training(**TOO_LONG), context)
    losses = fitted.history["val_loss"]
    assert losses.index(min(losses)) not in (0, 5), "this test is of a best epoch between others"
    assert fitted.best_epoch == losses.index(min(losses)) + 1
    assert validation_loss(run, fitted) == pytest.approx(min(losses), rel=1e-5)
    assert context.looks == [{"split": "validation", "purpose": "choose"}]
    assert context.notes == [f"{fitted.input_bound:.1%} of the training waited for input"]


def test_validation_every_so_many_epochs_and_after_the_last(run, context):
    often = fit(run.examples, run.graph, training(**TOO_LONG), context)
    fitted = fit(run.examples, run.graph, training(**TOO_LONG, validate_every=4), context)
    assert fitted.history["loss"] == often.history["loss"]  # it trains as it would
    losses = [often.history["val_loss"][place] if place in (3, 5) else None for place in range(6)]
    assert fitted.history["val_loss"] == losses
    assert fitted.best_epoch == (4 if losses[3] < losses[5] else 6)
    assert validation_loss(run, fitted) == pytest.approx(losses[fitted.best_epoch - 1], rel=1e-5)


def test_stops_only_after_validation(run, context):
    how = TOO_LONG | {"epochs": 20}
    fitted = fit(run.examples, run.graph, training(**how, validate_every=3, early_stopping=1), context)
    losses = fitted.history["val_loss"]
    assert len(losses) < 20, "this test is of a training that stops early"
    assert len(losses) % 3 == 0
    assert losses[-1] > min(loss for loss in losses if loss is not None)


def test_last_epoch_is_kept_where_it_is_asked_for(run, context):
    fitted = fit(run.examples, run.graph, training(**TOO_LONG, select="last"), context)
    losses = fitted.history["val_loss"]
    assert fitted.best_epoch == 6
    assert validation_loss(run, fitted) == pytest.approx(losses[-1], rel=1e-5)
    assert min(losses) < losses[-1]
    assert context.looks == []


def test_without_validation_the_last_epoch_is_kept(without_validation, context):
    fitted = fit(*without_validation, training(), context)
    assert set(fitted.history) == {"loss", "accuracy"}
    assert fitted.best_epoch == 3
    assert context.looks == []


def test_training_lowers_the_loss(run, context):
    fitted = fit(run.examples, run.graph, training(epochs=8), context)
    assert fitted.history["loss"][-1] < 0.5 * fitted.history["loss"][0]
    assert fitted.history["accuracy"][-1] > 0.9


def test_smoothing_of_the_task_reaches_the_loss(run, context):
    plain = fit(run.examples, run.graph, training(epochs=1), context)
    settings = training(epochs=1).model_copy(update={"task": plain.task.settings})
    smoothed = settings.task.model_copy(update={"label_smoothing": 0.5})
    again = fit(run.examples, run.graph, settings.model_copy(update={"task": smoothed}), context)
    assert again.history["val_loss"] != plain.history["val_loss"]


@pytest.mark.parametrize("seed", [2**31 - 1])
def test_seed_decides_weights(run, seed, tmp_path):
    model = {"family": "mlp", "units": [6], "dropout": 0.3}
    augment = [{"random_rotation": {"factor": 0.1}}, {"random_contrast": {"factor": 0.5}}]

    def fit_with(seed):
        settings = training(model, seed=seed).model_copy(update={"augment": augment})
        return fit(run.examples, run.graph, settings, Context(scratch=scratch(tmp_path)))

    one, same, other = fit_with(seed), fit_with(seed), fit_with(seed + 1)
    assert one.history == same.history
    for a, b in zip(one.model.get_weights(), same.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.history != other.history
    for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        assert np.any(a != b)


def test_averages_are_judged_and_kept(run, context, monkeypatch):
    judged = []
    monkeypatch.setattr(Selection, "on_test_end", lambda self, logs: judged.append(self.model.get_weights()))
    settings = training(ema=0.5, select="last", epochs=2, name="sgd", learning_rate=0.1)
    fitted = fit(run.examples, run.graph, settings, context)
    averages = [np.array(average) for average in fitted.model.optimizer._model_variables_moving_average]
    for kept, seen, average in zip(fitted.model.get_weights(), judged[-1], averages, strict=True):
        np.testing.assert_array_equal(kept, average)
        np.testing.assert_array_equal(seen, average)


def test_judging_averages_does_not_change_training(run, tmp_path):
    how = {"ema": 0.5, "select": "last", "epochs": 2}
    one = fit(run.examples, run.graph, training(**how), Context(scratch=scratch(tmp_path)))
    plain = fit(
        run.examples, run.graph, training(epochs=2, select="last"), Context(scratch=scratch(tmp_path))
    )
    assert one.history["loss"] == plain.history["loss"]
    assert one.history["val_loss"] != plain.history["val_loss"]


def test_early_stopping_stops_and_keeps_the_best(run, context):
    settings = training(**{**TOO_LONG, "epochs": 40, "learning_rate": 0.3}, early_stopping=2)
    fitted = fit(run.examples, run.graph, settings, context)
    losses = fitted.history["val_loss"]
    assert len(losses) < 40
    assert len(losses) == losses.index(min(losses)) + 1 + 2
    assert fitted.best_epoch == len(losses) - 2
    assert validation_loss(run, fitted) == pytest.approx(min(losses), rel=1e-5)


def test_task_is_calibrated_on_all_of_validation(run, context, monkeypatch):
    seen = []
    monkeypatch.setattr(Classification, "calibrate", lambda self, answers: seen.extend(answers))
    fitted = fit(run.examples, run.graph, training(epochs=1), context)
    inputs = np.concatenate([inputs for inputs, _ in seen])
    raw = np.concatenate([raw for _, raw in seen])
    assert len(inputs) == COUNTS["validation"] * len(CLASSES)
    np.testing.assert_allclose(raw, fitted.model(inputs), rtol=1e-5, atol=1e-6)


def test_share_of_waiting_is_a_share(run, context):
    assert 0 <= fit(run.examples, run.graph, training(epochs=1), context).input_bound <= 1


def test_tensorboard_that_is_not_there_is_told(run, context, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "tensorboard" else find(name, *more)
    )
    with pytest.raises(UserError, match="TensorBoard is not installed"):
        fit(run.examples, run.graph, training(epochs=1, tensorboard=True), context)


def test_tensorboard_logs_are_beside_the_run(run, tmp_path):
    pytest.importorskip("tensorboard")
    context = Context(run="one", workspace=tmp_path, scratch=scratch(tmp_path))
    fit(run.examples, run.graph, training(epochs=1, tensorboard=True), context)
    assert {path.name for path in (tmp_path / "runs" / "one" / "tensorboard").iterdir()} >= {"train"}


# === divergence ===


def test_divergence_stops_at_once_and_names_step_and_layer(run, context):
    settings = training(name="sgd", learning_rate=1e38, epochs=5)
    with pytest.raises(UserError, match=r"diverged in step [23] of epoch 1: the .* of layer '\w+'") as caught:
        fit(run.examples, run.graph, settings, context)
    assert "learning_rate" in caught.value.fix
    kept = keras.saving.load_model(context.scratch / "last_good.keras")
    assert str(context.scratch / "last_good.keras") in caught.value.received
    assert all(np.isfinite(weights).all() for weights in kept.get_weights())


def test_divergence_in_a_later_epoch(without_validation, context):
    # One step an epoch: the first loss is that of the weights before any step.
    settings = training(name="sgd", learning_rate=1e38, batch_size=100)
    with pytest.raises(UserError, match="in step 1 of epoch 2"):
        fit(*without_validation, settings, context)


def test_divergence_in_the_very_last_step(without_validation, context):
    settings = training(name="sgd", learning_rate=1e38, weight_decay=1e3, batch_size=100, epochs=1)
    with pytest.raises(UserError, match="in step 1 of epoch 1: the weights of layer"):
        fit(*without_validation, settings, context)


def test_validation_loss_that_is_no_number(run, context, monkeypatch):
    whole = keras.Model.compute_loss
    factor = {True: 1.0, False: np.nan}
    monkeypatch.setattr(
        keras.Model,
        "compute_loss",
        lambda self, *batch, training: whole(self, *batch) * factor[training],
    )
    with pytest.raises(UserError, match=r"epoch 1: val_loss became nan"):
        fit(run.examples, run.graph, training(), context)


def test_nothing_is_exported_of_a_training_that_diverged(run, tmp_path):
    model = new(tmp_path, Model)
    with pytest.raises(UserError):
        trainer(
            examples=run.examples,
            transform_graph=run.graph,
            model=model,
            settings=training(name="sgd", learning_rate=1e38),
            context=Context(scratch=scratch(tmp_path)),
        )
    assert list(model.path.iterdir()) == []
