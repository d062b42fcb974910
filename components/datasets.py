"""Examples as tf.data, read through TFDS; images stay encoded."""

import typing

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from conveyor.components.artifacts import Examples
from conveyor.pipeline.errors import UserError, did_you_mean


def read_split(examples: Examples, split: str) -> tf.data.Dataset:
    """Returns the examples of a split, always in the same order.

    Args:
        examples: The artifact.
        split: Name of the split.

    Returns:
        Dicts with `image` (encoded bytes), `label` (int64) and `id` (string).

    Raises:
        UserError: There is no such split, or it is empty.
    """
    splits = examples.properties["splits"]
    if split not in splits:
        raise UserError(f"the data has no split {split!r}", fix=did_you_mean(split, splits))
    if not splits[split]:
        raise UserError(f"split {split!r} of the data is empty")
    builder = tfds.builder_from_directory(str(examples.dataset_dir))
    dataset = builder.as_dataset(
        split=split,
        decoders={"image": tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1),
        shuffle_files=False,
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(splits[split]))


def replay(
    served: typing.Any, dataset: tf.data.Dataset, truth: typing.Any, batch_size: int
) -> typing.Iterator[tuple[dict[str, typing.Any], dict[str, typing.Any]]]:
    """Yields examples and what a served model answers to their bytes, batch by batch.

    Args:
        served: The `serving_default` signature of a SavedModel.
        dataset: What `read_split` returns.
        truth: From an example to what its outputs are judged against.
        batch_size: Examples a request; part of what makes answers bit-identical.

    Yields:
        ({`image`, `id`, `truth`}, outputs), as NumPy arrays; strings but `image` as unicode.
    """
    wanted = dataset.map(
        lambda example: {"image": example["image"], "id": example["id"], "truth": truth(example)}
    )
    for batch in wanted.batch(batch_size).prefetch(2):
        outputs = served(images=batch["image"])
        arrays = {name: tensor.numpy() for name, tensor in batch.items()}
        yield (
            {**arrays, "id": as_unicode(arrays["id"])},
            {name: as_unicode(tensor.numpy()) for name, tensor in outputs.items()},
        )


def as_unicode(array: np.ndarray) -> np.ndarray:
    """Returns an array of UTF-8 bytes objects as one of strings; any other array as it is."""
    if array.dtype != object:
        return array
    texts = [text.decode("utf-8", errors="backslashreplace") for text in array.ravel()]
    return np.array(texts, dtype=str).reshape(array.shape)
