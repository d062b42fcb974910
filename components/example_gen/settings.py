"""Settings of example_gen: the `data` section of a config."""

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

    @pydantic.model_validator(mode="after")
    def _sum_to_one(self) -> "SplitSettings":
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + validation + test must be 1, not {total:g}")
        return self


class ExampleGenSettings(Settings):
    """Where images and labels come from, and how they are split."""

    source: str
    """`digits` (embedded), `folder:DIR` (class folders, within split folders or not), `csv:FILE`
    (columns path and label, and split and group if wanted), `npz:FILE` (arrays as Keras saves them),
    `tfrecord:DIR`, or `tfds:NAME` (a TensorFlow Datasets name)."""
    splits: SplitSettings = SplitSettings()
    max_quarantine: float = pydantic.Field(0.01, ge=0, le=1)
    """Share of unreadable files above which the run ends."""
    max_pixels: pydantic.PositiveInt = 50_000_000
    """Images with more pixels are set aside, before they are decoded."""
    beam: BeamSettings = BeamSettings()
