"""Settings of the SSD family."""

import typing

import pydantic

from conveyor.models.detection.settings import DetectionsSettings, DetectorSettings


class SSDSettings(DetectorSettings):
    """A single-shot detector: at each place of some feature maps it judges boxes of a few shapes."""

    family: typing.Literal["ssd"]
    tasks: typing.ClassVar[tuple[str, ...]] = ("detection",)
    pyramid: bool = True
    """Tell the fine levels what the coarse ones have seen (a feature pyramid)."""
    filters: pydantic.PositiveInt = 64
    """Channels of the pyramid, of the levels that are added, and of the head's convolutions."""
    head_convolutions: pydantic.NonNegativeInt = 1
    """3x3 convolutions of the head before its last, for classes and for boxes each."""
    positive: float = pydantic.Field(0.5, gt=0, le=1)
    """An anchor that overlaps a box by at least this IoU is to find it; and the best anchor of each box."""
    negative: float = pydantic.Field(0.4, ge=0, le=1)
    """One that overlaps none by as much is background; those between count for nothing."""
    class_loss: typing.Literal["mining", "focal", "quality"] = "mining"
    """Softmax with the hardest background only; focal loss; or focal loss to scores that say the IoU."""
    mining_ratio: pydantic.PositiveFloat = 3.0
    """Background anchors for each that finds a box, in `mining`."""
    focal_gamma: float = pydantic.Field(2.0, ge=0)
    """How much less what is easy counts, in `focal` and `quality`."""
    box_loss: typing.Literal["smooth_l1", "giou", "diou"] = "smooth_l1"
    """Of offsets from the anchor; or 1 - GIoU or DIoU of the boxes."""
    box_weight: pydantic.PositiveFloat = 1.0
    """Of the loss of boxes, that of classes being 1."""
    detections: DetectionsSettings = DetectionsSettings()

    @pydantic.model_validator(mode="after")
    def _is_in_order(self) -> typing.Self:
        if self.negative > self.positive:
            raise ValueError(f"negative ({self.negative}) is above positive ({self.positive})")
        return self
