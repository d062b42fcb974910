"""Settings of example_gen: part of the `data` section of a config."""

import typing

import pydantic

from conveyor.pipeline.config import Settings


class BeamSettings(Settings):
    """How Beam runs."""

    runner: str = "DirectRunner"
    """DirectRunner, DataflowRunner, FlinkRunner, SparkRunner, …"""
    options: list[str] = []
    """Any Beam pipeline option, such as "--direct_num_workers=4"."""


class SplitSettings(Settings):
    """Shares of the examples in each split, by content hash, where the source has no splits.

    A source with splits of its own keeps them; if it has no validation split, the `validation`
    share is taken from its training split.
    """

    train: float = pydantic.Field(0.8, gt=0, le=1)
    validation: float = pydantic.Field(0.1, ge=0, lt=1)
    test: float = pydantic.Field(0.1, ge=0, lt=1)
    stratify: bool = False
    """Give every class the same shares, as nearly as whole groups and copies allow. Then, unlike
    without it, added data can move examples near the edge between two splits."""
    folds: int | None = pydantic.Field(None, ge=2, le=100)
    """Cross-validation: all but the test share is cut into so many parts, of which number `fold` is
    the validation split and the others are for training; `train` and `validation` do not count then."""
    fold: pydantic.NonNegativeInt = 0
    """Which part is the validation split: 0 to `folds` - 1."""

    @pydantic.model_validator(mode="after")
    def _fit(self) -> "SplitSettings":
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + validation + test must be 1, not {total:g}")
        if self.fold >= (self.folds or 1):
            raise ValueError(f"fold must be below folds, which is {self.folds}; it is {self.fold}")
        return self


class PolicySettings(Settings):
    """What is done about faults that do not make an example useless. All are reported."""

    box_outside: typing.Literal["clip", "drop"] = "clip"
    """A box that reaches beyond its image. One wholly outside is always dropped."""
    box_duplicate: typing.Literal["drop", "keep"] = "drop"
    """A box that covers another of the same class (IoU above 0.95)."""
    wrong_extension: typing.Literal["set_aside", "keep"] = "set_aside"
    """A file whose name says another format than its content has."""
    image_size: typing.Literal["set_aside", "keep"] = "set_aside"
    """An annotation made for an image of another size."""


class SourceSettings(Settings):
    """Where images and labels come from, and how they are split."""

    source: str
    """`digits` or `digit_scenes` (embedded), `folder:DIR` (class folders, within split folders or
    not), `csv:FILE`, `coco:DIR`, `voc:DIR`, `yolo:DIR`, `masks:DIR`, `npz:FILE`, `tfrecord:DIR`, or
    `tfds:NAME`. A directory or file may be in gs:// or s3://."""
    splits: SplitSettings = SplitSettings()
    policy: PolicySettings = PolicySettings()
    max_quarantine: float = pydantic.Field(0.01, ge=0, le=1)
    """Share of files set aside above which the data does not pass."""
    max_pixels: pydantic.PositiveInt = 50_000_000
    """Images with more pixels are set aside, before they are decoded."""
    measure_side: pydantic.PositiveInt = 160
    """Large JPEGs are measured at the smallest of the scales 1, 1/2, 1/4 and 1/8 (which decoders reach
    for less) that leaves the longer side this many pixels. All their bytes are decoded for it. What
    it costs: their standard deviations come out lower, by 0.2% to 5% on photographs."""
    distort: typing.Literal["none", "R", "RTS", "P", "E"] = "none"
    """Distort grey images of 28x28 pixels, each once: rotated by up to 90 degrees; rotated, scaled and
    moved on a canvas of 42x42; projected; bent. See `random_distortion` for the same in training."""
    distort_splits: list[str] = ["train", "validation", "test"]
    """Splits to distort; others get the same canvas."""
    beam: BeamSettings = BeamSettings()


class ExampleGenSettings(SourceSettings):
    """All that the examples depend on."""

    resplit: bool = False
    """Move whole groups of duplicates, and of examples of one `group`, into one split: the one of
    test, validation and train that comes first among those they are in. Set by `data.leaks: resplit`."""
