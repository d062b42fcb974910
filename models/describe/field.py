"""The receptive field: which pixels of the image one place of a feature map can see.

Source: Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill
2019. Ranges of places are followed back exactly, so that branches, padding and enlarging need no
formula of their own: what several paths see is their hull.
"""

import dataclasses
import fractions
import math

from conveyor.models.describe.graph import Shape, Step
from conveyor.models.describe.windows import Window, keeps_places, mixes, spatial, windows

_MOST_PHASES = 64  # neighbouring places tried after enlarging, where they see differently much


@dataclasses.dataclass(frozen=True)
class Field:
    """What one place of a feature map sees, along each side.

    Args:
        sizes: Pixels of the input, padding counted in; infinite where it is the whole image.
        jumps: Pixels of the input between two places.
    """

    sizes: tuple[float, ...]
    jumps: tuple[fractions.Fraction, ...]


def fields(steps: list[Step]) -> list[Field | None]:
    """Returns the field of each step's outputs; None where a layer is not understood.

    Args:
        steps: Of a `conveyor.models.describe.graph.Graph`.
    """
    found: list[Field | None] = []
    phases = [1] * len(steps)
    for index, step in enumerate(steps):
        shapes = {source: _shape(steps, source) for source in step.sources}
        sides = len(spatial(step.output))
        whole = any(mixes(step, shape) or _is_whole(found[source]) for source, shape in shapes.items())
        phases[index] = max((phases[source] for source in shapes), default=1)
        if not shapes:
            found.append(Field((1.0,) * sides, (fractions.Fraction(1),) * sides))
        elif whole:
            found.append(Field((math.inf,) * max(sides, 1), ()))
        elif not all(keeps_places(step, shape) and found[source] for source, shape in shapes.items()):
            found.append(None)
        else:
            phases[index] = min(phases[index] * _enlarges(step), _MOST_PHASES)
            found.append(_grown(steps, found, index, phases[index]))
    return found


def _shape(steps: list[Step], source: int) -> Shape:
    return steps[source].output


def _is_whole(field: Field | None) -> bool:
    return field is not None and math.inf in field.sizes


def _enlarges(step: Step) -> int:
    return max((window.stride for window in windows(step) if window.expands), default=1)


def _grown(steps: list[Step], found: list[Field | None], index: int, phases: int) -> Field:
    """Returns the field of a step from that of what it reads."""
    step = steps[index]
    slid = windows(step)
    before = [field for source in step.sources if (field := found[source])]
    jumps = tuple(
        max(field.jumps[side] for field in before)
        * (fractions.Fraction(1, window.stride) if window.expands else window.stride)
        for side, window in enumerate(slid)
    )
    if len(before) == 1 and all(window.kernel == 1 for window in slid):
        return Field(before[0].sizes, jumps)
    return Field(tuple(_size(steps, index, side, phases) for side in range(len(slid))), jumps)


def _size(steps: list[Step], index: int, side: int, phases: int) -> float:
    """Returns the pixels that the place which sees most can see."""
    middle = (spatial(steps[index].output)[side] or 0) // 2
    return max(_seen(steps, index, side, middle + phase) for phase in range(phases))


def _seen(steps: list[Step], index: int, side: int, place: int) -> float:
    """Follows one place back to the input; returns the pixels between its first and last."""
    needed: dict[int, tuple[float, float]] = {index: (place, place)}
    low, high = math.inf, -math.inf
    for at in range(index, -1, -1):
        if at not in needed:
            continue
        step, span = steps[at], needed.pop(at)
        if step.arguments is None:
            low, high = min(low, span[0]), max(high, span[1])
            continue
        window = windows(step)[side] if len(step.sources) == 1 else Window()
        first, last = window.span(*span)
        for source in step.sources:
            old = needed.get(source, (first, last))
            needed[source] = min(old[0], first), max(old[1], last)
    return high - low + 1
