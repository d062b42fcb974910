"""Pictures of predictions."""

import io
import pathlib
import typing

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pydantic

from conveyor.components.artifacts import CONTRACT
from conveyor.models.tasks.settings import TaskSettings
from conveyor.models.tasks.task import make_task
from conveyor.pipeline.errors import UserError

_SMALLEST = 280  # pixels of the longer side; smaller images are enlarged
_LINE = 16  # pixels of a line of text
_LONGEST = 60  # characters of a line


class Drawer:
    """Draws what a model makes of images, as the model card does, into a folder.

    Args:
        contract: Of the model, see `Model.contract`.
        folder: Where to; made if it is not there.

    Raises:
        UserError: The model does not say what it is for.
    """

    def __init__(self, contract: dict[str, typing.Any], folder: pathlib.Path):
        try:
            settings = pydantic.TypeAdapter(TaskSettings).validate_python(contract["task"])
            self._task = make_task(settings, list(contract["classes"]))
            self._task.take_thresholds(contract["thresholds"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                "the model does not say what it is for, so nothing can be drawn",
                expected=f"{CONTRACT}, which every export of this package has",
                received=str(error).partition("\n")[0],
            ) from None
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._taken: dict[str, int] = {}

    def draw(self, name: str, image: bytes, outputs: dict[str, typing.Any]) -> pathlib.Path:
        """Writes a picture of one prediction; returns its file.

        Args:
            name: Of the image; the file is called after its last part.
            image: As it was sent to the model.
            outputs: Of the model, as lists and numbers.
        """
        arrays = {key: np.asarray(value) for key, value in outputs.items()}
        drawn = self._task.picture(image, arrays, {})
        told = [f"{key} {_short(value)}" for key, value in outputs.items() if not isinstance(value, list)]
        path = self._folder / self._name(name)
        _with_text(PIL.Image.open(io.BytesIO(drawn)).convert("RGB"), told).save(path)
        return path

    def _name(self, name: str) -> str:
        stem = pathlib.PurePath(name).stem
        self._taken[stem] = count = self._taken.get(stem, 0) + 1
        return f"{stem}.png" if count == 1 else f"{stem}-{count}.png"


def _short(value: typing.Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:_LONGEST]


def _with_text(picture: PIL.Image.Image, lines: list[str]) -> PIL.Image.Image:
    """Returns a picture with lines of text below it."""
    scale = -(-_SMALLEST // max(picture.size))
    if scale > 1:
        picture = picture.resize(
            (picture.width * scale, picture.height * scale), PIL.Image.Resampling.NEAREST
        )
    whole = PIL.Image.new("RGB", (picture.width, picture.height + _LINE * len(lines)), "white")
    whole.paste(picture)
    pen = PIL.ImageDraw.Draw(whole)
    for number, line in enumerate(lines):
        pen.text((4, picture.height + _LINE * number), line, "black", PIL.ImageFont.load_default())
    return whole
