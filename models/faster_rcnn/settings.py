"""Settings of the Faster R-CNN family."""

import typing

import pydantic

from conveyor.models.detection.settings import DetectionsSettings, DetectorSettings
from conveyor.models.settings import Settings


class ProposalsSettings(Settings):
    """Regions that the region proposal network hands on, and what it learns from."""

    before: pydantic.PositiveInt = 500
    """Best boxes of each level of the pyramid that are looked at."""
    most: pydantic.PositiveInt = 200
    """Boxes kept in an image, the best of all levels."""
    iou: float = pydantic.Field(0.7, gt=0, le=1)
    """Of two boxes of a level that overlap by more, the better is kept."""
    positive: float = pydantic.Field(0.7, gt=0, le=1)
    """IoU with an object from which an anchor is to find it; the best anchor of an object is anyway."""
    negative: float = pydantic.Field(0.3, ge=0, le=1)
    """IoU below which an anchor is background; between the two it counts for nothing."""
    sample: pydantic.PositiveInt = 256
    """Anchors of an image that the loss is of, in each step others."""
    share: float = pydantic.Field(0.5, gt=0, le=1)
    """The most of them that are to find an object."""

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> typing.Self:
        if self.negative > self.positive:
            raise ValueError(f"expected negative <= positive. Received: {self.negative} and {self.positive}")
        return self


class RegionsSettings(Settings):
    """What the second stage sees of a region, and which regions it learns from."""

    pooling: typing.Literal["align", "pool"] = "align"
    """RoI Align: means of bilinear samples; RoI pooling: maxima of pixels, borders rounded."""
    size: pydantic.PositiveInt = 7
    """Bins along each side of a region."""
    dense: list[pydantic.PositiveInt] = [256, 256]
    """Widths of the dense layers between a region's features and its class and box."""
    positive: float = pydantic.Field(0.5, gt=0, le=1)
    """IoU with an object from which a region shows it; one with less is background."""
    sample: pydantic.PositiveInt = 64
    """Regions of an image that the loss is of, in each step others."""
    share: float = pydantic.Field(0.25, gt=0, le=1)
    """The most of them that show an object."""
    box_loss: typing.Literal["smooth_l1", "giou", "diou"] = "smooth_l1"
    """Of offsets from the region; or 1 - GIoU or DIoU of the boxes."""


class MasksSettings(Settings):
    """The mask head's layers."""

    size: pydantic.PositiveInt = 14
    """Bins along each side of a region; its mask has twice as many pixels."""
    filters: list[pydantic.PositiveInt] = [64, 64]
    """Filters of the convolutions before the map is doubled."""


class FasterRCNNSettings(DetectorSettings):
    """A network that proposes regions, and one that tells what they show; both learn together."""

    family: typing.Literal["faster_rcnn"]
    tasks: typing.ClassVar[tuple[str, ...]] = ("detection", "instance_segmentation")
    finest: int = pydantic.Field(2, ge=1, le=8)
    """The first level: its places are 2^finest pixels apart."""
    filters: pydantic.PositiveInt = 64
    """Channels of the pyramid."""
    scales: list[pydantic.PositiveFloat] = pydantic.Field([8.0], min_length=1)
    """Square roots of the areas of regular anchors, in strides of their level."""
    proposals: ProposalsSettings = ProposalsSettings()
    regions: RegionsSettings = RegionsSettings()
    mask_head: bool = False
    """Whether each object's mask is found too: Mask R-CNN, for the task instance_segmentation."""
    masks: MasksSettings = MasksSettings()
    detections: DetectionsSettings = DetectionsSettings()


PROPOSALS = ProposalsSettings().model_dump()
REGIONS = RegionsSettings().model_dump()
MASKS = MasksSettings().model_dump()
