"""What TensorFlow Serving calls the state of a version."""

import dataclasses
import typing

from conveyor.components.serving.errors import Refused
from conveyor.components.serving.store import Store


@dataclasses.dataclass(frozen=True)
class State:
    """The state of a version: "AVAILABLE", or "END" with an error or none."""

    number: int
    state: str
    error: str = ""

    def to_json(self) -> dict[str, typing.Any]:
        """As TensorFlow Serving's REST API words it."""
        status = {"error_code": "INTERNAL" if self.error else "OK", "error_message": self.error}
        return {"version": str(self.number), "state": self.state, "status": status}


def states(store: Store, name: str, number: int | None) -> list[State]:
    """Returns the states of a model's versions, newest first; or of the one that is asked for.

    Raises:
        Refused: There is no such model, or it never had that version.
    """
    model = store.model(name)
    found = {
        **{one: State(one, "END") for one in model.ended},
        **{one: State(one, "END", why.reason) for one, why in model.broken.items()},
        **{one: State(one, "AVAILABLE") for one in model.served},
    }
    if number is not None and number not in found:
        raise Refused(404, f"model {name!r} has no version {number}")
    return [found[one] for one in sorted(found, reverse=True) if number in (None, one)]
