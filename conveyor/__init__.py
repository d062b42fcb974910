"""conveyor: from a folder of images to a served Keras model whose every number can be trusted."""

import importlib
import typing

__version__ = "0.1.0"

# Public name -> module that defines it. Loaded on first use, so that `import conveyor` stays light.
_PUBLIC = {
    "Experiment": "conveyor.components.experiment",
    "load_experiment": "conveyor.components.experiment",
    "run": "conveyor.components.experiment",
}

__all__ = ["Experiment", "__version__", "load_experiment", "run"]


def __getattr__(name: str) -> typing.Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'conveyor' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
