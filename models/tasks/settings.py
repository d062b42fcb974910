"""Settings of tasks."""

import typing

import pydantic

from conveyor.models.hierarchy.settings import HierarchySettings
from conveyor.models.settings import Settings


class ClassificationSettings(Settings):
    """One class per image."""

    needs: typing.ClassVar[tuple[str, ...]] = ("label",)
    """What every example must have."""
    names: typing.ClassVar[str] = "classes"
    """The property of Examples that has the names of the classes."""
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


class MultiLabelSettings(Settings):
    """Any number of classes in an image, or none: those of its objects."""

    needs: typing.ClassVar[tuple[str, ...]] = ("objects",)
    names: typing.ClassVar[str] = "classes"
    unit_range: typing.ClassVar[bool] = False
    asks: typing.ClassVar[tuple[str, ...]] = ()
    kind: typing.Literal["multi_label"]
    label_smoothing: float = pydantic.Field(0.0, ge=0, lt=1)
    """How far targets of 0 and 1 are moved towards 0.5, as a share of the way."""
    loss: typing.Literal["crossentropy", "focal"] = "crossentropy"
    """Binary cross-entropy of each class by itself, or focal loss, which gives what is hard more weight."""
    focal_gamma: float = pydantic.Field(2.0, ge=0)
    """How much more: answers count as (1 - probability of the truth) to this power."""


class ReconstructionSettings(Settings):
    """The image itself, through a code: autoencoders."""

    needs: typing.ClassVar[tuple[str, ...]] = ()
    names: typing.ClassVar[str] = "classes"
    unit_range: typing.ClassVar[bool] = True
    asks: typing.ClassVar[tuple[str, ...]] = ("noise", "normal")
    kind: typing.Literal["reconstruction"]
    loss: typing.Literal["bce", "mse"] = "bce"
    """Binary cross-entropy of pixels in [0, 1], or mean squared error."""
    noise: float = pydantic.Field(0.0, ge=0, le=1)
    """Standard deviation of Gaussian noise on what the model is given, of pixels in [0, 1]: denoising."""
    normal_share: float = pydantic.Field(0.99, gt=0, le=1)
    """Share of the validation images that lie below the threshold of anomalies."""
    normal: list[str] = []
    """Classes that are normal; all others are anomalies. Training and threshold see none of these, and
    evaluation tells how well `anomaly_score` finds them. Without it no label is looked at."""


class DetectionSettings(Settings):
    """Objects and their boxes."""

    needs: typing.ClassVar[tuple[str, ...]] = ("objects",)
    names: typing.ClassVar[str] = "classes"
    unit_range: typing.ClassVar[bool] = False
    asks: typing.ClassVar[tuple[str, ...]] = ()
    kind: typing.Literal["detection"]
    max_boxes: pydantic.PositiveInt = 100
    """Boxes of an image that training looks at: the largest."""
    threshold: float = pydantic.Field(0.5, ge=0, lt=1)
    """Score from which a box counts as said, in pictures and captions; the metrics look at all."""


class SegmentationSettings(Settings):
    """A class for each pixel."""

    needs: typing.ClassVar[tuple[str, ...]] = ("mask",)
    names: typing.ClassVar[str] = "mask_classes"
    unit_range: typing.ClassVar[bool] = False
    asks: typing.ClassVar[tuple[str, ...]] = ()
    kind: typing.Literal["segmentation"]
    losses: list[typing.Literal["crossentropy", "focal", "dice", "tversky"]] = pydantic.Field(
        ["crossentropy"], min_length=1
    )
    """The loss, or several that are summed. Pixels that are void (255) count in none."""
    class_weights: typing.Literal["none", "median_frequency"] = "none"
    """Weigh the pixels of rare classes more, in cross-entropy and focal loss."""
    label_smoothing: float = pydantic.Field(0.0, ge=0, lt=1)
    """Share of the target spread evenly over all classes, in cross-entropy and focal loss."""
    focal_gamma: float = pydantic.Field(2.0, ge=0)
    """How much more hard pixels count in focal loss."""
    tversky_alpha: float = pydantic.Field(0.3, ge=0, le=1)
    """What a pixel counts in the Tversky loss that is wrongly said to be of a class; one that is missed
    counts 1 - alpha. At 0.5 it is the Dice loss; below, more is found, and more wrongly."""

    @pydantic.field_validator("losses")
    @classmethod
    def _differ(cls, losses: list[str]) -> list[str]:
        if len(set(losses)) != len(losses):
            raise ValueError("each loss once")
        return losses


class InstanceSegmentationSettings(DetectionSettings):
    """Objects, their boxes and their masks: detection with outlines."""

    kind: typing.Literal["instance_segmentation"]  # type: ignore[assignment]  # another word, not a wider one


def kind(value: typing.Any) -> str:
    """Returns the kind of a task, from the dict of a config or from settings."""
    given = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "classification" if given is None else str(given)


TaskSettings = typing.Annotated[
    typing.Annotated[ClassificationSettings, pydantic.Tag("classification")]
    | typing.Annotated[DetectionSettings, pydantic.Tag("detection")]
    | typing.Annotated[InstanceSegmentationSettings, pydantic.Tag("instance_segmentation")]
    | typing.Annotated[MultiLabelSettings, pydantic.Tag("multi_label")]
    | typing.Annotated[ReconstructionSettings, pydantic.Tag("reconstruction")]
    | typing.Annotated[SegmentationSettings, pydantic.Tag("segmentation")],
    pydantic.Discriminator(kind),
]


def asked(task: TaskSettings) -> dict[str, typing.Any]:
    """Returns what a model is asked in evaluation, besides the examples, as JSON values."""
    return task.model_dump(mode="json", include={"kind", *task.asks})
