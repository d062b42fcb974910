import numpy as np
import pytest
import tensorflow as tf
from small_run import CLASSES, COUNTS, training

from conveyor.components.datasets import read_split
from conveyor.components.facts import read_facts
from conveyor.components.trainer import decoded
from conveyor.components.trainer.inputs import TrainingInput, evaluation_input
from conveyor.components.transform.graph import load
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task
from conveyor.pipeline.errors import UserError

TRAIN = COUNTS["train"] * len(CLASSES)
TASK = make_task(ClassificationSettings(), CLASSES)


@pytest.fixture(params=[1 << 30, 0], ids=["kept in memory", "read each epoch"])
def cache(request, monkeypatch):
    monkeypatch.setattr(decoded, "_CACHE_BYTES", request.param)


def expected(run, split):
    """Inputs and targets, made from the stored bytes by the graph that is served."""
    rows = list(read_split(run.examples, split))
    images = load(run.graph.saved_model).preprocess(tf.stack([row["image"] for row in rows]))[0].numpy()
    return images, np.eye(len(CLASSES), dtype=np.float32)[[row["label"].numpy() for row in rows]]


def collect(batches):
    pairs = [(images.numpy(), targets.numpy()) for images, targets in batches]
    return tuple(np.concatenate(parts) for parts in zip(*pairs, strict=True))


def epochs_of(run, settings, first=0):
    """Returns the batches of each epoch from step `first` on, as a list of lists of (inputs, targets)."""
    source = TrainingInput(run.examples, run.graph, TASK, settings)
    found = [[] for _ in range(settings.fit.epochs)]
    for number, batch in enumerate(source.dataset(first), first):
        found[number // source.steps].append(batch)
    return found


def order_of(batches, reference):
    """Returns which example of the reference each row is."""
    images, targets = collect(batches)
    distances = abs(images[:, None] - reference[0][None]).max(axis=(2, 3, 4))
    order = distances.argmin(axis=1)
    assert distances.min(axis=1).max() < 1e-6
    np.testing.assert_array_equal(targets, reference[1][order])
    return order.tolist()


@pytest.mark.usefixtures("cache")
def test_evaluation_input_is_the_split_in_order_as_it_is_served(run):
    images, targets = collect(evaluation_input(run.examples, run.graph, TASK, "test", 7))
    wanted = expected(run, "test")
    np.testing.assert_allclose(images, wanted[0], atol=1e-6)
    np.testing.assert_array_equal(targets, wanted[1])
    assert images.dtype == np.float32
    assert images.shape == (30, 12, 10, 1)


@pytest.mark.usefixtures("cache")
def test_training_input_is_every_example_once_an_epoch_in_orders_of_the_seed(run):
    reference = expected(run, "train")
    orders = [order_of(batches, reference) for batches in epochs_of(run, training(seed=3, epochs=2))]
    assert [sorted(order) for order in orders] == [list(range(TRAIN))] * 2
    assert orders[0] != orders[1]
    assert list(range(TRAIN)) not in orders
    again = [order_of(batches, reference) for batches in epochs_of(run, training(seed=3, epochs=2))]
    assert again == orders
    assert order_of(epochs_of(run, training(seed=4, epochs=2))[0], reference) != orders[0]


@pytest.mark.usefixtures("cache")
def test_no_iterator_has_a_tuning_thread_that_its_end_waits_for(run):
    source = TrainingInput(run.examples, run.graph, TASK, training(epochs=2))
    judged = evaluation_input(run.examples, run.graph, TASK, "test", 7)
    for dataset in (source.dataset(), judged, read_split(run.examples, "test")):
        assert dataset.options().autotune.enabled is False
    shared = tf.data.experimental.AutoShardPolicy.DATA
    assert source.dataset().options().experimental_distribute.auto_shard_policy == shared


def test_batches_are_full_but_for_the_last(run):
    for batches in epochs_of(run, training(epochs=2)):
        assert [len(targets) for _, targets in batches] == [10, 10, 10, 10, 8]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("first", [3, 5, 7])  # within an epoch, at the beginning of one, in the second
def test_input_goes_on_at_any_step(run, first):
    settings = training(seed=5, epochs=2).model_copy(update={"augment": MIRRORED})
    whole = [batch for batches in epochs_of(run, settings) for batch in batches]
    rest = [batch for batches in epochs_of(run, settings, first) for batch in batches]
    assert len(rest) == 10 - first
    for one, other in zip(whole[first:], rest, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_seeds_beyond_32_bits_differ(run):
    reference = expected(run, "train")
    seeds = [1, 2**31 + 1, 2**31, 2**40 + 1]
    orders = [order_of(epochs_of(run, training(seed=seed, epochs=1))[0], reference) for seed in seeds]
    assert len(set(map(tuple, orders))) == 4


@pytest.mark.parametrize(("room", "reach"), [("4 images", 4), ("all", TRAIN)])
def test_large_files_are_shuffled_in_a_smaller_buffer(run, monkeypatch, room, reach):
    sizes = read_facts(run.examples, ["bytes"], "train")["bytes"].to_numpy()
    monkeypatch.setattr(decoded, "_SHUFFLE_BYTES", 4.5 * sizes.mean() if room == "4 images" else 1 << 30)
    order = order_of(epochs_of(run, training(cache="off", epochs=1))[0], expected(run, "train"))
    assert sorted(order) == list(range(TRAIN))
    assert all(example <= place + reach - 1 for place, example in enumerate(order))
    assert max(example - place for place, example in enumerate(order)) >= min(reach, 20) - 1


@pytest.mark.parametrize("cache", ["memory", "off"])
def test_balanced_sampling_draws_as_many_of_each_class(run, monkeypatch, cache):
    rare = np.array([0] * 40 + [1] * 6 + [2] * 2)  # what the labels are said to be
    monkeypatch.setattr(decoded.Decoded, "labels", lambda self: rare)
    reference = expected(run, "train")
    epochs = epochs_of(run, training(cache=cache, sampling="balanced", epochs=2))
    orders = [order_of(batches, reference) for batches in epochs]
    for order in orders:
        assert np.bincount(rare[order]).tolist() == [16, 16, 16]
    assert orders[0] != orders[1]


def test_balanced_class_weights_weigh_examples(run, monkeypatch):
    skewed = np.array([0] * 36 + [1] * 8 + [2] * 4)
    monkeypatch.setattr(decoded.Decoded, "labels", lambda self: skewed)
    ((_, targets, weights), *_) = epochs_of(run, training(class_weights="balanced", epochs=1))[0]
    wanted = np.array([48 / 3 / 36, 48 / 3 / 8, 48 / 3 / 4])[np.argmax(targets, axis=1)]
    np.testing.assert_allclose(weights, wanted, rtol=1e-6)


class Objects:
    """A task whose examples have different numbers of objects."""

    classes = CLASSES

    def annotations(self, example, frame, shape):
        count = tf.cast(example["label"], tf.int32) + 1
        return {"bounding_boxes": {"boxes": tf.ones([count, 4]), "labels": tf.range(count)}}

    def inputs_and_targets(self, batch, seed):
        return batch["images"], batch["bounding_boxes"]


@pytest.mark.parametrize("how", [{"sampling": "balanced"}, {"class_weights": "balanced"}], ids=str)
def test_balance_is_refused_where_the_task_is_not_on_one_class_an_image(run, how):
    with pytest.raises(UserError, match="need a task on one class for each image"):
        TrainingInput(run.examples, run.graph, Objects(), training(epochs=1, **how))


@pytest.mark.parametrize("task", [Objects(), TASK], ids=["boxes", "classes"])
def test_foreground_is_refused_where_there_are_no_windows(run, task):
    with pytest.raises(UserError, match="windows of images with masks or boxes"):
        TrainingInput(run.examples, run.graph, task, training(epochs=1, foreground=0.5))


@pytest.mark.parametrize("cache", ["memory", "off"])
def test_examples_with_fewer_objects_are_filled_up(run, cache):
    source = TrainingInput(run.examples, run.graph, Objects(), training(cache=cache, epochs=1))
    found = [row for _, boxes in source.dataset() for row in boxes["labels"].numpy().tolist()]
    filled = [[label for label in row if label != -1] for row in found]
    assert sorted(map(tuple, filled)) == sorted([(0,), (0, 1), (0, 1, 2)] * 16)
    for _, boxes in source.dataset():
        is_filled = boxes["labels"].numpy() == -1
        assert (boxes["boxes"].numpy() == np.where(is_filled, -1.0, 1.0)[..., None]).all()


class Seeded(Objects):
    """A task that tells its seeds."""

    def annotations(self, example, frame, shape):
        return {}

    def inputs_and_targets(self, batch, seed):
        return batch["images"], seed[None]


def test_seeds_of_tasks_are_others_for_each_batch_and_the_same_in_each_evaluation(run):
    source = TrainingInput(run.examples, run.graph, Seeded(), training(epochs=2))
    trained = [tuple(seed.numpy()[0]) for _, seed in source.dataset()]
    judged = [
        [
            tuple(seed.numpy()[0])
            for _, seed in evaluation_input(run.examples, run.graph, Seeded(), "validation", 5)
        ]
        for _ in range(2)
    ]
    assert len(set(trained)) == 10
    assert len(set(judged[0])) == 4
    assert judged[0] == judged[1]


# === augmentation ===

MIRRORED = [{"random_flip": {"mode": "horizontal"}}, {"random_brightness": {"factor": [0.2, 0.2]}}]


def augmented(run, augment, seed=0, epochs=1, batch_size=10):
    settings = training(seed=seed, batch_size=batch_size, epochs=epochs)
    return [collect(batches) for batches in epochs_of(run, settings.model_copy(update={"augment": augment}))]


@pytest.mark.usefixtures("cache")
def test_augmented_input_is_the_same_for_a_seed_and_other_each_epoch(run):
    shift = [{"random_translation": {"height_factor": 0.3, "width_factor": 0.3}}]
    one = augmented(run, shift, seed=1, epochs=2)
    again = augmented(run, shift, seed=1, epochs=2)
    for (images, targets), (same_images, same_targets) in zip(one, again, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(targets, same_targets)
    (first, _), (second, _) = one
    assert first.shape == second.shape == (TRAIN, 12, 10, 1)
    assert not set(map(bytes, first)) & set(map(bytes, second))
    assert not set(map(bytes, first)) & set(map(bytes, augmented(run, shift, seed=2)[0][0]))


def test_augmentation_is_of_pixels_and_normalisation_comes_after(run):
    originals, _ = expected(run, "train")
    ((images, _),) = augmented(run, MIRRORED)
    document = run.graph.read()
    mean, std = document["mean"][0], document["std"][0]
    pixels = originals[..., 0] * std + mean
    both = np.clip(np.concatenate([pixels, pixels[:, :, ::-1]]) + 0.2 * 255, 0, 255)
    nearest = abs(both[None] - (images[:, None, :, :, 0] * std + mean)).max(axis=(2, 3))
    assert nearest.min(axis=1).max() < 0.01
    chosen = nearest.argmin(axis=1)
    assert sorted(chosen % TRAIN) == list(range(TRAIN))
    assert 5 < (chosen >= TRAIN).sum() < TRAIN - 5  # some are mirrored, and some are not


def test_only_training_is_augmented(run):
    first, second = (
        collect(evaluation_input(run.examples, run.graph, TASK, "validation", 5)) for _ in range(2)
    )
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_allclose(first[0], expected(run, "validation")[0], atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        {"random_flop": {}},
        {"random_flip": {"modus": "horizontal"}},
        {"random_hue": {"factor": 0.1}},  # of grey images
    ],
)
def test_wrong_augmentation_is_a_user_error(run, layer):
    with pytest.raises(UserError, match="wrong augmentation") as caught:
        augmented(run, [layer])
    assert "augment" in caught.value.where
