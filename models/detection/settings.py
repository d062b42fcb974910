"""Settings that all detectors share."""

import typing

import pydantic

from conveyor.models.cnn.settings import CNNSettings
from conveyor.models.pretrained.settings import PretrainedSettings
from conveyor.models.resnet.settings import ResNetSettings
from conveyor.models.settings import Settings

_Shape = typing.Annotated[list[pydantic.PositiveFloat], pydantic.Field(min_length=2, max_length=2)]


class DetectionsSettings(Settings):
    """Which of a detector's boxes are served: non-maximum suppression, class by class."""

    score: float = pydantic.Field(0.01, ge=0, lt=1)
    """A box is kept if its score is larger. Low, as average precision needs the unsure ones too."""
    iou: float = pydantic.Field(0.5, ge=0, le=1)
    """Of two boxes of a class that overlap by more, the better is kept."""
    most: pydantic.PositiveInt = 100
    """Boxes kept in an image, the best."""
    soft: bool = False
    """Lower the scores of boxes that overlap a better one, in place of dropping them; `iou` plays no part."""
    vote: float | None = pydantic.Field(None, gt=0, le=1)
    """Serve the mean, by score, of all boxes of the class that overlap a kept one by at least this IoU."""


class DetectorSettings(Settings):
    """Feature maps of a classifier, and the anchors at each place of them; a base of families' settings."""

    backbone: CNNSettings | ResNetSettings | PretrainedSettings = pydantic.Field(discriminator="family")
    """The classifier whose feature maps are used; its head is left off."""
    finest: int = pydantic.Field(3, ge=1, le=8)
    """The first level: its places are 2^finest pixels apart."""
    coarsest: int = pydantic.Field(5, ge=1, le=8)
    """The last level; those that the backbone lacks are made by strided convolutions."""
    anchors: typing.Literal["regular", "auto"] = "regular"
    """Shapes of anchors: `scales` x `aspect_ratios`, or such as fit the training boxes best."""
    scales: list[pydantic.PositiveFloat] = pydantic.Field([3.0, 4.24], min_length=1)
    """Square roots of the areas of regular anchors, in strides of their level."""
    aspect_ratios: list[pydantic.PositiveFloat] = pydantic.Field([0.5, 1.0, 2.0], min_length=1)
    """Width / height of regular anchors."""
    per_place: pydantic.PositiveInt = 3
    """Fitted anchors at each place."""
    shapes: list[list[_Shape]] | None = None
    """Width and height of the anchors of each level, in pixels of the model's input; instead of all that."""

    @pydantic.model_validator(mode="after")
    def _has_levels(self) -> typing.Self:
        if self.finest > self.coarsest:
            raise ValueError(f"expected finest <= coarsest. Received: {self.finest} and {self.coarsest}")
        levels = self.coarsest - self.finest + 1
        if self.shapes is not None and (
            len(self.shapes) != levels
            or len({len(level) for level in self.shapes}) != 1
            or not self.shapes[0]
        ):
            raise ValueError(f"expected shapes of {levels} levels, as many in each")
        return self


DETECTIONS = DetectionsSettings().model_dump()
"""The defaults, as a family's class takes them."""
