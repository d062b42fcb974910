"""Settings of tasks."""

import typing

import pydantic

from conveyor.models.hierarchy.settings import HierarchySettings
from conveyor.models.settings import Settings


class ClassificationSettings(Settings):
    """One class per image."""

    needs: typing.ClassVar[tuple[str, ...]] = ("label",)
    """What every example must have."""
    unit_range: typing.ClassVar[bool] = False
    """Whether the model input must be in [0, 1]."""
    asks: typing.ClassVar[tuple[str, ...]] = ()
    """Fields that say what a model is asked in evaluation: only where they agree can two be compared."""
    kind: typing.Literal["classification"] = "classification"
    label_smoothing: float = pydantic.Field(0.0, ge=0, lt=1)
    """Share of the target spread evenly over all classes."""
    loss: typing.Literal["crossentropy", "focal"] = "crossentropy"
    """Cross-entropy, or focal loss, which gives what is hard more weight."""
    focal_gamma: float = pydantic.Field(2.0, ge=0)
    """How much more: examples count as (1 - probability of the true class) to this power."""
    hierarchy: HierarchySettings | None = None
    """A tree over the classes, so that some mistakes are worse than others."""


class ReconstructionSettings(Settings):
    """The image itself, through a code: autoencoders."""

    needs: typing.ClassVar[tuple[str, ...]] = ()
    unit_range: typing.ClassVar[bool] = True
    asks: typing.ClassVar[tuple[str, ...]] = ("noise",)
    kind: typing.Literal["reconstruction"]
    loss: typing.Literal["bce", "mse"] = "bce"
    """Binary cross-entropy of pixels in [0, 1], or mean squared error."""
    noise: float = pydantic.Field(0.0, ge=0, le=1)
    """Standard deviation of Gaussian noise on what the model is given, of pixels in [0, 1]: denoising."""
    normal_share: float = pydantic.Field(0.99, gt=0, le=1)
    """Share of the validation images that lie below the threshold of anomalies."""


def kind(value: typing.Any) -> str:
    """Returns the kind of a task, from the dict of a config or from settings."""
    given = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "classification" if given is None else str(given)


TaskSettings = typing.Annotated[
    typing.Annotated[ClassificationSettings, pydantic.Tag("classification")]
    | typing.Annotated[ReconstructionSettings, pydantic.Tag("reconstruction")],
    pydantic.Discriminator(kind),
]


def asked(task: TaskSettings) -> dict[str, typing.Any]:
    """Returns what a model is asked in evaluation, besides the examples, as JSON values."""
    return task.model_dump(mode="json", include={"kind", *task.asks})
