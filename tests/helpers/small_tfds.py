"""Small TFDS data sets on disk, written by TFDS and TensorFlow. Import through sys.path (see conftest)."""

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

SHARD = 18
NAMES = ["cat", "dog"]


def write_tfds(path, features, splits):
    """Writes a data set that `tfds.builder_from_directory` opens; returns the folder.

    Args:
        path: A folder that is not there yet.
        features: Name -> feature.
        splits: Split -> examples, dicts as the features encode them.
    """
    path.mkdir(parents=True)
    features = tfds.features.FeaturesDict(features)
    names = tfds.core.ShardedFileTemplate(data_dir=path, dataset_name="small", filetype_suffix="tfrecord")
    infos = []
    for split, examples in splits.items():
        shards = [examples[start : start + SHARD] for start in range(0, max(1, len(examples)), SHARD)]
        for number, shard in enumerate(shards):
            file = path / f"small-{split}.tfrecord-{number:05d}-of-{len(shards):05d}"
            with tf.io.TFRecordWriter(str(file)) as writer:
                for example in shard:
                    writer.write(features.serialize_example(example))
        lengths, own = [len(shard) for shard in shards], names.replace(split=split)
        infos.append(
            tfds.core.SplitInfo(name=split, shard_lengths=lengths, num_bytes=1, filename_template=own)
        )
    tfds.folder_dataset.write_metadata(
        data_dir=path, features=features, split_infos=infos, filename_template=names, check_data=False
    )
    return path


def objects_feature(**parts):
    """Returns the feature of objects of NAMES, with further parts."""
    label = tfds.features.ClassLabel(names=NAMES)
    return tfds.features.Sequence({"bbox": tfds.features.BBoxFeature(), "label": label, **parts})


def image_feature(channels=3, **options):
    """Returns the feature of PNG images of any size."""
    return tfds.features.Image(shape=(None, None, channels), encoding_format="png", **options)


def mask_feature(labels=NAMES):
    """Returns the feature of masks; without names where labels is a number or None."""
    return tfds.features.LabeledImage(labels=labels, shape=(None, None, 1), encoding_format="png")


def box(top, left, bottom, right, height, width):
    """Returns a relative box, of sides in pixels."""
    sides = np.float64([top / height, left / width, bottom / height, right / width])
    return tfds.features.BBox(*(float(side) for side in sides))
