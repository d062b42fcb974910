"""A TensorFlow Datasets name, such as `mnist` or `cifar10:3.0.2`, downloaded when it is not there.

Features that are known: `image`; and `label` (a ClassLabel), `objects` (a Sequence with `bbox`, `label`
and perhaps `is_crowd`, `is_difficult` and `segmentation`, COCO's compressed run lengths),
`segmentation_mask` (an Image or LabeledImage of class indices, 255 is void), as far as there are any.
Boxes and masks are in the frame of the file's pixels, as TensorFlow decodes no orientation.
"""

import dataclasses
import functools
import itertools
import os
import pathlib
import typing
from collections.abc import Iterable, Iterator

from conveyor.components.example_gen.readers.outlines import outline
from conveyor.components.example_gen.readers.raw import Fault, RawExample, RawObject
from conveyor.components.example_gen.readers.sizes import header_sizes
from conveyor.models.void import VOID
from conveyor.pipeline.digest import digest_of, list_files
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.fingerprint import fingerprint_files

_SHARD = 2000
_DTYPES = ("uint8", "uint16")  # others are not stored as images of their own
_PARTS = {"label": "label", "objects": "objects", "mask": "segmentation_mask"}
_FLAGS = ("is_crowd", "is_difficult")


class TFDSReader:
    """Reads a data set of images with a label, objects or a mask.

    Args:
        name: What `tfds.builder` takes; or a directory that `tfds.builder_from_directory` opens.

    Raises:
        UserError: There is no such data set, it cannot be had, or it has no image with annotations.
    """

    def __init__(self, name: str):
        path = os.path.abspath(os.path.expanduser(name))
        self._is_directory = os.path.isfile(os.path.join(path, "dataset_info.json"))
        self.name = path if self._is_directory else name

    @property
    def in_place(self) -> str:
        return self.name

    @functools.cached_property
    def builder(self) -> typing.Any:
        """The TFDS builder, of data that is on disk."""
        import tensorflow_datasets as tfds

        try:
            if self._is_directory:
                builder = tfds.builder_from_directory(self.name)
            else:
                builder = tfds.builder(self.name)
                builder.download_and_prepare()
        except Exception as error:  # TFDS raises of many kinds: unknown name, no network, bad checksum
            raise UserError(
                "data.source: the data set cannot be had",
                expected="tfds:NAME, a TensorFlow Datasets name that is on disk or can be downloaded",
                received=f"tfds:{self.name}",
                where=str(error).strip().splitlines()[0][:300] if str(error).strip() else "",
                fix="for images of your own use -o data.source=folder:DIR",
            ) from None
        return builder

    @functools.cached_property
    def features(self) -> dict[str, typing.Any]:
        """The features that are known, by the names they have there."""
        import numpy as np
        import tensorflow_datasets as tfds

        all_features = self.builder.info.features
        parts = dict(all_features.items()) if isinstance(all_features, tfds.features.FeaturesDict) else {}
        image = parts.get("image")
        found = {name: parts[name] for name in _PARTS.values() if _is_usable(parts.get(name))}
        usable = isinstance(image, tfds.features.Image) and np.dtype(image.np_dtype).name in _DTYPES
        if not (usable and found):
            raise UserError(
                "data.source: the data set has no labelled images",
                expected="features `image` (an Image of uint8 or uint16) and `label` (a ClassLabel),"
                " `objects` (a Sequence with `bbox` and `label`) or `segmentation_mask` (a grey Image)",
                received=" ".join(repr(all_features).split())[:300],
                where=f"tfds:{self.name}",
            )
        return {"image": image, **found}

    @property
    def object_parts(self) -> list[str]:
        """Names of the parts of objects that are known."""
        import tensorflow_datasets as tfds

        parts = dict(self.features["objects"].feature.items())
        flags = [name for name in _FLAGS if getattr(parts.get(name), "shape", None) == ()]
        text = isinstance(parts.get("segmentation"), tfds.features.Text)
        return ["bbox", "label", *flags, *(["segmentation"] if text else [])]

    @property
    def annotations(self) -> frozenset[str]:
        return frozenset(kind for kind, name in _PARTS.items() if name in self.features)

    def classes(self) -> list[str]:
        if "objects" in self.features:
            return list(self.features["objects"].feature["label"].names)
        return list(self.features["label"].names) if "label" in self.features else self.mask_classes()

    @functools.cache  # noqa: B019  lives as long as the reader, of which there is one
    def mask_classes(self) -> list[str]:
        """Returns the names of pixels' classes; where they have none, all masks are read to know them."""
        feature = self.features["segmentation_mask"]
        if getattr(feature, "num_classes", None):
            return list(feature.names)
        highest = max(self._indices(), default=0)
        return [f"class_{index}" for index in range(highest + 1)]

    def _indices(self) -> set[int]:
        import numpy as np

        return {
            int(index)
            for split in self.splits()
            for example in self._read(["segmentation_mask"], split, decode=True)
            for index in np.unique(example["segmentation_mask"])
            if index != VOID
        }

    def splits(self) -> set[str]:
        return set(self.builder.info.splits)

    def fingerprint(self, workspace: pathlib.Path) -> str:
        if self._is_directory:
            return fingerprint_files(self.name, list_files(pathlib.Path(self.name)), workspace)
        info = self.builder.info
        splits = {name: [split.num_examples, split.num_bytes] for name, split in info.splits.items()}
        return digest_of({"tfds": info.full_name, "splits": splits})

    def chunks(self) -> list[tuple[str, int, int]]:
        return [
            (name, start, min(start + _SHARD, split.num_examples))
            for name, split in sorted(self.builder.info.splits.items())
            for start in range(0, split.num_examples, _SHARD)
        ]

    def read(self, chunk: tuple[str, int, int]) -> Iterator[RawExample]:
        import tensorflow_datasets as tfds

        split, start, stop = chunk
        part = tfds.core.ReadInstruction(split, from_=start, to=stop, unit="abs")
        for offset, example in enumerate(self._read(list(self.features), part)):
            yield self._example(key_of(split, start + offset), split, example)

    def images(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yields key and encoded image of the named examples, in order."""
        wanted: dict[str, set[int]] = {}
        for split, index in map(place_of, keys):
            wanted.setdefault(split, set()).add(index)
        for split, indices in sorted(wanted.items()):
            examples = itertools.islice(self._read(["image"], split), max(indices) + 1)
            for index, example in enumerate(examples):
                if index in indices:
                    yield key_of(split, index), bytes(example["image"])

    def dataset(self, names: list[str], split: typing.Any, decode: bool = False) -> typing.Any:
        """Returns the named features as tf.data, in order; images encoded unless told."""
        import tensorflow_datasets as tfds

        wanted: dict[str, typing.Any] = dict.fromkeys(names, True)
        if "objects" in names:
            wanted["objects"] = dict.fromkeys(self.object_parts, True)
        images = [name for name in names if name in ("image", "segmentation_mask")]
        decoders = {} if decode else {name: tfds.decode.SkipDecoding() for name in images}
        return self.builder.as_dataset(
            split=split,
            decoders=tfds.decode.PartialDecoding(wanted, decoders=decoders),
            # One file after the other, so that a key is the number of its example.
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
            shuffle_files=False,
        )

    def _read(self, names: list[str], split: typing.Any, decode: bool = False) -> Iterator[typing.Any]:
        import tensorflow_datasets as tfds

        yield from tfds.as_numpy(self.dataset(names, split, decode))

    def _example(self, key: str, split: str, example: dict[str, typing.Any]) -> RawExample:
        data, name = bytes(example["image"]), ""
        if "label" in self.features and (label := int(example["label"])) >= 0:
            name = self.features["label"].names[label]
        sizes = header_sizes(data) if {"objects", "segmentation_mask"} & self.features.keys() else None
        size = sizes[0] if sizes else None
        mask = bytes(example["segmentation_mask"]) if "segmentation_mask" in self.features else None
        raw = RawExample(key, name, split, data, mask=mask, size=size)
        if "objects" not in self.features:
            return raw
        found = [
            self._object(example["objects"], index, size or (1, 1))
            for index in range(len(example["objects"]["label"]))
        ]
        faults = tuple(
            Fault("malformed", f"segmentation: {error}", f"objects[{index}].segmentation")
            for index, (_, error) in enumerate(found)
            if error
        )
        return dataclasses.replace(raw, objects=tuple(thing for thing, _ in found), faults=faults)

    def _object(
        self, parts: dict[str, typing.Any], index: int, size: tuple[int, int]
    ) -> tuple[RawObject, str]:
        """Returns an object, and what is wrong with its outline."""
        width, height = size
        label = int(parts["label"][index])
        top, left, bottom, right = map(float, parts["bbox"][index])
        crowd, difficult = (bool(parts[name][index]) if name in parts else False for name in _FLAGS)
        counts = bytes(parts["segmentation"][index]).decode("latin-1") if "segmentation" in parts else ""
        segmentation, error = outline({"size": [height, width], "counts": counts} if counts else None)
        label_name = self.classes()[label] if label >= 0 else ""
        box = left * width, top * height, right * width, bottom * height
        return RawObject(label_name, box, crowd, segmentation, difficult), error

    def __getstate__(self) -> dict[str, typing.Any]:
        return {"name": self.name, "_is_directory": self._is_directory}


def key_of(split: str, index: int) -> str:
    """Returns the key of an example: TFDS has no names for them, but an order."""
    return f"{split}/{index:08d}"


def place_of(key: str) -> tuple[str, int]:
    """Returns split and index of a key."""
    split, _, index = key.rpartition("/")
    return split, int(index)


def _is_usable(feature: typing.Any) -> bool:
    import numpy as np
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.Sequence):
        if not isinstance(feature.feature, tfds.features.FeaturesDict):
            return False
        parts = dict(feature.feature.items())
        box, label = parts.get("bbox"), parts.get("label")
        usual = tfds.features.BBoxFeature().bbox_format  # relative y, x, y, x
        known = isinstance(box, tfds.features.BBoxFeature) and box.bbox_format == usual
        return known and isinstance(label, tfds.features.ClassLabel)
    if isinstance(feature, tfds.features.Image):  # of the class of each pixel
        return feature.shape[-1] == 1 and np.dtype(feature.np_dtype) == np.uint8
    return isinstance(feature, tfds.features.ClassLabel)
