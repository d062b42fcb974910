"""Saves and restores all that training has come to, so that it goes on as if it had never stopped."""

import dataclasses
import json
import os
import pathlib
import typing
import zipfile

import keras
import numpy as np

_FILE = "checkpoint.npz"


@dataclasses.dataclass
class Progress:
    """How far training has come.

    Args:
        done: Steps, of all epochs.
        history: Metric name -> value of each epoch that has ended; None where validation was left out.
        best_epoch: The epoch with the lowest validation loss, from 1; 0 for none yet.
        best_value: That loss.
        best_weights: The weights then.
        variables: All variables of model, optimiser and metrics; empty at the beginning.
    """

    done: int = 0
    history: dict[str, list[float | None]] = dataclasses.field(default_factory=dict)
    best_epoch: int = 0
    best_value: float = float("inf")
    best_weights: list[np.ndarray] = dataclasses.field(default_factory=list)
    variables: list[np.ndarray] = dataclasses.field(default_factory=list)

    @property
    def epochs(self) -> int:
        """Epochs that have ended."""
        return len(self.history.get("loss", []))


def variables_of(model: keras.Model) -> list[keras.Variable]:
    """Returns all that training changes: weights, seeds, the optimiser's state, metrics."""
    found = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return list({id(variable): variable for variable in found}.values())


def save(folder: pathlib.Path, key: str, progress: Progress, model: keras.Model) -> None:
    """Writes a checkpoint in place of the one before; whenever it is killed, one of them is whole.

    Args:
        folder: Where to.
        key: Says which training it is.
        progress: How far it has come; `variables` are taken from the model instead.
        model: The model, compiled.
    """
    values = [np.asarray(variable) for variable in variables_of(model)]
    state = {
        "key": key,
        "done": progress.done,
        "history": progress.history,
        "best_epoch": progress.best_epoch,
        "best_value": progress.best_value,
    }
    arrays: dict[str, typing.Any] = {f"variable_{place}": value for place, value in enumerate(values)}
    arrays |= {f"best_{place}": value for place, value in enumerate(progress.best_weights)}
    partial = folder / f"{_FILE}.partial"
    with partial.open("wb") as file:
        np.savez(file, state=np.array(json.dumps(state)), **arrays)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / _FILE)


def load(folder: pathlib.Path, key: str) -> Progress:
    """Returns what the checkpoint in a folder says; the beginning where there is none of this training."""
    try:
        with np.load(folder / _FILE, allow_pickle=False) as file:
            state: dict[str, typing.Any] = json.loads(str(file["state"]))
            if state.pop("key") != key:
                return Progress()
            best, variables = (
                [
                    file[f"{kind}_{place}"]
                    for place in range(sum(n.startswith(f"{kind}_") for n in file.files))
                ]
                for kind in ("best", "variable")
            )
    except (OSError, EOFError, ValueError, LookupError, zipfile.BadZipFile):  # absent or damaged
        return Progress()
    return Progress(**state, best_weights=best, variables=variables)


def restore(progress: Progress, model: keras.Model) -> None:
    """Gives the variables the values that they had."""
    for variable, value in zip(variables_of(model), progress.variables, strict=True):
        variable.assign(value)
