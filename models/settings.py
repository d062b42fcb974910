"""Base of the settings of families and tasks; imports nothing heavy."""

import typing

from conveyor.pipeline.config import Settings

# Each item one layer: {random_translation: {height_factor: 0.1, width_factor: 0.1}}
AugmentationSettings = list[dict[str, dict[str, typing.Any]]]

__all__ = ["AugmentationSettings", "Settings"]
