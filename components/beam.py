"""Beam pipelines with the user's options. Import Beam from here."""

import concurrent.futures
import contextlib
import dataclasses
import gc
import io
import logging
import multiprocessing
import os
import re
import typing
from collections.abc import Callable, Iterator, Sequence

from conveyor.components.example_gen.settings import BeamSettings


def _is_relevant(record: logging.LogRecord) -> bool:
    return "apitools not found" not in record.getMessage()  # about Google Cloud, on every local run


logging.getLogger().addFilter(_is_relevant)  # before the import, which logs it

import apache_beam as beam  # noqa: E402
import threadpoolctl  # noqa: E402
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions  # noqa: E402

__all__ = ["beam", "beam_pipeline", "for_each"]
_T = typing.TypeVar("_T")

# What is left of an operating system's error once Beam has made a text of it.
_OS_ERROR = re.compile(r"Error: \[Errno (\d+)\] (.+?)(?:: '(.+)')?(?: \[while running .*)?$", re.MULTILINE)


@contextlib.contextmanager
def beam_pipeline(settings: BeamSettings) -> Iterator[beam.Pipeline]:
    """Opens a Beam pipeline, which runs when it is closed.

    Args:
        settings: Runner and options.

    Raises:
        OSError: That of a worker, such as a full disk.
    """
    options = list(settings.options)
    local = settings.runner == "DirectRunner"
    if local and not any("direct_" in option for option in options):
        options += ["--direct_num_workers=1", "--direct_running_mode=multi_threading"]
    parsed = PipelineOptions([f"--runner={settings.runner}", *options])
    try:
        with _quiet() if local else contextlib.nullcontext(), beam.Pipeline(options=parsed) as pipeline:
            yield pipeline
    except RuntimeError as error:
        if found := _OS_ERROR.search(str(error)):
            number, text, name = found.groups()
            raise OSError(int(number), text, name) from None
        raise


def for_each(
    settings: BeamSettings, elements: Sequence[_T], work: Callable[[_T], object], *, alone: bool = False
) -> None:
    """Calls `work` for each element, in a Beam pipeline.

    On this machine the pipeline hands the elements to processes that were forked before it started, as
    Python's lock lets only one thread at a time do anything but decode. Beam's own mode of several
    processes takes 10 s to start.

    Args:
        settings: Runner and options.
        elements: To be worked on in any order, by any worker.
        work: Can be pickled.
        alone: Whether `work` must not be called in a forked process.

    Raises:
        OSError: That of a worker, such as a full disk.
    """
    count = _workers(settings, len(elements))
    if alone or count < 2:
        wrapped = [_Element(element) for element in elements]
        with beam_pipeline(settings) as pipeline:
            _ = pipeline | beam.Create(wrapped) | beam.Map(lambda element: work(element.content))
        return
    with _processes(work, count), beam_pipeline(settings) as pipeline:
        # One element, as the processes share the work out among themselves: a shuffle would only take time.
        _ = pipeline | beam.Create([_Element(elements)], reshuffle=False) | beam.Map(_in_processes)


@dataclasses.dataclass(frozen=True)
class _Element:
    """Hides an element from Beam, which would look through all of it to infer its type."""

    content: typing.Any


def _workers(settings: BeamSettings, elements: int) -> int:
    """Returns how many processes to use: one a core, or as many as an option of the local runner says."""
    if settings.runner != "DirectRunner":
        return 0
    local = PipelineOptions(settings.options).view_as(DirectOptions)
    told = any("direct_" in option for option in settings.options)
    if told and local.direct_running_mode != "multi_threading":
        return 0
    wanted = local.direct_num_workers if told else 0
    return min(wanted or os.cpu_count() or 1, elements)


_pool: concurrent.futures.Executor | None = None  # of this process; Beam cannot pickle it
_work: Callable[..., object] | None = None  # in a process of the pool


@contextlib.contextmanager
def _processes(work: Callable[..., object], count: int) -> Iterator[None]:
    global _pool
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(count, context, _begin, (work,)) as pool:
        concurrent.futures.wait([pool.submit(_pass) for _ in range(count)])  # all forks, before any thread
        _pool = pool
        try:
            yield
        finally:
            _pool = None


def _begin(work: Callable[..., object]) -> None:
    global _work
    threadpoolctl.threadpool_limits(1)  # there is a process a core already
    gc.freeze()  # what was there before is not looked through at every collection, and stays shared
    _work = work


def _pass() -> None:
    """Does nothing, but needs a process to do it."""


def _in_processes(elements: _Element) -> None:
    assert _pool is not None  # noqa: S101
    for _ in _pool.map(_call, elements.content):
        pass


def _call(element: object) -> None:
    assert _work is not None  # noqa: S101
    _work(element)


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
