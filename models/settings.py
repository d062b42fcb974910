"""Base of the settings of families and tasks; imports nothing heavy."""

from conveyor.pipeline.config import Settings

__all__ = ["Settings"]
