"""What every protocol asks: a model's answer to an input, within the limits of the server."""

import asyncio
import itertools
import time
import typing
from collections.abc import Hashable

import numpy as np

from conveyor.components.serving import meters
from conveyor.components.serving.errors import Refused
from conveyor.components.serving.images import size_of
from conveyor.components.serving.store import Served, Store
from conveyor.components.serving.version import Signature
from conveyor.pipeline.errors import did_you_mean

DEFAULT = "serving_default"
_alone = itertools.count()


def signature_of(served: Served, name: str) -> Signature:
    """Returns a signature; the default one for "".

    Raises:
        Refused: The model has none of that name.
    """
    found = served.version.signatures
    if (name or DEFAULT) not in found:
        shown = name[:100] or DEFAULT
        raise Refused(400, f"model {served.model!r} has no signature {shown!r}: {did_you_mean(shown, found)}")
    return found[name or DEFAULT]


async def answer(
    store: Store, served: Served, signature: Signature, rows: np.ndarray, seconds: float | None = None
) -> dict[str, np.ndarray]:
    """Returns a model's outputs.

    Args:
        store: Whose limits hold.
        served: Who is asked.
        signature: What.
        rows: The input; encoded images as bytes objects [n], or model input [n, …].
        seconds: How long the client waits, None for as long as the server allows.

    Raises:
        Refused: It is too much, no image, or took too long.
    """
    settings = store.settings
    if len(rows) > settings.max_instances:
        raise Refused(
            400, f"expected at most {settings.max_instances} images in a request, received {len(rows)}"
        )
    given = settings.timeout if seconds is None else min(seconds, settings.timeout)
    key, pixels = _measure(rows, signature, settings.max_pixels)
    deadline = asyncio.get_running_loop().time() + given
    return await served.batcher.answer(signature.name, key, rows, pixels, deadline)


def _measure(rows: np.ndarray, signature: Signature, most: int) -> tuple[Hashable, int]:
    """Returns what an input may share a batch with, and how many pixels it has.

    Images of different sizes in one request are answered together, and with no others, as whoever
    sends them so to TensorFlow Serving has them.
    """
    if signature.dtype != object:
        return rows.shape[1:], rows[..., 0].size if rows.ndim == 4 else rows.size
    sizes = [size_of(data, f"instances[{at}]") for at, data in enumerate(rows)]
    pixels = sum(height * width for height, width in sizes)
    if pixels > most:
        raise Refused(400, f"expected at most {most:,} pixels in a request, received {pixels:,}")
    if not signature.by_size:
        return None, pixels
    return (sizes[0] if len(set(sizes)) == 1 else ("alone", next(_alone))), pixels


class Counted:
    """Counts a request, and how long it takes, whatever becomes of it.

    Args:
        api: The protocol.
    """

    def __init__(self, api: str):
        self._api = api
        self.model = ""  # set once it is known to exist: a label must not come from a client
        self.status = 500

    def __enter__(self) -> "Counted":
        self._start = time.perf_counter()
        return self

    def __exit__(self, kind: typing.Any, error: typing.Any, trace: typing.Any) -> None:
        if isinstance(error, Refused):
            self.status = error.status
        elif kind is asyncio.CancelledError:
            self.status = 499  # its client has gone
        meters.REQUESTS.labels(self.model, self._api, str(self.status)).inc()
        meters.SECONDS.labels(self.model, self._api).observe(time.perf_counter() - self._start)
