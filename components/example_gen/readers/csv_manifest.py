"""A CSV manifest: one row an image, or one row a box.

Columns, by the names of the header row (case does not matter):

- `path` (or image, file, filename, image_path): relative to the folder of the CSV file;
- `label` (or class, category): the class of the image, or of the box where there are boxes;
- or `labels` (or classes, tags): any number of classes of the image, between them ';', ',' or '|'. Each is
  then an object as large as its image, as nobody says where it is;
- `split` (optional): train, val/validation/dev or test, or empty;
- `group` (optional): what must not be torn apart by splits. Only this name: a column `patient` or
  `video` is not guessed to be one, rename it;
- `xmin`, `ymin`, `xmax`, `ymax` (optional, all four): a box in pixels. Rows of one path are then one
  example; a row with neither box nor label says that the image holds no object;
- `width`, `height` (optional, both): the size of the image that boxes were drawn in, in pixels.

Other columns are ignored. UTF-8, with or without byte order mark; separated by comma, semicolon or tab.
"""

import csv
import dataclasses
import functools
import io
import math
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

from conveyor.components.example_gen.readers.files import (
    Listing,
    locate,
    read_image,
    read_limited,
    shuffled,
)
from conveyor.components.example_gen.readers.names import SPLITS, UnsafePathError, printable, safe_path, shown
from conveyor.components.example_gen.readers.raw import WHOLE, Fault, RawExample, RawObject
from conveyor.components.example_gen.readers.store import each, is_remote
from conveyor.components.example_gen.readers.values import image_size
from conveyor.pipeline.errors import UserError, did_you_mean

USAGE = "csv:FILE.csv, a table with the columns path and label"
MAX_CSV = 1 << 30  # bytes
_BOX = ("xmin", "ymin", "xmax", "ymax")
# Column -> names it may have, the surest first.
_NAMES = {
    "path": ("path", "image_path", "image", "file", "filename"),
    "label": ("label", "class", "category"),
    "labels": ("labels", "classes", "tags"),
    "split": ("split",),
    "group": ("group",),
    **{name: (name,) for name in (*_BOX, "width", "height")},
}
_KNOWN = [name for names in _NAMES.values() for name in names]
_DELIMITERS = ",;\t"
_BETWEEN = re.compile("[;,|]")  # classes of a cell


@dataclasses.dataclass(frozen=True)
class _Row:
    """A row that can be read: where it is in the file, and its cells (box: empty without boxes)."""

    where: str
    path: str
    label: str
    split: str
    group: str
    box: tuple[str, ...]
    size: tuple[int, int] | None


class CsvManifestReader:
    """Reads the images that a CSV file lists.

    Args:
        file: Path of the CSV file.

    Raises:
        UserError: It is missing, is no UTF-8 text, has no rows, or lacks columns.
    """

    def __init__(self, file: str):
        self.file, is_folder = locate(file, USAGE)
        if is_folder:
            raise UserError("data.source: this is no CSV file", expected=USAGE, where=printable(self.file))
        self.folder = os.path.dirname(self.file)
        if not is_remote(self.file):
            self._check()

    def _check(self) -> None:
        if not self._examples:
            raise UserError("data.source: the CSV file has no rows below its header", where=self._name)

    @property
    def _name(self) -> str:
        return printable(self.file)

    @functools.cached_property
    def _listing(self) -> Listing:
        return Listing(self.folder)

    @functools.cached_property
    def _text(self) -> str:
        try:
            data = read_limited(self.file, MAX_CSV)
        except OSError as error:
            received = str(error.strerror)
            raise UserError(
                "data.source: the CSV file cannot be read", received=received, where=self._name
            ) from error
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise UserError(
                "data.source: the CSV file is in UTF-16", where=self._name, fix="save it as UTF-8"
            )
        # Bytes that are no UTF-8 become surrogates, which `_problem` finds in their row.
        return data.decode("utf-8-sig", "surrogateescape")

    @functools.cached_property
    def _header(self) -> "_Header":
        return _Header.of(self._text, self._name)

    @functools.cached_property
    def annotations(self) -> frozenset[str]:
        columns = self._header.columns
        return frozenset({"objects" if "xmin" in columns or "label" not in columns else "label"})

    @functools.cached_property
    def _examples(self) -> list[RawExample]:
        """Every example without its bytes, and every row that cannot be used (those have an error)."""
        rows: dict[str, list[_Row]] = {}
        unusable = []
        for row in self._rows():
            if isinstance(row, RawExample):
                unusable.append(row)
            else:
                rows.setdefault(row.path, []).append(row)
        build = self._boxed if "xmin" in self._header.columns else self._labelled
        return unusable + [example for same in rows.values() for example in build(same)]

    def _rows(self) -> Iterator[_Row | RawExample]:
        table = csv.reader(io.StringIO(self._text, newline=""), delimiter=self._header.delimiter)
        next(table)
        while True:
            first = table.line_num + 1
            try:
                cells = next(table)
            except StopIteration:
                return
            except csv.Error as error:  # NUL bytes, cells beyond the csv module's limit
                yield self._rejected(_lines(first, table.line_num), "malformed", str(error))
                continue
            if cells:  # an empty line is no row
                yield self._row(cells, _lines(first, table.line_num))

    def _row(self, cells: list[str], where: str) -> _Row | RawExample:
        if problem := _problem(cells, self._header.width):
            return self._rejected(where, "malformed", problem)
        found = {name: cells[place].strip() for name, place in self._header.columns.items()}
        if not found["path"]:
            return self._rejected(where, "malformed", "no path")
        try:
            path = safe_path(found["path"])
        except UnsafePathError as error:
            return self._rejected(where, "unsafe_path", str(error))
        split = found.get("split", "")
        if split and split.lower() not in SPLITS:
            told = f"split {shown(split)}; {did_you_mean(split.lower()[:40], SPLITS)}"
            return self._rejected(where, "malformed", told)
        box = tuple(found[name] for name in _BOX if name in found)
        split = SPLITS.get(split.lower(), "")
        size = image_size(found.get("width"), found.get("height"))
        label = found["label"] if "label" in found else found["labels"]
        return _Row(where, path, label, split, found.get("group", ""), box, size)

    def _rejected(self, where: str, reason: str, detail: str) -> RawExample:
        # Several rows may be wrong in one path, or have none: what is wrong is the line.
        key = f"{os.path.basename(self._name)}:{where.split()[-1]}"
        return RawExample(key, "", "", None, f"{where}: {detail}", reason)

    def _labelled(self, rows: list[_Row]) -> Iterator[RawExample]:
        first, *others = rows
        example = RawExample(first.path, first.label, first.split, None, group=first.group, size=first.size)
        if "objects" in self.annotations:
            names = dict.fromkeys(filter(None, map(str.strip, _BETWEEN.split(first.label))))
            objects = tuple(RawObject(name, WHOLE, field=first.where) for name in names)
            yield self._found(dataclasses.replace(example, label="", objects=objects), first)
        elif first.label:
            yield self._found(example, first)
        else:
            error = f"{first.where}: no label"
            yield dataclasses.replace(example, error=error, reason="missing_annotation")
        for row in others:
            detail = f"{shown(row.path)} is in {first.where} already, labelled {shown(first.label)};"
            yield self._rejected(row.where, "duplicate_file", f"{detail} here {shown(row.label)}")

    def _boxed(self, rows: list[_Row]) -> Iterator[RawExample]:
        """Makes one example of the rows of one path."""
        first = rows[0]
        objects, faults = [], []
        for row in rows:
            # An example is in one split and one group, and has one size: those of its first row.
            for name in ("split", "group", "size"):
                mine, theirs = getattr(row, name), getattr(first, name)
                if mine != theirs:
                    detail = f"{row.where}: {name} {shown(mine)}, but {shown(theirs)} in {first.where}"
                    faults.append(Fault("malformed", detail, name))
            found = _object(row)
            if isinstance(found, Fault):
                faults.append(found)
            elif found:
                objects.append(found)
        example = RawExample(first.path, "", first.split, None, group=first.group, size=first.size)
        yield self._found(dataclasses.replace(example, objects=tuple(objects), faults=tuple(faults)), first)

    def _found(self, example: RawExample, row: _Row) -> RawExample:
        """Returns an example, or what stands for it where there is no file of its path."""
        if self._listing.has(row.path):
            return example
        return dataclasses.replace(example, error=f"{row.where}: no such file", reason="missing_image")

    def classes(self) -> list[str]:
        found = {example.label for example in self._examples}
        found |= {item.label for example in self._examples for item in example.objects or ()}
        return sorted(found - {""})

    def splits(self) -> set[str]:
        return {example.split for example in self._examples} - {""}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        if is_remote(self.file):  # the table is read once, and not for this
            return self._listing.fingerprint(self._listing.walk(), workspace)
        images = [example.key for example in self._examples if not example.error]
        return self._listing.fingerprint([os.path.basename(self.file), *images], workspace)

    def chunks(self) -> list[Sequence[RawExample]]:
        self._check()
        return shuffled(self._examples, lambda example: example.key)

    def read(self, chunk: Sequence[RawExample]) -> Iterator[RawExample]:
        yield from each(self._read, chunk, self.folder)

    def _read(self, example: RawExample) -> RawExample:
        if example.error:
            return example
        data, reason, error = read_image(self.folder, example.key)
        return dataclasses.replace(example, data=data, reason=reason, error=error)

    def __getstate__(self) -> dict[str, str]:
        return {"folder": self.folder}


@dataclasses.dataclass(frozen=True)
class _Header:
    """What the first line says: the delimiter, column -> place, and the number of columns."""

    delimiter: str
    columns: dict[str, int]
    width: int

    @staticmethod
    def of(text: str, where: str) -> "_Header":
        candidates = [(delimiter, _cells(text, delimiter)) for delimiter in _DELIMITERS]
        # The delimiter that makes most known names of the header; of equals, that which makes most columns.
        delimiter, names = max(candidates, key=lambda c: (len(set(c[1]) & set(_KNOWN)), len(c[1])))
        columns = {}
        for column, aliases in _NAMES.items():
            if present := [alias for alias in aliases if alias in names]:
                columns[column] = names.index(present[0])
        _check_columns(columns, names, where)
        return _Header(delimiter, columns, len(names))


def _cells(text: str, delimiter: str) -> list[str]:
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [name.strip().lower() for name in next(table, [])]
    except csv.Error:
        return []


def _check_columns(columns: dict[str, int], names: list[str], where: str) -> None:
    repeated = sorted({name for name in names if name in _KNOWN and names.count(name) > 1})
    missing = [name for name in ("path", "label") if name not in columns]
    if "labels" in columns and not any(name in columns for name in _BOX):
        missing = [name for name in missing if name != "label"]
    if any(name in columns for name in _BOX):
        missing += [name for name in _BOX if name not in columns]
    if not missing and not repeated:
        return
    received = ", ".join(printable(name[:40]) for name in names[:20])
    if repeated:
        what, fix = f"the column {repeated[0]!r} is there more than once", "rename or remove one"
    else:
        near = [name for name in names if did_you_mean(name, _NAMES[missing[0]]).startswith("did you mean")]
        what = f"there is no column {missing[0]!r}"
        fix = f"rename {near[0][:40]!r} to {missing[0]!r}" if near else "name the columns in the first line"
    raise UserError(
        f"data.source: {what}",
        expected="a header with path and label, and optionally split, group, and xmin, ymin, xmax, ymax",
        received=received or "nothing",
        where=f"{where}, line 1",
        fix=fix,
    )


def _problem(cells: list[str], width: int) -> str:
    """Returns what is wrong with a row as a whole; "" for nothing."""
    text = "".join(cells)
    if "\0" in text:
        return "it holds a NUL byte"
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return "it is not UTF-8"
    if "\n" in text or "\r" in text:
        return "a cell goes over several lines (a quotation mark that is not closed?)"
    return f"{len(cells)} cells, expected {width}" if len(cells) != width else ""


def _object(row: _Row) -> RawObject | Fault | None:
    if not any(row.box) and not row.label:
        return None
    try:
        x1, y1, x2, y2 = map(float, row.box)
        if not all(map(math.isfinite, (x1, y1, x2, y2))):
            raise ValueError
    except ValueError:
        told = f"{row.where}: box {shown(', '.join(row.box))} is not four numbers"
        return Fault("box_degenerate", told, "objects")
    if not row.label:
        return Fault("unknown_class", f"{row.where}: a box without label", "objects")
    return RawObject(row.label, (x1, y1, x2, y2), field=row.where)


def _lines(first: int, last: int) -> str:
    return f"line {first}" if last <= first else f"lines {first}-{last}"
