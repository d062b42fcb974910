"""The candidates of a sweep: which keys vary, checked before anything is trained."""

import itertools
import math
import typing
from collections.abc import Mapping, Sequence

import yaml

from conveyor.components.tuner.settings import DimensionSettings, SweepSettings
from conveyor.pipeline.config import parse_config
from conveyor.pipeline.errors import UserError, did_you_mean

Space = Mapping[str, DimensionSettings]
Point = dict[str, float]
"""Key -> number, or index of the choice."""

# What a model is made of. All else must stay, or candidates are not judged on the same examples.
SECTIONS = ("augment", "model", "task", "trainer", "transform")


def add_dimensions(sweep: SweepSettings, dimensions: Sequence[str]) -> SweepSettings:
    """Returns a sweep with what the command line says of its space.

    Args:
        sweep: As the config has it.
        dimensions: "dotted.key=distribution" each, the distribution in YAML.

    Raises:
        UserError: One of them is no distribution.
    """
    space = dict(sweep.space)
    for text in dimensions:
        key, equals, distribution = text.partition("=")
        if not equals or not key.strip():
            raise UserError(
                "a dimension is not of the form key=distribution",
                expected="-s 'trainer.optimizer.learning_rate={log: [0.0001, 0.01]}'",
                received=f"-s {text}",
            )
        space[key.strip()] = parse_config(distribution, f"-s {text}", DimensionSettings)
    return sweep.model_copy(update={"space": space})


def check_space(sweep: SweepSettings, load: typing.Callable[[list[str]], typing.Any]) -> None:
    """Checks every key at both ends, or at every choice, of what it may be.

    Args:
        sweep: What varies.
        load: Reads the config with overrides.

    Raises:
        UserError: A key is unknown or must not vary, or a value is not valid; with close matches.
    """
    if not sweep.space:
        raise UserError(
            "there is nothing to vary",
            expected="a section `sweep` with a `space`, or options -s KEY=DISTRIBUTION",
            fix="-s 'trainer.optimizer.learning_rate={log: [0.0001, 0.01]}'",
        )
    for key, dimension in sweep.space.items():
        _check_key(key, dimension, sweep)
    first = {key: dimension.ends()[0] for key, dimension in sweep.space.items()}
    for key, dimension in sweep.space.items():
        for end in dimension.ends():
            try:
                load(overrides(sweep.space, {**first, key: end}))
            except UserError as error:
                fields = {name: getattr(error, name) for name in ("expected", "received", "fix")}
                place = f"space of the sweep, {key}: {dimension.name(end)}"
                raise UserError(error.what, **fields, where=place) from None


def _check_key(key: str, dimension: DimensionSettings, sweep: SweepSettings) -> None:
    section = key.partition(".")[0]
    if section not in SECTIONS:
        raise UserError(
            f"a sweep cannot vary {key!r}: all candidates must be judged on the same examples",
            expected=f"a key of {', '.join(SECTIONS)}",
            fix="sweep.seeds trains each candidate from several seeds"
            if key == "seed"
            else did_you_mean(section, SECTIONS),
        )
    for other in sweep.space:
        if key.startswith(other + "."):
            raise UserError(f"a sweep cannot vary both {other!r} and {key!r}, which is a part of it")
    if sweep.sampler == "grid" and dimension.choice is None:
        raise UserError(
            f"sampler 'grid' goes through choices, and {key!r} has none",
            expected=f"{key}: {{choice: [...]}}",
            fix="name the values, or take sweep.sampler: tpe",
        )


def grid(space: Space) -> list[Point]:
    """Returns all combinations of choices; the last key varies fastest."""
    combinations = itertools.product(*(dimension.ends() for dimension in space.values()))
    return [dict(zip(space, combination, strict=True)) for combination in combinations]


def overrides(space: Space, point: Point) -> list[str]:
    """Returns a point as overrides of the config, "dotted.key=value" each."""
    return [f"{key}={_flow(dimension.value(point[key]))}" for key, dimension in space.items()]


def names(space: Space, point: Point) -> dict[str, typing.Any]:
    """Returns key -> value at a point, or the name of the choice where it has one."""
    return {key: dimension.name(point[key]) for key, dimension in space.items()}


def fragment(space: Space, point: Point, settings: Mapping[str, typing.Any]) -> str:
    """Returns a point as YAML to paste into the config.

    Args:
        space: What varies.
        point: The point.
        settings: All settings at that point; a list, of which an item varies, is taken from there whole.
    """
    nested: dict[str, typing.Any] = {}
    for key, dimension in space.items():
        parts = key.split(".")
        kept = list(itertools.takewhile(lambda part: not part.isdigit(), parts))
        inner, value = nested, settings
        for part in kept[:-1]:
            inner = inner.setdefault(part, {})
        for part in kept if len(kept) < len(parts) else ():
            value = value[part]
        inner[kept[-1]] = dimension.value(point[key]) if len(kept) == len(parts) else value
    return yaml.safe_dump(nested, sort_keys=False, default_flow_style=None, width=110)


def _flow(value: typing.Any) -> str:
    """Returns a value as YAML in one line; JSON's 1e-05 would be a text there."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
    return text.removesuffix("...\n").strip()
