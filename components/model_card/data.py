"""What the data is: its splits, and what they hold."""

import typing

from conveyor.components.model_card.data_figures import statistics_figures
from conveyor.components.model_card.results import Results

_SPLIT_ORDER = ("train", "validation", "val", "test")
# What a split has where there are statistics of it, and those of its objects and masks.
_IMAGES = ("width", "height", "formats", "modes", "channel_mean", "channel_std")
_OBJECTS = ("count", "empty_images", "crowd", "difficult")


def data_section(results: Results) -> dict[str, typing.Any]:
    """Returns splits with what is known of each (None for what is not), and figures."""
    properties = results.examples.properties
    statistics = results.statistics.read() if results.statistics else {}
    names = sorted(properties["splits"], key=split_rank)
    splits = [_split(name, properties["splits"][name], statistics.get(name, {})) for name in names]
    classes = properties.get("classes", [])
    known = {name: statistics[name] for name in names if statistics.get(name)}
    return {
        "splits": splits,
        "total": sum(split["examples"] for split in splits),
        "classes": classes,
        "input": results.transform_graph.read() if results.transform_graph else None,
        "figures": statistics_figures(known, classes),
    }


def _split(name: str, examples: int, values: dict[str, typing.Any]) -> dict[str, typing.Any]:
    objects, mask = values.get("objects"), values.get("mask")
    return {
        "name": name,
        "examples": examples,
        **{key: values.get(key) for key in _IMAGES},
        "objects": {key: objects.get(key) for key in _OBJECTS} if objects else None,
        "void": mask.get("void") if mask else None,
    }


def split_rank(name: str) -> tuple[int, str]:
    """Returns what to sort names of splits by: the usual ones come first, in their usual order."""
    return (_SPLIT_ORDER.index(name) if name in _SPLIT_ORDER else len(_SPLIT_ORDER), name)
