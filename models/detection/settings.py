"""Settings that all detectors share."""

import pydantic

from conveyor.models.settings import Settings


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


DETECTIONS = DetectionsSettings().model_dump()
"""The defaults, as a family's class takes them."""
