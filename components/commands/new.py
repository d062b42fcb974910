"""`conveyor new`: looks at data and writes a config for it."""

import os
import pathlib
import re
import shlex
import typing

from conveyor.components.commands.detect import Detected, detect
from conveyor.components.commands.draft import can_train, draft, plain
from conveyor.components.commands.survey import Survey, survey
from conveyor.components.example_gen.readers.names import printable
from conveyor.pipeline.errors import UserError


def new_config(data: str, out: str | None = None, *, force: bool = False) -> dict[str, typing.Any]:
    """Writes a config for data.

    Args:
        data: A folder or file; local, or in gs:// or s3://.
        out: The file to write; by default `<name of the data>.yaml` in the working directory.
        force: Replace the file if it is there.

    Returns:
        What was found, and the commands to run next: a JSON document.

    Raises:
        UserError: The data is of no known format, or the file is there or cannot be written.
    """
    target = pathlib.Path(out or f"{_slug(data)}.yaml")
    _check_target(target, force)
    found = detect(data)
    _check_path(found.path)
    counts = survey(found.reader)
    classes = found.reader.classes()
    commands = _commands(target)
    text = draft(found.source, classes, counts, _notes(found, counts), commands)
    _write(target, text, force)
    return _document(target, found, counts, classes, commands)


def _document(
    target: pathlib.Path, found: Detected, counts: Survey, classes: list[str], commands: list[str]
) -> dict[str, typing.Any]:
    widths, heights = zip(*counts.sizes, strict=True) if counts.sizes else ((), ())
    return {
        "config": str(target),
        "format": found.format,
        "source": found.source,
        "annotations": sorted(found.reader.annotations),
        "complete": counts.complete,
        "images": counts.examples,
        "classes": classes,
        "labels": dict(counts.labels),
        "objects": dict(counts.objects),
        "outlines": counts.outlines,
        "masks": counts.masks,
        "splits": {name: count for name, count in counts.splits.items() if name},
        "median_size": counts.median_size,
        "widths": [min(widths), max(widths)] if widths else None,
        "heights": [min(heights), max(heights)] if heights else None,
        "set_aside": dict(counts.set_aside),
        "faults": dict(counts.faults),
        "trains": can_train(counts),
        "alternatives": found.alternatives,
        "notes": _notes(found, counts),
        "commands": commands,
    }


def _notes(found: Detected, counts: Survey) -> list[str]:
    notes = []
    if found.entered:
        notes.append(f"The data is in {found.entered}, the only folder there.")
    if not counts.complete:
        notes.append("Counts are of the part that was looked at.")
    if found.alternatives:
        notes.append(f"It can also be read as: {', '.join(found.alternatives)}")
    for what, reasons in (
        ("Cannot be used", counts.set_aside),
        ("Is wrong in files that can", counts.faults),
    ):
        if reasons:
            notes.append(
                f"{what}: {', '.join(f'{count} {reason}' for reason, count in reasons.most_common())}."
            )
    few = [name for name, count in counts.labels.items() if count < 2] if counts.complete else []
    if few:
        notes.append(f"Add images to these classes, which have just one: {', '.join(sorted(few)[:10])}.")
    return [plain(note) for note in notes]


def _slug(data: str) -> str:
    """Returns the name of data as a file name that needs no quotes."""
    name = os.path.basename(os.path.abspath(os.path.expanduser(data)))
    stem = os.path.splitext(name)[0] if os.path.isfile(data) else name
    return re.sub(r"[^a-z0-9_]+", "-", stem.lower())[:60].strip("-") or "images"


def _check_target(target: pathlib.Path, force: bool) -> None:
    if target.is_dir() or not target.parent.is_dir():
        what = "there is a folder of that name" if target.is_dir() else "there is no such folder"
        raise UserError(
            f"the config cannot be written: {what}", where=printable(str(target)), fix="--out FILE.yaml"
        )
    if not force and os.path.lexists(target):
        raise UserError(
            "the config is there already",
            where=printable(str(target)),
            fix="name another file with --out, or replace this one with --force",
        )


def _check_path(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UserError(
            "the path of the data is no text, so no config can name it",
            where=printable(path),
            fix="rename it",
        ) from None


def _commands(target: pathlib.Path) -> list[str]:
    name = str(target) if not str(target).startswith("-") else f"./{target}"
    run = f"conveyor run {shlex.quote(name)}"
    return [f"{run} --until example_validator", run]


def _write(target: pathlib.Path, text: str, force: bool) -> None:
    if force:
        target.unlink(missing_ok=True)  # a link of that name is replaced, not followed
    with open(target, "x", encoding="utf-8") as file:
        file.write(text)
