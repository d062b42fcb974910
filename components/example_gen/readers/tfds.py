"""A TensorFlow Datasets name, such as `mnist` or `cifar10:3.0.2`, downloaded when it is not there."""

import functools
import io
import pathlib
import typing
from collections.abc import Iterator

from conveyor.components.example_gen.readers.reader import RawExample
from conveyor.pipeline.digest import digest_of
from conveyor.pipeline.errors import UserError

_SHARD = 2000


class TFDSReader:
    """Reads a data set with features `image` and `label`.

    Args:
        name: What `tfds.builder` takes; or a directory that `tfds.builder_from_directory` opens.

    Raises:
        UserError: There is no such data set, it cannot be had, or it has no image with a label.
    """

    def __init__(self, name: str):
        self.name = name

    @functools.cached_property
    def _builder(self) -> typing.Any:
        import tensorflow_datasets as tfds

        try:
            if pathlib.Path(self.name).is_dir():
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
        features = builder.info.features
        if "image" not in features or not isinstance(features.get("label"), tfds.features.ClassLabel):
            raise UserError(
                "data.source: the data set has no labelled images",
                expected="features `image` and `label`",
                received=", ".join(sorted(features)),
                where=f"tfds:{self.name}",
            )
        return builder

    def classes(self) -> list[str]:
        return list(self._builder.info.features["label"].names)

    def splits(self) -> set[str]:
        return set(self._builder.info.splits)

    def fingerprint(self, workspace: pathlib.Path) -> str:
        del workspace
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
        encoded = self._builder.info.features["image"].encoding_format in ("png", "jpeg", None)
        decoders = {"image": tfds.decode.SkipDecoding()} if encoded else None
        part = tfds.core.ReadInstruction(split, from_=start, to=stop, unit="abs")
        dataset = self._builder.as_dataset(split=part, decoders=decoders, shuffle_files=False)
        for offset, example in enumerate(tfds.as_numpy(dataset)):
            label = int(example["label"])
            image = example["image"]
            data = image if isinstance(image, bytes) else _encode(image)
            yield RawExample(f"{split}/{start + offset:08d}", names[label] if label >= 0 else "", split, data)

    def __getstate__(self) -> dict[str, str]:
        return {"name": self.name}


def _encode(pixels: typing.Any) -> bytes:
    import PIL.Image

    file = io.BytesIO()
    PIL.Image.fromarray(pixels.squeeze()).save(file, "PNG")
    return file.getvalue()
