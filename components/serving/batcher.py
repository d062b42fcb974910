"""Gathers requests into batches: the model is far faster on many images at once."""

import asyncio
import collections
import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Hashable

import numpy as np

from conveyor.components.serving import meters
from conveyor.components.serving.errors import BROKEN, Refused
from conveyor.components.serving.settings import ServeSettings

Outputs = dict[str, np.ndarray]


@dataclasses.dataclass(eq=False)
class _Waiting:
    """A request: its rows are answered in one batch."""

    signature: str
    key: Hashable  # only what has the same one shares a batch
    rows: np.ndarray
    pixels: int
    since: float
    future: "asyncio.Future[Outputs]"


class Batcher:
    """The queue in front of a model.

    While a batch runs the next one gathers; a lone request never waits. If a batch fails, its halves are
    tried, so that a bad image spoils nobody else's request.

    Args:
        run: Answers rows of a signature; called from threads.
        settings: Sizes and limits.
        label: What its figures are called in the metrics.
    """

    def __init__(self, run: Callable[[str, np.ndarray], Outputs], settings: ServeSettings, label: str):
        self._run = run
        self._settings = settings
        self._queue: collections.deque[_Waiting] = collections.deque()
        self._rows = 0  # that wait
        self._running = 0  # batches
        self._under_way = 0  # requests
        self._timer: asyncio.Handle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_closed = False
        self._pool = concurrent.futures.ThreadPoolExecutor(settings.workers, thread_name_prefix="batch")
        self._label = label
        self._sizes = meters.BATCH_IMAGES.labels(label)
        meters.QUEUE.labels(label).set_function(lambda: self._rows)

    async def answer(
        self, signature: str, key: Hashable, rows: np.ndarray, pixels: int, deadline: float
    ) -> Outputs:
        """Answers one request.

        Args:
            signature: What is asked.
            key: Only requests with the same one are answered together.
            rows: The input, [n, …].
            pixels: Of its images, together.
            deadline: Time of the event loop when nobody waits for the answer any more.

        Raises:
            Refused: The queue is full, the time is over, or the model cannot read the input.
        """
        if self._is_closed:
            raise Refused(503, "this version is not served any more")
        if self._rows and self._rows + len(rows) > self._settings.max_queue:
            raise Refused(429, f"{self._rows} images are waiting already: come again in a moment")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(signature, (signature, key), rows, pixels, loop.time(), loop.create_future())
        self._queue.append(waiting)
        self._rows += len(rows)
        self._under_way += 1
        self._idle.clear()
        if self._timer is None and self._running < self._settings.workers:
            self._timer = loop.call_soon(self._pump)  # what came in the same moment goes along
        expiry = loop.call_at(deadline, _expire, waiting.future)
        try:
            return await waiting.future
        finally:
            expiry.cancel()
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def close(self) -> None:
        """Waits until all is answered, and lets go of the model."""
        await self._idle.wait()
        self._is_closed = True
        self._pool.shutdown(wait=False)
        meters.QUEUE.remove(self._label)  # its function holds on to the model
        meters.BATCH_IMAGES.remove(self._label)

    def _pump(self) -> None:
        """Starts batches while workers are free, unless it pays to wait for more images."""
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._queue and self._running < self._settings.workers:
            ready = self._queue[0].since + self._settings.max_delay / 1000
            if self._rows < self._settings.max_batch and loop.time() < ready:
                self._timer = loop.call_at(ready, self._pump)
                return
            batch = self._take()
            if batch:
                self._start(batch)

    def _take(self) -> list[_Waiting]:
        """Takes the oldest request out of the queue, and those that may share its batch."""
        batch: list[_Waiting] = []
        passed: list[_Waiting] = []
        rows = pixels = 0
        while self._queue and rows < self._settings.max_batch:
            one = self._queue.popleft()
            if one.future.done():  # expired, or its client has gone
                self._rows -= len(one.rows)
                continue
            fits = (
                rows + len(one.rows) <= self._settings.max_batch
                and pixels + one.pixels <= self._settings.max_pixels
            )
            if batch and not (fits and one.key == batch[0].key):
                passed.append(one)
                continue
            batch.append(one)
            rows, pixels = rows + len(one.rows), pixels + one.pixels
        self._queue.extendleft(reversed(passed))
        self._rows -= rows
        return batch

    def _start(self, batch: list[_Waiting]) -> None:
        self._running += 1
        rows = [one.rows for one in batch]
        whole = rows[0] if len(rows) == 1 else np.concatenate(rows)
        self._sizes.observe(len(whole))
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._pool, self._run, batch[0].signature, whole)
        done.add_done_callback(functools.partial(self._finish, batch))

    def _finish(self, batch: list[_Waiting], done: "asyncio.Future[Outputs]") -> None:
        self._running -= 1
        error = done.exception()
        if error is None:
            _share(batch, done.result())
        elif len(batch) > 1:
            middle = len(batch) // 2
            for half in (batch[:middle], batch[middle:]):
                self._start(half)
        elif not batch[0].future.done():
            batch[0].future.set_exception(error if isinstance(error, Refused) else Refused(500, BROKEN))
        if self._queue and self._timer is None:
            self._pump()


def _share(batch: list[_Waiting], outputs: Outputs) -> None:
    """Gives each request its rows."""
    start = 0
    for one in batch:
        stop = start + len(one.rows)
        if not one.future.done():
            rows = {name: array[start:stop] for name, array in outputs.items()}
            one.future.set_result(outputs if len(batch) == 1 else rows)
        start = stop


def _expire(future: "asyncio.Future[Outputs]") -> None:
    if not future.done():
        future.set_exception(Refused(504, "the time given for the request is over"))
