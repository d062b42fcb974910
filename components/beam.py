"""Beam pipelines with the user's options. Import Beam from here."""

import contextlib
import io
import logging
import re
from collections.abc import Iterator

from conveyor.components.example_gen.settings import BeamSettings


def _is_relevant(record: logging.LogRecord) -> bool:
    return "apitools not found" not in record.getMessage()  # about Google Cloud, on every local run


logging.getLogger().addFilter(_is_relevant)  # before the import, which logs it

import apache_beam as beam  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402

__all__ = ["beam", "beam_pipeline"]

# What is left of an operating system's error once Beam has made a text of it.
_OS_ERROR = re.compile(r"Error: \[Errno (\d+)\] (.+?)(?:: '(.+)')?(?: \[while running .*)?$", re.MULTILINE)


@contextlib.contextmanager
def beam_pipeline(settings: BeamSettings, threads: int = 1) -> Iterator[beam.Pipeline]:
    """Opens a Beam pipeline, which runs when it is closed.

    Args:
        settings: Runner and options.
        threads: How many the DirectRunner uses, unless an option tells.

    Raises:
        OSError: That of a worker, such as a full disk.
    """
    options = list(settings.options)
    local = settings.runner == "DirectRunner"
    if local and not any("direct_" in option for option in options):
        options += [f"--direct_num_workers={threads}", "--direct_running_mode=multi_threading"]
    parsed = PipelineOptions([f"--runner={settings.runner}", *options])
    try:
        with _quiet() if local else contextlib.nullcontext(), beam.Pipeline(options=parsed) as pipeline:
            yield pipeline
    except RuntimeError as error:
        if found := _OS_ERROR.search(str(error)):
            number, text, name = found.groups()
            raise OSError(int(number), text, name) from None
        raise


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the DirectRunner from printing a worker's traceback: it raises the same error afterwards."""
    logger = logging.getLogger("apache_beam")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
