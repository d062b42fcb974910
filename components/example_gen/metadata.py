"""What TFDS needs to know of the shards to open them."""

import pathlib
import typing
from collections.abc import Collection

from conveyor.components.example_gen.convert import Classes
from conveyor.components.example_gen.shards import DATASET, ShardSummary


def write_metadata(
    folder: pathlib.Path,
    annotations: Collection[str],
    classes: Classes,
    channels: int,
    summaries: list[ShardSummary],
    splits: Collection[str],
) -> None:
    """Writes what `tfds.builder_from_directory` needs.

    Args:
        folder: Where the shards are.
        annotations: "label", "objects", "mask": what each example has.
        classes: Their names.
        channels: Of the images.
        summaries: What each chunk came to.
        splits: In order.
    """
    import tensorflow_datasets as tfds

    template = tfds.core.ShardedFileTemplate(
        data_dir=folder, dataset_name=DATASET, filetype_suffix="tfrecord"
    )
    infos = [
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=[s.counts[split] for s in summaries if split in s.counts],
            num_bytes=sum(s.sizes.get(split, 0) for s in summaries),
            filename_template=template.replace(split=split),
        )
        for split in splits
    ]
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=_features(annotations, classes, channels),
        split_infos=infos,
        filename_template=template,
        check_data=False,  # every image was decoded when it was written; the check imports TensorFlow
    )


def _features(annotations: Collection[str], classes: Classes, channels: int) -> typing.Any:
    import numpy as np
    import tensorflow_datasets as tfds

    features: dict[str, typing.Any] = {
        "image": tfds.features.Image(shape=(None, None, channels)),
        "id": tfds.features.Text(),
    }
    if "label" in annotations:
        features["label"] = tfds.features.ClassLabel(names=classes.labels)
    if "objects" in annotations:
        features["objects"] = tfds.features.Sequence(
            {
                "bbox": tfds.features.BBoxFeature(),
                "label": tfds.features.ClassLabel(names=classes.labels),
                "area": np.float32,
                "is_crowd": np.bool_,
                "is_difficult": np.bool_,
                "segmentation": tfds.features.Text(),
            }
        )
    if "mask" in annotations:
        features["segmentation_mask"] = tfds.features.LabeledImage(
            labels=classes.mask, shape=(None, None, 1), encoding_format="png"
        )
    return tfds.features.FeaturesDict(features)
