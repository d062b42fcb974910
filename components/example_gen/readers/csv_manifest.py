"""A CSV manifest: one row an image, or one row a box.

Columns, by the names of the header row (case does not matter):

- `path` (or image, file, filename, image_path): relative to the folder of the CSV file;
- `label` (or class, category): the class of the image, or of the box where there are boxes;
- `split` (optional): train, val/validation/dev or test, or empty;
- `group` (optional): what must not be torn apart by splits. Only this name: a column `patient` or
  `video` is not guessed to be one, rename it;
- `xmin`, `ymin`, `xmax`, `ymax` (optional, all four): a box in pixels. Rows of one path are then one
  example; a row with neither box nor label says that the image holds no object.

Other columns are ignored. UTF-8, with or without byte order mark; separated by comma, semicolon or tab.
"""

import csv
import dataclasses
import functools
import hashlib
import math
import ntpath
import os
import pathlib
import posixpath
import stat
from collections.abc import Iterator, Sequence

from conveyor.components.example_gen.readers.folder import SPLITS
from conveyor.components.example_gen.readers.raw import Fault, RawExample, RawObject
from conveyor.components.example_gen.readers.reader import cut
from conveyor.pipeline.errors import UserError, did_you_mean
from conveyor.pipeline.fingerprint import fingerprint_files

_BOX = ("xmin", "ymin", "xmax", "ymax")
# Column -> names it may have, the surest first.
_NAMES = {
    "path": ("path", "image_path", "image", "file", "filename"),
    "label": ("label", "class", "category"),
    "split": ("split",),
    "group": ("group",),
    **{name: (name,) for name in _BOX},
}
_KNOWN = [name for names in _NAMES.values() for name in names]
_DELIMITERS = ",;\t"


@dataclasses.dataclass(frozen=True)
class _Row:
    """A row that can be read: where it is in the file, and its cells (box: empty without boxes)."""

    where: str
    path: str
    label: str
    split: str
    group: str
    box: tuple[str, ...]


class CsvManifestReader:
    """Reads the images that a CSV file lists.

    Args:
        file: Path of the CSV file.

    Raises:
        UserError: It is missing, is no UTF-8 text, has no rows, or lacks columns.
    """

    annotations: frozenset[str] = frozenset({"label"})  # or objects, where the header has a box

    def __init__(self, file: str):
        self.file = os.path.abspath(os.path.expanduser(file))
        if not file or not os.path.isfile(self.file):
            raise UserError(
                "data.source: the CSV file does not exist",
                expected="csv:FILE.csv, a table with the columns path and label",
                received=f"csv:{file}",
                where=self.file if file else "",
            )
        self.folder = os.path.dirname(self.file)
        self._delimiter, self._columns, self._width = _read_header(self.file)
        if "xmin" in self._columns:
            self.annotations = frozenset({"objects"})
        if not self._examples:
            raise UserError("data.source: the CSV file has no rows below its header", where=self.file)

    @functools.cached_property
    def _examples(self) -> list[RawExample]:
        """Every example without its bytes, and every row that cannot be used (those have an error)."""
        rows: dict[str, list[_Row]] = {}
        rejected = []
        for row in self._rows():
            if isinstance(row, RawExample):
                rejected.append(row)
            else:
                rows.setdefault(row.path, []).append(row)
        build = _boxed if "objects" in self.annotations else self._labelled
        return rejected + [example for same in rows.values() for example in build(same)]

    def _rows(self) -> Iterator[_Row | RawExample]:
        with _open(self.file) as file:
            table = csv.reader(file, delimiter=self._delimiter)
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
        if problem := _problem(cells, self._width):
            return self._rejected(where, "malformed", problem)
        found = {name: cells[place].strip() for name, place in self._columns.items()}
        if not found["path"]:
            return self._rejected(where, "malformed", "no path")
        path = posixpath.normpath(found["path"])
        if _is_unsafe(path):
            return self._rejected(where, "unsafe_path", f"path {found['path']!r}")
        split = found.get("split", "")
        if split and split.lower() not in SPLITS:
            return self._rejected(
                where, "malformed", f"split {split!r}; {did_you_mean(split.lower(), SPLITS)}"
            )
        box = tuple(found[name] for name in _BOX if name in found)
        split = SPLITS.get(split.lower(), "")
        return _Row(where, path, found["label"], split, found.get("group", ""), box)

    def _rejected(self, where: str, reason: str, detail: str) -> RawExample:
        # Several rows may be wrong in one path, or have none: what is wrong is the line.
        key = f"{os.path.basename(self.file)}:{where.split()[-1]}"
        return RawExample(key, "", "", None, f"{where}: {detail}", reason)

    def _labelled(self, rows: list[_Row]) -> Iterator[RawExample]:
        first, *others = rows
        if first.label:
            yield RawExample(first.path, first.label, first.split, None, group=first.group)
        else:
            error = f"{first.where}: no label"
            yield RawExample(first.path, "", first.split, None, error, "missing_annotation")
        for row in others:
            detail = f"{row.path} is in {first.where} already, labelled {first.label!r}; here {row.label!r}"
            yield self._rejected(row.where, "duplicate_file", detail)

    def classes(self) -> list[str]:
        found = {example.label for example in self._examples}
        found |= {item.label for example in self._examples for item in example.objects or ()}
        return sorted(found - {""})

    def splits(self) -> set[str]:
        return {example.split for example in self._examples} - {""}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        images = [example.key for example in self._examples if not example.error]
        return fingerprint_files(self.folder, [os.path.basename(self.file), *sorted(images)], workspace)

    def chunks(self) -> list[Sequence[RawExample]]:
        # In the order of hashed keys, so that every shard holds a mix of classes.
        return cut(sorted(self._examples, key=lambda example: hashlib.sha256(example.key.encode()).digest()))

    def read(self, chunk: Sequence[RawExample]) -> Iterator[RawExample]:
        for example in chunk:
            if example.error:
                yield example
                continue
            data, reason, error = _read(os.path.join(self.folder, example.key))

            yield dataclasses.replace(example, data=data, reason=reason, error=error)

    def __getstate__(self) -> dict[str, str]:
        return {"folder": self.folder}


def _open(file: str):
    # Bytes that are no UTF-8 become surrogates, which `_problem` finds in their row.
    return open(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _read_header(file: str) -> tuple[str, dict[str, int], int]:
    """Returns delimiter, column -> place, and number of columns."""
    with open(file, "rb") as binary:
        if binary.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise UserError("data.source: the CSV file is in UTF-16", where=file, fix="save it as UTF-8")
    candidates = [(delimiter, _names(file, delimiter)) for delimiter in _DELIMITERS]
    # The delimiter that makes most known names of the header; of equals, that which makes most columns.
    delimiter, names = max(candidates, key=lambda found: (len(set(found[1]) & set(_KNOWN)), len(found[1])))
    columns = {}
    for column, aliases in _NAMES.items():
        if present := [alias for alias in aliases if alias in names]:
            columns[column] = names.index(present[0])
    repeated = sorted({name for name in names if name in _KNOWN and names.count(name) > 1})
    _check_columns(columns, names, repeated, file)
    return delimiter, columns, len(names)


def _names(file: str, delimiter: str) -> list[str]:
    with _open(file) as text:
        try:
            return [name.strip().lower() for name in next(csv.reader(text, delimiter=delimiter), [])]
        except csv.Error:
            return []


def _check_columns(columns: dict[str, int], names: list[str], repeated: list[str], file: str) -> None:
    missing = [name for name in ("path", "label") if name not in columns]
    if any(name in columns for name in _BOX):
        missing += [name for name in _BOX if name not in columns]
    if not missing and not repeated:
        return
    shown = ", ".join(name[:40].encode("utf-8", "backslashreplace").decode() for name in names[:20])
    if repeated:
        what, fix = f"the column {repeated[0]!r} is there more than once", "rename or remove one"
    else:
        near = [name for name in names if did_you_mean(name, _NAMES[missing[0]]).startswith("did you mean")]
        what = f"there is no column {missing[0]!r}"
        fix = f"rename {near[0][:40]!r} to {missing[0]!r}" if near else "name the columns in the first line"
    raise UserError(
        f"data.source: {what}",
        expected="a header with path and label, and optionally split, group, and xmin, ymin, xmax, ymax",
        received=shown or "nothing",
        where=f"{file}, line 1",
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


def _boxed(rows: list[_Row]) -> Iterator[RawExample]:
    """Makes one example of the rows of one path."""
    first = rows[0]
    objects, faults = [], []
    for row in rows:
        # An example is in one split and one group: those of its first row.
        for name in ("split", "group"):
            mine, theirs = getattr(row, name), getattr(first, name)
            if mine != theirs:
                detail = f"{row.where}: {name} {mine!r}, but {theirs!r} in {first.where}"
                faults.append(Fault("malformed", detail, name))
        found = _object(row)
        if isinstance(found, Fault):
            faults.append(found)
        elif found:
            objects.append(found)
    example = RawExample(first.path, "", first.split, None, group=first.group)
    yield dataclasses.replace(example, objects=tuple(objects), faults=tuple(faults))


def _object(row: _Row) -> RawObject | Fault | None:
    if not any(row.box) and not row.label:
        return None
    try:
        x1, y1, x2, y2 = map(float, row.box)
        if not all(map(math.isfinite, (x1, y1, x2, y2))):
            raise ValueError
    except ValueError:
        return Fault(
            "box_degenerate", f"{row.where}: box {', '.join(row.box)!r} is not four numbers", "objects"
        )
    if not row.label:
        return Fault("unknown_class", f"{row.where}: a box without label", "objects")
    return RawObject(row.label, (x1, y1, x2, y2))


def _lines(first: int, last: int) -> str:
    return f"line {first}" if last <= first else f"lines {first}-{last}"


def _is_unsafe(path: str) -> bool:
    """Whether a normalised path is absolute, on this system or on Windows, or leaves its folder."""
    leaves = path == ".." or path.startswith("../") or "..\\" in path
    return leaves or os.path.isabs(path) or bool(ntpath.splitdrive(path)[0]) or path.startswith("\\")


def _read(path: str) -> tuple[bytes | None, str, str]:
    """Returns the bytes of a file, or None, a reason and what is wrong."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # to read a pipe might never end
            return None, "unreadable", "not a file"
        with open(path, "rb", buffering=0) as file:
            return file.read(), "unreadable", ""
    except (FileNotFoundError, NotADirectoryError):
        return None, "missing_image", "no such file"
    except OSError as error:
        return None, "unreadable", str(error.strerror)
