"""Evaluation of a split part by part, in a Beam pipeline: what is kept of each example lies on disk.

A part is a run of whole batches, so that answers are those of one pass to the bit. Its records are written
as soon as they are known; at the end the columns of all parts are joined in files, which are mapped into
memory. What then grows with the split is what a ranking needs: places of 4 bytes for each class.
"""

import dataclasses
import functools
import json
import pathlib
import shutil
import typing

import numpy as np

from conveyor.components.artifacts import Examples
from conveyor.components.evaluator.predict import Predicted, new_galleries, predict
from conveyor.components.evaluator.saved_model import open_served
from conveyor.components.evaluator.settings import EvaluatorSettings, JudgeSettings
from conveyor.components.tasks import fitted_task
from conveyor.models.metrics.records import common_shape, filled
from conveyor.pipeline.errors import UserError

_PART = 1 << 14  # examples of a part, about


def predict_in_parts(
    examples: Examples,
    saved_model: pathlib.Path,
    settings: EvaluatorSettings,
    folder: pathlib.Path,
    size: int = _PART,
) -> Predicted:
    """Asks a model about a split as `predict` does; arrays are mapped from files in `folder`.

    Args:
        examples: Whose split `settings.judge.split` is used.
        saved_model: A SavedModel with a `serving_default` that takes image bytes.
        settings: How to judge.
        folder: An existing folder, for as long as the result is used; on a runner of several machines one
            that all of them see.
        size: Examples of a part, about.

    Raises:
        UserError: The model does not fit the data, or its answers are no numbers.
    """
    from conveyor.components.beam import for_each

    how = settings.judge
    count = examples.properties["splits"][how.split]
    step = max(1, size // how.batch_size) * how.batch_size
    parts = [
        _Part(folder / f"{number:06d}", range(start, min(start + step, count)))
        for number, start in enumerate(range(0, count, step))
    ]
    # here, and not in processes: TensorFlow uses all cores already, and must not be forked once it has run
    work = functools.partial(_predict_part, examples.path, examples.properties, saved_model, settings)
    for_each(how.runner, parts, work, alone=True)
    for part in parts:
        if part.error_file.exists():
            raise UserError.from_dict(json.loads(part.error_file.read_text(encoding="utf-8")))
    return _join(parts, folder, how)


@dataclasses.dataclass(frozen=True)
class _Part:
    """Some examples of a split, and where what is found of them is written."""

    folder: pathlib.Path
    rows: range

    @property
    def error_file(self) -> pathlib.Path:
        """Why it cannot be judged: Beam would make a text of the error."""
        return self.folder.with_suffix(".json")


def _predict_part(
    path: pathlib.Path,
    properties: dict[str, typing.Any],
    saved_model: pathlib.Path,
    settings: EvaluatorSettings,
    part: _Part,
) -> None:
    try:
        examples = Examples(path, properties)
        task = fitted_task(settings.task, examples, saved_model)
        found = predict(examples, _open(saved_model), task, settings.judge, part.rows)
    except UserError as error:
        part.error_file.write_text(json.dumps(error.to_dict()), encoding="utf-8")
        return
    partial = part.folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a worker that was killed
    partial.mkdir()
    for name, column in {"ids": found.ids, **found.records}.items():
        np.save(partial / f"{name}.npy", column, allow_pickle=False)
    for name, gallery in found.galleries.items():
        gallery.save(partial / name)
    partial.replace(part.folder)


@functools.lru_cache(maxsize=1)
def _open(saved_model: pathlib.Path) -> typing.Any:
    return open_served(saved_model)


def _join(parts: list[_Part], folder: pathlib.Path, how: JudgeSettings) -> Predicted:
    galleries = new_galleries(how)
    for part in parts:
        for name, gallery in galleries.items():
            gallery.merge(part.folder / name)
    names = [path.stem for path in sorted(parts[0].folder.glob("*.npy"))]
    columns = {name: _joined([part.folder / f"{name}.npy" for part in parts], folder) for name in names}
    for part in parts:
        shutil.rmtree(part.folder)
    return Predicted(columns.pop("ids"), columns, galleries)


def _joined(files: list[pathlib.Path], folder: pathlib.Path) -> np.ndarray:
    """Returns the arrays of files one after the other, mapped from a new file."""
    parts = [np.load(file, mmap_mode="r") for file in files]
    row = common_shape(parts)  # parts may differ, as in the number of objects
    dtype = np.result_type(*{part.dtype for part in parts})  # of strings, the longest
    target = folder / files[0].name
    whole = np.lib.format.open_memmap(target, "w+", dtype, (sum(map(len, parts)), *row))
    end = 0
    for part in parts:
        whole[end : end + len(part)] = filled(part, row)
        end += len(part)
    whole.flush()
    return np.load(target, mmap_mode="r")
