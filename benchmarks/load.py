"""Sends prepared HTTP requests over many connections, and measures, with as little Python as may be."""

import asyncio
import collections
import random
import time
import typing


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: typing.Any = None
        self._waiting: asyncio.Future[bytes] | None = None
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._received.lower().find(b"content-length:", 0, head)
        length = int(self._received[at + 15 : self._received.find(b"\r\n", at)])
        if len(self._received) >= head + 4 + length:
            answer, self._received = bytes(self._received), bytearray()
            if self._waiting and not self._waiting.done():
                self._waiting.set_result(answer)

    def ask(self, request: bytes) -> "asyncio.Future[bytes]":
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._waiting


def request(host: str, path: str, body: bytes) -> bytes:
    """Returns the bytes of a POST request."""
    head = [
        "POST {path} HTTP/1.1",
        "host: {host}",
        "content-type: application/json",
        "content-length: {size}",
        "",
        "",
    ]
    return "\r\n".join(head).format(path=path, host=host, size=len(body)).encode() + body


class Outcome(typing.NamedTuple):
    """What came of a load: seconds of each answer, in order, statuses, and seconds in all."""

    times: list[float]
    statuses: collections.Counter[bytes]
    seconds: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.times) / self.seconds

    def quantile(self, share: float) -> float:
        """Returns the seconds that a share of the answers took at most."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def saturate(
    port: int, requests: list[bytes], connections: int, seconds: float, check: typing.Any = None
) -> Outcome:
    """Keeps each connection busy: the next request goes out when the answer to the last one is there.

    Args:
        port: Of a server on this machine.
        requests: Sent in turn.
        connections: How many.
        seconds: How long.
        check: Is given the index of a request and its answer.
    """
    lines = await _connect(port, connections)
    times: list[float] = []
    statuses: collections.Counter[bytes] = collections.Counter()
    start = time.perf_counter()

    async def work(line: _Connection, at: int) -> None:
        while (sent := time.perf_counter()) < start + seconds:
            answer = await line.ask(requests[at % len(requests)])
            times.append(time.perf_counter() - sent)
            statuses[answer[9:12]] += 1
            if check:
                check(at % len(requests), answer)
            at += connections

    await asyncio.gather(*(work(line, at) for at, line in enumerate(lines)))
    return Outcome(times, statuses, time.perf_counter() - start)


async def pace(port: int, requests: list[bytes], connections: int, seconds: float, rate: float) -> Outcome:
    """Sends at a rate, at random moments, whether or not answers are there; waits count from those moments.

    Args:
        port: Of a server on this machine.
        requests: Sent in turn.
        connections: How many at most.
        seconds: How long.
        rate: Requests a second.
    """
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    for line in await _connect(port, connections):
        free.put_nowait(line)
    times: list[float] = []
    statuses: collections.Counter[bytes] = collections.Counter()
    chance = random.Random(0)  # noqa: S311  (moments, not secrets)
    start = due = time.perf_counter()
    tasks = []

    async def one(at: int, due: float) -> None:
        line = await free.get()
        answer = await line.ask(requests[at % len(requests)])
        times.append(time.perf_counter() - due)
        statuses[answer[9:12]] += 1
        free.put_nowait(line)

    while due < start + seconds:
        due += chance.expovariate(rate)
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.ensure_future(one(len(tasks), due)))
    await asyncio.gather(*tasks)
    return Outcome(times, statuses, time.perf_counter() - start)


async def _connect(port: int, connections: int) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(_Connection, "127.0.0.1", port) for _ in range(connections)]
    return [protocol for _, protocol in made]
