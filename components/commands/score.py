"""Predictions on any number of image files, through Beam, as Parquet or JSON lines."""

import dataclasses
import pathlib
import typing
from collections.abc import Iterator

import orjson
import pyarrow as pa
from etils import epath

from conveyor.components.beam import beam, beam_pipeline
from conveyor.components.commands.predict import answer_all, is_server, open_model
from conveyor.components.evaluator.saved_model import find_saved_model, open_served
from conveyor.components.example_gen.settings import BeamSettings
from conveyor.pipeline.errors import UserError, did_you_mean

from apache_beam.io.filesystems import FileSystems  # isort: skip
from apache_beam.utils.shared import Shared  # isort: skip

FORMATS = (".parquet", ".jsonl")
_MARKS = "*?["
_FAILED = beam.metrics.Metrics.counter("conveyor", "failed")


@dataclasses.dataclass(frozen=True)
class Scoring:
    """What to predict, and where to write it.

    Args:
        model: See `predict_files`.
        images: Paths or patterns such as `photos/*.jpg`; local, gs:// or s3://.
        to: Prefix of the files that are written, ending in .parquet or .jsonl.
        batch_size: Images a request.
        token: For a server.
    """

    model: str
    images: list[str]
    to: str
    batch_size: int = 32
    token: str = ""


def score(scoring: Scoring, runner: BeamSettings) -> dict[str, typing.Any]:
    """Writes a row for each image: `image`, `error`, null if there is none, and the outputs of the model.

    Args:
        scoring: What is to be done.
        runner: How Beam runs; on machines of their own, model and images must be seen by all.

    Returns:
        `images`, how many; `failed`, of these; and `files`.

    Raises:
        UserError: There is no such model or image, or the format is another.
    """
    suffix = pathlib.PurePath(scoring.to).suffix
    if suffix not in FORMATS:
        raise UserError(
            "predictions cannot be written in this format",
            received=scoring.to,
            fix=did_you_mean(suffix, FORMATS),
        )
    paths = list(_expand(scoring.images))
    batches = [paths[at : at + scoring.batch_size] for at in range(0, len(paths), scoring.batch_size)]
    prefix = scoring.to.removesuffix(suffix)
    if not is_server(scoring.model):
        find_saved_model(scoring.model)  # here, where an error is told as it is
    sink = _sink(scoring, prefix, suffix)
    with beam_pipeline(runner) as pipeline:
        rows = pipeline | beam.Create(batches) | beam.ParDo(_Score(scoring))
        _ = rows | sink
    found = pipeline.result.metrics().query(beam.metrics.MetricsFilter().with_name("failed"))["counters"]
    files = sorted(map(str, epath.Path(prefix).parent.glob(f"{epath.Path(prefix).name}-*{suffix}")))
    return {"images": len(paths), "failed": sum(one.committed for one in found), "files": files}


def _expand(images: list[str]) -> Iterator[str]:
    for image in images:
        if not any(mark in image for mark in _MARKS):
            yield image
            continue
        matched = sorted(found.path for found in FileSystems.match([image])[0].metadata_list)
        if not matched:
            raise UserError("no image is matched", received=image)
        yield from matched


def _sink(scoring: Scoring, prefix: str, suffix: str) -> typing.Any:
    if suffix == ".jsonl":
        return "as text" >> _JSONLines(prefix, suffix)
    fields = [pa.field(name, _arrow(kind, rank)) for name, (kind, rank) in sorted(_outputs(scoring).items())]
    schema = pa.schema([pa.field("image", pa.string()), pa.field("error", pa.string()), *fields])
    return beam.io.WriteToParquet(prefix, schema, file_name_suffix=suffix)


def _outputs(scoring: Scoring) -> dict[str, tuple[str, int]]:
    """Returns name -> type, and number of axes of one row, of the outputs of a model."""
    if is_server(scoring.model):
        from conveyor.components.serving.client import Client

        return Client(scoring.model, scoring.token).outputs()
    specs = open_served(find_saved_model(scoring.model)).structured_outputs
    return {name: (spec.dtype.name, spec.shape.rank - 1) for name, spec in specs.items()}


def _arrow(kind: str, rank: int) -> pa.DataType:
    """Returns the type of one row of an output: as many lists in lists as it has axes."""
    found = pa.string() if kind == "string" else pa.from_numpy_dtype(kind)
    for _ in range(rank):
        found = pa.list_(found)
    return found


class _JSONLines(beam.PTransform):
    def __init__(self, prefix: str, suffix: str):
        super().__init__()
        self._prefix, self._suffix = prefix, suffix

    def expand(self, rows: typing.Any) -> typing.Any:
        lines = rows | beam.Map(lambda row: orjson.dumps(row).decode())
        return lines | beam.io.WriteToText(self._prefix, file_name_suffix=self._suffix)


class _Score(beam.DoFn):
    """Predicts batches of files; the threads of a process share one model.

    Args:
        scoring: What is to be done.
    """

    def __init__(self, scoring: Scoring):
        super().__init__()
        self._scoring = scoring
        self._shared = Shared()

    def setup(self) -> None:
        """Opens the model."""
        self._ask = self._shared.acquire(lambda: open_model(self._scoring.model, self._scoring.token))

    def process(self, paths: list[str]) -> Iterator[dict[str, typing.Any]]:
        """Yields a row for each image."""
        for row in answer_all(self._ask, paths, _read):
            _FAILED.inc("error" in row)
            yield {"error": None, **row}


def _read(path: str) -> bytes:
    with FileSystems.open(path, compression_type="uncompressed") as file:
        return file.read()
