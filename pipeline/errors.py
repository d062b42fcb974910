"""What a user is told when something is wrong, and the exit code that goes with it."""

import difflib
import errno
import os
from collections.abc import Iterable

# Operating-system refusals that the user, not the program, has to mend.
_USER_ERRNOS = {
    errno.ENOSPC: "free some space, or choose another --workspace",
    errno.EDQUOT: "free some space, or choose another --workspace",
    errno.EACCES: "give yourself permission to this path, or choose another one",
    errno.EPERM: "give yourself permission to this path, or choose another one",
    errno.EROFS: "choose a path on a file system that can be written",
}


class ConveyorError(Exception):
    """An error that is reported without a traceback.

    Args:
        what: What is wrong, in one sentence.
        expected: What would have been right.
        received: What was found instead.
        where: File, line, key or image.
        fix: What to do about it.
    """

    exit_code = 2

    def __init__(self, what: str, *, expected: str = "", received: str = "", where: str = "", fix: str = ""):
        self.what = what
        self.expected = expected
        self.received = received
        self.where = where
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        fields = ((name, getattr(self, name)) for name in ("expected", "received", "where", "fix"))
        return "\n".join([self.what, *(f"  {name + ':':<10}{text}" for name, text in fields if text)])

    def to_dict(self) -> dict[str, str]:
        """Returns the fields, for JSON; `from_dict` makes the same error of them again."""
        fields = {name: getattr(self, name) for name in ("what", "expected", "received", "where", "fix")}
        return {"kind": type(self).__name__, **fields}

    @staticmethod
    def from_dict(fields: dict[str, str]) -> "ConveyorError":
        """Makes the error that `to_dict` described."""
        kinds = {kind.__name__: kind for kind in (UserError, GateError, StageError)}
        rest = {name: text for name, text in fields.items() if name not in ("kind", "what")}
        return kinds[fields["kind"]](fields["what"], **rest)


class UserError(ConveyorError):
    """The user's input is wrong: exit code 2."""


class GateError(ConveyorError):
    """A gate said no (anomalies in the data, a model that is not blessed): exit code 3."""

    exit_code = 3


class StageError(ConveyorError):
    """A stage failed for a reason that is not the user's: exit code 1, after its traceback."""

    exit_code = 1


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Returns a hint with the options nearest to `name`, or all of them where none is near."""
    options = sorted(set(options))
    near = difflib.get_close_matches(name, options, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(repr(option) for option in near) + "?"
    return "one of: " + ", ".join(options) if options else ""


def from_os_error(error: BaseException) -> UserError | None:
    """Returns what to tell the user of a full disk or a refused path; None for any other error."""
    number, where = getattr(error, "errno", None), getattr(error, "filename", None)
    if not isinstance(error, OSError) or number is None:
        # native libraries raise of their own, with the system's words somewhere in the text
        number = errno.ENOSPC if os.strerror(errno.ENOSPC) in str(error) else None
    if number not in _USER_ERRNOS:
        return None
    what = getattr(error, "strerror", None) or os.strerror(number)
    return UserError(what, where=str(where or ""), fix=_USER_ERRNOS[number])
