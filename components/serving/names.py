"""What clients call the models that a user names."""

import pathlib
import re

from conveyor.pipeline.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def name_bases(words: list[str]) -> dict[str, str]:
    """Returns name -> base of what a user wrote: NAME=BASE, or BASE, whose last part is the name.

    Raises:
        UserError: A name is odd, or given twice.
    """
    bases: dict[str, str] = {}
    for word in words:
        name, equals, base = word.partition("=")
        if not equals or "/" in name:
            base = word
            name = (
                pathlib.Path(word).resolve().name
                if "://" not in word
                else word.rstrip("/").rpartition("/")[2]
            )
        if not _NAME.fullmatch(name):
            raise UserError(
                "a model cannot have this name",
                expected="letters, digits, '_', '.' and '-'",
                received=name,
                fix=f"name it: NAME={base}",
            )
        if name in bases:
            raise UserError(f"two models are called {name!r}", fix=f"name one: NAME={base}")
        bases[name] = base
    return bases
