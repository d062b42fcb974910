"""Values of JSON files, XML files and tables of unknown origin."""

import json
import math
import typing

from conveyor.components.example_gen.readers.files import read_limited
from conveyor.components.example_gen.readers.names import printable
from conveyor.pipeline.errors import UserError

MAX_SIDE = 1 << 31  # pixels; more than any format can say


def read_json(path: str, limit: int) -> typing.Any:
    """Returns the content of a JSON file.

    Raises:
        UserError: It cannot be read or parsed, or holds more than `limit` bytes.
    """
    try:
        data = read_limited(path, limit)
        try:
            return json.loads(data)
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise
        except ValueError:  # a number of more digits than Python turns into an integer
            return json.loads(data, parse_int=float)
    except json.JSONDecodeError as error:
        received = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except UnicodeDecodeError:
        received = "bytes that are no text"
    except RecursionError:
        received = "lists nested too deeply"
    except OSError as error:
        received = str(error.strerror)
    raise UserError(
        "data.source: the JSON file cannot be read",
        expected=f"JSON of up to {limit:,} bytes",
        received=received,
        where=printable(path),
        fix="export it again",
    )


def identifier(value: typing.Any) -> int | float | str | None:
    """Returns a value of a JSON file that can name something, or None where it cannot."""
    usable = isinstance(value, (int, str)) or (isinstance(value, float) and math.isfinite(value))
    return value if usable and not isinstance(value, bool) else None


def number(value: typing.Any) -> float | None:
    """Returns a number of a JSON file, which may be infinite or NaN; None where it is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value > 0 or -1)


def image_size(width: typing.Any, height: typing.Any) -> tuple[int, int] | None:
    """Returns the width and height that numbers or texts tell; None where they are no size of an image."""
    if isinstance(width, bool) or isinstance(height, bool):
        return None
    try:
        sides = float(width), float(height)
    except (TypeError, ValueError, OverflowError):
        return None
    usable = all(side.is_integer() and 1 <= side <= MAX_SIDE for side in sides)
    return (int(sides[0]), int(sides[1])) if usable else None
