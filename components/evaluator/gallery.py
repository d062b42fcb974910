"""The answers that are worth a look: the most wrong ones, and the right ones that were least sure."""

import dataclasses
import heapq
import json
import pathlib
import typing

import numpy as np

from conveyor.models.tasks.task import Outputs, Records, Task

_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}


@dataclasses.dataclass(order=True, frozen=True)
class Row:
    """One answer.

    Args:
        badness: See `Task.badness`.
        earlier: Minus its place in the split: of equal answers the first is kept.
        image: What shows it, encoded.
        text: Its caption.
    """

    badness: float
    earlier: int
    image: bytes = dataclasses.field(compare=False)
    text: str = dataclasses.field(compare=False)


class Gallery:
    """The worst answers seen so far, with their images.

    Args:
        size: How many are kept.
        wrong: Whether wrong answers are wanted, or else right ones.
    """

    def __init__(self, size: int, wrong: bool):
        self.size, self.wrong = size, wrong
        self.rows: list[Row] = []

    def add(
        self, first: int, batch: dict[str, typing.Any], outputs: Outputs, records: Records, task: Task
    ) -> None:
        """Looks at a batch, the first example of which has this place in the split."""
        badness = task.badness(records)
        wanted = np.flatnonzero(badness > 0 if self.wrong else badness < 0).tolist()
        for index in wanted if self.size else ():
            key = float(badness[index]), -(first + index)
            if len(self.rows) == self.size and key < (self.rows[0].badness, self.rows[0].earlier):
                continue
            record = {"truth": _row(batch["truth"], index), **_row(records, index)}
            text = f"{batch['id'][index]}: {task.caption(record)}"
            answer = _row(outputs, index)
            self._keep(Row(*key, task.picture(batch["image"][index], answer, record), text))

    def _keep(self, row: Row) -> None:
        (heapq.heappush if len(self.rows) < self.size else heapq.heappushpop)(self.rows, row)

    def save(self, folder: pathlib.Path) -> None:
        """Writes the rows into an empty folder, to be merged with others."""
        folder.mkdir()
        told = [[row.badness, row.earlier, row.text] for row in self.rows]
        (folder / "rows.json").write_text(json.dumps(told), encoding="utf-8")
        for number, row in enumerate(self.rows):
            (folder / str(number)).write_bytes(row.image)

    def merge(self, folder: pathlib.Path) -> None:
        """Adds what another has saved."""
        told = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
        for number, (badness, earlier, text) in enumerate(told):
            self._keep(Row(badness, earlier, (folder / str(number)).read_bytes(), text))

    def plot(self, folder: pathlib.Path, name: str) -> dict[str, typing.Any]:
        """Writes the images into a new folder of this name in an artifact, and returns the plot."""
        items = []
        (folder / name).mkdir()
        for number, row in enumerate(sorted(self.rows, reverse=True)):
            suffix = next((end for start, end in _SUFFIXES.items() if row.image.startswith(start)), ".bin")
            file = f"{name}/{number:03d}{suffix}"
            (folder / file).write_bytes(row.image)
            items.append({"file": file, "caption": row.text})
        title, caption = (
            ("Worst errors", "The answers that were most wrong, worst first.")
            if self.wrong
            else ("Hardest", "The right answers that were least sure, least sure first.")
        )
        return {"kind": "gallery", "title": title, "caption": caption, "items": items}


def _row(columns: typing.Any, index: int) -> typing.Any:
    """Returns one example's part of arrays, or of a dict of them."""
    if isinstance(columns, dict):
        return {name: _row(column, index) for name, column in columns.items()}
    return columns[index]
