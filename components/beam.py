"""Beam pipelines with the user's options. Import Beam from here."""

import logging
import os

from conveyor.components.example_gen.settings import BeamSettings


def _is_relevant(record: logging.LogRecord) -> bool:
    return "apitools not found" not in record.getMessage()  # about Google Cloud, on every local run


logging.getLogger().addFilter(_is_relevant)  # before the import, which logs it

import apache_beam as beam  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402

__all__ = ["beam", "beam_pipeline"]


def beam_pipeline(settings: BeamSettings) -> beam.Pipeline:
    """Returns a Beam pipeline.

    Args:
        settings: Runner and options. The DirectRunner uses a thread for each core unless told.
    """
    options = list(settings.options)
    if settings.runner == "DirectRunner" and not any("direct_" in option for option in options):
        options += [f"--direct_num_workers={os.cpu_count()}", "--direct_running_mode=multi_threading"]
    return beam.Pipeline(options=PipelineOptions([f"--runner={settings.runner}", *options]))
