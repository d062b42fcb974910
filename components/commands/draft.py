"""The text of a config for data that was looked at."""

import math
from collections.abc import Collection, Iterator, Sequence

import yaml

from conveyor.components.commands.survey import Survey

_SIDE = (8, 64)  # of the model's input, in pixels: a first model should take minutes
_SMALLEST = 4  # side of the last block's output
_FILTERS = (32, 64, 128, 256, 256)
_STEPS = 1500  # of training, about
_EPOCHS = (5, 20)
_NAMES = 10  # of classes in a comment


def draft(
    source: str, classes: Sequence[str], found: Survey, notes: Sequence[str], commands: Sequence[str]
) -> str:
    """Returns a config in YAML, with comments on what was found and what may be changed.

    With a class for each image it has a model to train; else it is a check of the data.

    Args:
        source: `data.source`.
        classes: Names of the classes.
        found: What is in it.
        notes: More lines for the comment it opens with.
        commands: How to check the data, and how to run all.
    """
    trains = can_train(found)
    check, run = commands
    head = [
        f"Written by `conveyor new` for {source.partition(':')[0]} data: {describe(found)}.",
        f"Classes ({len(classes):,}): {name_some(classes)}.",
        *notes,
        f"Check the data: {check}",
        f"{'Check, train and judge' if trains else 'Check it and write a page about it'}: {run}",
    ]
    lines = [f"# {plain(line)}" for line in head]
    lines += _data(source, found)
    lines += _model(found) if trains else _no_model(found)
    return "\n".join(lines) + "\n"


def can_train(found: Survey) -> bool:
    """Whether each image has one of several classes."""
    return len(found.labels) > 1


def describe(found: Survey) -> str:
    """Returns the counts in a line."""
    parts = [f"{'' if found.complete else 'at least '}{found.examples:,} images"]
    if size := found.median_size:
        parts[0] += f" of {size[0]}x{size[1]} pixels" + " (median)" * (len(set(found.sizes)) > 1)
    if found.objects:
        outlines = f" ({found.outlines:,} with outlines)" if found.outlines else ""
        parts.append(f"{found.objects.total():,} boxes{outlines}")
    if found.masks:
        parts.append(f"{found.masks:,} masks")
    if found.set_aside:
        parts.append(f"{found.set_aside.total():,} files that cannot be used")
    return ", ".join(parts)


def name_some(names: Collection[str]) -> str:
    """Returns the first names, each short."""
    shown = [name if len(name) <= 40 else name[:39] + "…" for name in list(names)[:_NAMES]]
    return ", ".join(shown) + ", …" * (len(names) > _NAMES)


def plain(text: str) -> str:
    """Returns a text on one line: a name with a line break in it must not end a comment."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _data(source: str, found: Survey) -> Iterator[str]:
    yield "data:"
    yield f"  source: {_quoted(source)}"
    own = [plain(name) for name in found.splits if name]
    if own:
        yield f"  # The source has the splits {', '.join(sorted(own))}; what it lacks is taken from train."
    yield "  splits: {train: 0.8, validation: 0.1, test: 0.1}"
    yield "  max_quarantine: 0.01  # share of files that cannot be used above which the data does not pass"
    yield "  leaks: error  # an image in two splits; or warning, 'off', or resplit, which moves it into one"
    yield "  label_errors: false  # true looks for labels, boxes and masks that are probably wrong"


def _model(found: Survey) -> Iterator[str]:
    height, width = _input_size(found)
    yield "task: {kind: classification}"
    yield f"transform: {{size: [{height}, {width}]}}  # height, width; larger sees more and takes longer"
    yield f"model: {{family: cnn, filters: {_filters(height, width)}, dense: 128, dropout: 0.3}}"
    batch, epochs = _schedule(found)
    yield f"trainer: {{epochs: {epochs}, batch_size: {batch}, schedule: cosine,"
    yield "          optimizer: {name: adamw, learning_rate: 0.001, weight_decay: 0.01}}"
    yield "# Only a model that reaches this would be pushed:"
    yield "# evaluator: {bless: {metric: accuracy, at_least: 0.9}}"


def _no_model(found: Survey) -> Iterator[str]:
    known = "are all of one class" if found.labels else "have boxes" if found.objects else "have masks"
    yield f"# There is no `model`: it would need images of several classes, and these {known}."
    yield "# A run checks the data."


def _quoted(text: str) -> str:
    """Returns a text as YAML that means just it."""
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf).strip()


def _input_size(found: Survey) -> tuple[int, int]:
    """Returns height and width: those of the median image, brought to a size that suits a small model."""
    width, height = found.median_size or (_SIDE[1], _SIDE[1])
    scale = min(max(1.0, _SIDE[0] / min(width, height)), _SIDE[1] / max(width, height))
    return max(round(height * scale), _SIDE[0]), max(round(width * scale), _SIDE[0])


def _filters(height: int, width: int) -> list[int]:
    """Returns as many blocks as halve the shorter side down to a few pixels."""
    blocks = int(math.log2(min(height, width) / _SMALLEST))
    return list(_FILTERS[: max(blocks, 1)])


def _schedule(found: Survey) -> tuple[int, int]:
    """Returns batch size and epochs: small batches for few images, about as many steps for any."""
    images = max(found.examples, 1)
    batch = 64 if images >= 2000 else 32 if images >= 500 else 16
    epochs = round(_STEPS * batch / images)
    return batch, min(max(epochs, _EPOCHS[0]), _EPOCHS[1])
