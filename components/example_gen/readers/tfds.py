"""A TensorFlow Datasets name, such as `mnist` or `cifar10:3.0.2`, downloaded when it is not there."""

import functools
import pathlib
import typing
from collections.abc import Iterator

from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.pipeline.digest import digest_of, list_files
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.fingerprint import fingerprint_files

_SHARD = 2000
_DTYPES = ("uint8", "uint16")  # others are not stored as images of their own


class TFDSReader:
    """Reads a data set with features `image` and `label`.

    Args:
        name: What `tfds.builder` takes; or a directory that `tfds.builder_from_directory` opens.

    Raises:
        UserError: There is no such data set, it cannot be had, or it has no image with a label.
    """

    annotations: frozenset[str] = frozenset({"label"})

    def __init__(self, name: str):
        self.name = name

    @functools.cached_property
    def _builder(self) -> typing.Any:
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
        self._check_features(builder.info.features)
        return builder

    @property
    def _is_directory(self) -> bool:
        return (pathlib.Path(self.name) / "dataset_info.json").is_file()

    def _check_features(self, features: typing.Any) -> None:
        import numpy as np
        import tensorflow_datasets as tfds

        parts = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
        image, label = parts.get("image"), parts.get("label")
        usable = isinstance(image, tfds.features.Image) and np.dtype(image.np_dtype).name in _DTYPES
        if not usable or not isinstance(label, tfds.features.ClassLabel):
            raise UserError(
                "data.source: the data set has no labelled images",
                expected="features `image` (an Image of uint8 or uint16) and `label` (a ClassLabel)",
                received=" ".join(repr(features).split())[:300],
                where=f"tfds:{self.name}",
            )

    def classes(self) -> list[str]:
        return list(self._builder.info.features["label"].names)

    def splits(self) -> set[str]:
        return set(self._builder.info.splits)

    def fingerprint(self, workspace: pathlib.Path) -> str:
        if self._is_directory:
            return fingerprint_files(self.name, list_files(pathlib.Path(self.name)), workspace)
        info = self._builder.info
        splits = {name: [split.num_examples, split.num_bytes] for name, split in info.splits.items()}
        return digest_of({"tfds": info.full_name, "splits": splits})

    def chunks(self) -> list[tuple[str, int, int]]:
        return [
            (name, start, min(start + _SHARD, split.num_examples))
            for name, split in sorted(self._builder.info.splits.items())
            for start in range(0, split.num_examples, _SHARD)
        ]

    def read(self, chunk: tuple[str, int, int]) -> Iterator[RawExample]:
        import tensorflow_datasets as tfds

        split, start, stop = chunk
        names = self.classes()
        dataset = self._builder.as_dataset(
            split=tfds.core.ReadInstruction(split, from_=start, to=stop, unit="abs"),
            decoders={"image": tfds.decode.SkipDecoding()},
            # One file after the other, so that a key is the number of its example.
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
            shuffle_files=False,
        )
        for offset, example in enumerate(tfds.as_numpy(dataset)):
            label = int(example["label"])
            name = names[label] if label >= 0 else ""
            yield RawExample(f"{split}/{start + offset:08d}", name, split, example["image"])

    def __getstate__(self) -> dict[str, str]:
        return {"name": self.name}
