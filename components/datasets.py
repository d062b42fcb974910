"""Examples as tf.data, read through TFDS; images stay encoded."""

import concurrent.futures
import functools
import typing

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.readers.tfds import TFDSReader, place_of
from conveyor.components.facts import read_facts
from conveyor.models.tasks.task import Task
from conveyor.pipeline.errors import UserError, did_you_mean


def read_split(examples: Examples, split: str, rows: range | None = None) -> tf.data.Dataset:
    """Returns the examples of a split, always in the same order.

    Args:
        examples: The artifact.
        split: Name of the split.
        rows: Which of them, a run of places that the split has; None for all.

    Returns:
        Dicts with `id` (string), `image` (encoded bytes), and what `Examples` says of `label` (int64),
        `objects` and `segmentation_mask` (encoded bytes).

    Raises:
        UserError: There is no such split, or it is empty.
    """
    splits = examples.properties["splits"]
    if split not in splits:
        raise UserError(f"the data has no split {split!r}", fix=did_you_mean(split, splits))
    if not splits[split]:
        raise UserError(f"split {split!r} of the data is empty")
    wanted = rows or range(splits[split])
    if "in_place" in examples.properties:
        dataset = _in_place(examples, split).skip(wanted.start).take(len(wanted))
    else:
        dataset = _copied(examples, f"{split}[{wanted.start}:{wanted.stop}]" if rows else split)
    return untuned(dataset.apply(tf.data.experimental.assert_cardinality(len(wanted))))


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a data set without tf.data's tuning: AUTOTUNE is the number of processors, 16 at the most.

    The thread that tunes sleeps twice as long each time, up to a minute, and an iterator that is deleted
    may have to wait until it wakes.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def read_learned(examples: Examples, split: str, task: Task) -> tf.data.Dataset:
    """Returns the examples of a split that a task learns from, in order: all, unless it chooses some.

    Raises:
        UserError: There are none.
    """
    dataset, choose = read_split(examples, split), getattr(task, "learns_from", None)
    if choose is None:
        return dataset
    keep = choose(_labels(examples, split, dataset))
    if not keep.any():
        raise UserError(
            f"there is nothing to learn from: no example of split {split!r} is of a class asked for",
            where="section `task` of the config",
            fix="name classes that the split has",
        )
    wanted = tf.constant(keep)
    chosen = dataset.enumerate().filter(lambda place, _: wanted[place]).map(lambda _, example: example)
    return chosen.apply(tf.data.experimental.assert_cardinality(int(keep.sum())))


def tell_left_out(examples: Examples, split: str, task: Task) -> str:
    """Returns a line on how many examples of a split the task does not learn from; "" for none."""
    count = examples.properties["splits"][split]
    left = count - int(read_learned(examples, split, task).cardinality())
    return f"{left:,} of the {count:,} examples of {split} are not learned from" if left else ""


def _labels(examples: Examples, split: str, dataset: tf.data.Dataset) -> np.ndarray:
    """Returns int [n], the class of each example; -1 where it has none."""
    if "in_place" not in examples.properties or "label" not in dataset.element_spec:
        return read_facts(examples, ["label"], split)["label"].to_numpy()
    return np.fromiter(dataset.map(lambda example: example["label"]).as_numpy_iterator(), np.int64)


def _copied(examples: Examples, split: str) -> tf.data.Dataset:
    builder = tfds.builder_from_directory(str(examples.dataset_dir))
    images = builder.info.features.keys() & {"image", "segmentation_mask"}
    return builder.as_dataset(
        split=split,
        decoders={name: tfds.decode.SkipDecoding() for name in images},
        read_config=tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1),
        shuffle_files=False,
    )


def _in_place(examples: Examples, split: str) -> tf.data.Dataset:
    """Reads a split where the source has it: those of its examples that the facts assign to it."""
    reader = TFDSReader(examples.properties["in_place"])
    wanted: dict[str, dict[int, list[float]]] = {}
    for row in read_facts(examples, ["key", "objects"], split).to_pylist():
        origin, index = place_of(row["key"])
        wanted.setdefault(origin, {})[index] = [found["area"] for found in row["objects"]]
    parts = [_chosen(reader, origin, areas) for origin, areas in sorted(wanted.items())]
    return functools.reduce(tf.data.Dataset.concatenate, parts)


def _chosen(reader: TFDSReader, origin: str, areas: dict[int, list[float]]) -> tf.data.Dataset:
    """Returns examples of a split of the source, in order.

    Args:
        reader: The source.
        origin: Its split.
        areas: Index of each wanted example, in order -> areas of its objects, in pixels.
    """
    is_wanted = np.zeros(reader.builder.info.splits[origin].num_examples, bool)
    is_wanted[list(areas)] = True
    keep, all_areas = tf.constant(is_wanted), tf.ragged.constant(list(areas.values()), tf.float32)

    def named(place: tf.Tensor, indexed: tuple[tf.Tensor, dict[str, typing.Any]]) -> dict[str, typing.Any]:
        index, example = indexed
        digits = tf.strings.as_string(index, width=8, fill="0")
        if "objects" in example:
            example = {**example, "objects": _complete(example["objects"], all_areas[place])}
        return {**example, "id": tf.strings.join([origin, "/", digits])}

    dataset = reader.dataset(list(reader.features), origin).enumerate()
    kept = dataset.filter(lambda index, _: keep[index]).enumerate()
    return kept.map(named, num_parallel_calls=tf.data.AUTOTUNE)


def _complete(objects: dict[str, tf.Tensor], area: tf.Tensor) -> dict[str, tf.Tensor]:
    """Adds what a source may not say of its objects."""
    shape = tf.shape(objects["label"])
    return {
        **objects,
        "is_crowd": tf.cast(objects.get("is_crowd", tf.zeros(shape)), tf.bool),
        "is_difficult": tf.cast(objects.get("is_difficult", tf.zeros(shape)), tf.bool),
        "area": area,
        "segmentation": objects.get("segmentation", tf.fill(shape, "")),
    }


def replay(
    served: typing.Any, dataset: tf.data.Dataset, task: Task, batch_size: int
) -> typing.Iterator[tuple[dict[str, typing.Any], dict[str, typing.Any]]]:
    """Yields examples and what a served model answers to their bytes, batch by batch.

    The model is asked about the next batch, in a thread, while the caller judges one.

    Args:
        served: The `serving_default` signature of a SavedModel.
        dataset: What `read_split` returns.
        task: Says what to ask, and what the answers are judged against.
        batch_size: Examples a request; part of what makes answers bit-identical.

    Yields:
        ({`image` as sent, `id`, `truth`}, outputs), as NumPy arrays; ids and outputs as unicode where they
        are strings. What `task.truth` gives is filled up as in `batch_filled`.
    """

    @tf.autograph.experimental.do_not_convert
    def wanted(example: dict[str, tf.Tensor]) -> dict[str, typing.Any]:
        return {"image": task.request(example), "id": example["id"], "truth": task.truth(example)}

    def answered(batch: dict[str, typing.Any]) -> tuple[dict[str, typing.Any], dict[str, typing.Any]]:
        outputs = served(images=batch["image"])
        arrays = tf.nest.map_structure(lambda tensor: tensor.numpy(), batch)
        found = {name: as_unicode(tensor.numpy()) for name, tensor in outputs.items()}
        return {**arrays, "id": as_unicode(arrays["id"])}, found

    asked = dataset.map(wanted, num_parallel_calls=tf.data.AUTOTUNE)
    with concurrent.futures.ThreadPoolExecutor(1) as ahead:
        waiting: concurrent.futures.Future | None = None
        for batch in batch_filled(asked, batch_size).prefetch(2):
            before, waiting = waiting, ahead.submit(answered, batch)
            if before:
                yield before.result()
        if waiting:
            yield waiting.result()


def batch_filled(dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
    """Returns batches; where examples have different numbers of things, filled up with -1, False or ""."""
    specs = tf.nest.flatten(dataset.element_spec)
    if all(spec.shape.is_fully_defined() for spec in specs):
        return dataset.batch(size, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.padded_batch(size, padding_values=tf.nest.map_structure(filling, dataset.element_spec))


def filling(spec: typing.Any) -> tf.Tensor:
    """Returns what stands for nothing beside values of a type: -1, False or ""."""
    return tf.constant({tf.string: "", tf.bool: False}.get(spec.dtype, -1), spec.dtype)


def as_unicode(array: np.ndarray) -> np.ndarray:
    """Returns an array of UTF-8 bytes objects as one of strings; any other array as it is."""
    if array.dtype != object:
        return array
    texts = [text.decode("utf-8", errors="backslashreplace") for text in array.ravel()]
    return np.array(texts, dtype=str).reshape(array.shape)
