"""The layer table: what each layer makes, costs and sees."""

import fractions
import math
import typing

import keras

from conveyor.models.describe.cost import dense_parameters, flops, parameters
from conveyor.models.describe.effective import effective_fields
from conveyor.models.describe.field import Field, fields
from conveyor.models.describe.graph import Step, walk
from conveyor.models.describe.windows import slides, spatial, windows

Row = dict[str, typing.Any]


def layer_table(model: keras.Model) -> list[Row]:
    """Returns a row for each call of a layer; nested models are opened.

    Args:
        model: A functional or built sequential model, with branches as it likes.

    Returns:
        Dicts with what follows; a number, or where sides differ a list of one a side.

        - `layer`, `type`, `output` (shape without the batch)
        - `parameters`; of a layer that is called twice, the first time
        - `dense_parameters`: those of a dense layer between the same shapes, for a convolution
        - `flops`: per image, see `conveyor.models.describe.cost.flops`
        - `kernel`, `stride`, `padding`, `dilation`: of a window that slides
        - `jump`: pixels of the image from one place of the output to the next
        - `receptive_field`: pixels of the image that one output can see along a side, padding
          counted in; the side of the image where positions are mixed; None if not known
        - `effective_field`: pixels that hold 95% of the gradient (see
          `conveyor.models.describe.effective`); measured for some layers

    Raises:
        ValueError: The model is no graph of layers.
    """
    steps = walk(model).steps
    seen = fields(steps)
    costs = [flops(step) for step in steps]
    measured = effective_fields(steps, sum(cost or 0 for cost in costs))
    image = spatial(steps[0].output)
    first: dict[int, int] = {}
    rows = []
    for index, step in enumerate(steps):
        own = first.setdefault(id(step.layer), index) == index
        rows.append(
            {
                "layer": step.name,
                "type": type(step.layer).__name__,
                "output": "x".join("?" if side is None else str(side) for side in step.output),
                "parameters": parameters(step.layer) if own else 0,
                "dense_parameters": dense_parameters(step),
                "flops": costs[index],
                **_window(step),
                **_field(seen[index], image),
                "effective_field": _effective(measured.get(index), seen[index]),
            }
        )
    return rows


def _window(step: Step) -> Row:
    if not slides(step.layer):
        return dict.fromkeys(("kernel", "stride", "padding", "dilation"))
    slid = windows(step)
    return {
        "kernel": _plain([window.kernel for window in slid]),
        "stride": _plain([window.stride for window in slid]),
        "padding": step.layer.padding,
        "dilation": _plain([window.dilation for window in slid]),
    }


def _field(field: Field | None, image: tuple[int | None, ...]) -> Row:
    if field is None:
        return {"jump": None, "receptive_field": None}
    whole = math.inf in field.sizes
    sizes = image if whole else [int(size) for size in field.sizes]
    return {
        "jump": None if whole else _plain([_number(jump) for jump in field.jumps]),
        "receptive_field": _plain(list(sizes)),
    }


def _effective(sides: tuple[int, ...] | None, field: Field | None) -> int | list[int] | None:
    """Returns the mean side where theory knows but one: inputs and weights are random."""
    if sides is None:
        return None
    return round(sum(sides) / len(sides)) if field and len(set(field.sizes)) == 1 else list(sides)


def _plain(values: list[typing.Any]) -> typing.Any:
    """Returns the one value of all sides, else all; None for none."""
    if None in values or not values:
        return None
    return values[0] if len(set(values)) == 1 else values


def _number(value: fractions.Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)
