"""Settings of infra_validator."""

import pydantic

from conveyor.models.tasks.settings import TaskSettings
from conveyor.pipeline.config import Settings


class ProofSettings(Settings):
    """How alike served and evaluated answers must be."""

    tolerance: float = pydantic.Field(0.0, ge=0)
    """Largest difference allowed between two outputs; 0 asks for the same bits."""


class InfraValidatorSettings(Settings):
    """All that the proof depends on."""

    task: TaskSettings
    proof: ProofSettings = ProofSettings()
