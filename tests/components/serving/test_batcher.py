"""Batching, without a model: what is answered together, what is refused, and whom a bad image hurts."""

import asyncio
import threading

import numpy as np
import pytest

from conveyor.components.serving.batcher import Batcher
from conveyor.components.serving.errors import Refused
from conveyor.components.serving.settings import ServeSettings


class Doubling:
    """Doubles numbers; -1 is a bad image. Remembers its batches, and waits where it is told to."""

    def __init__(self):
        self.batches = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, signature, rows):
        assert self.gate.wait(10)
        self.batches.append((signature, rows.tolist()))
        if (rows == -1).any():
            raise Refused(400, "a bad image")
        return {"double": 2 * rows}


def ask(batcher, *values, key="same", signature="s", pixels=1, seconds=10.0):
    deadline = asyncio.get_running_loop().time() + seconds
    return batcher.answer(signature, key, np.array(values), pixels, deadline)


def run(check, model=None, **settings):
    """Runs a coroutine function with a batcher; returns the batches that the model saw."""
    model = model or Doubling()

    async def main():
        batcher = Batcher(model, ServeSettings(**settings), "test/1")
        await check(batcher, model)
        await asyncio.wait_for(batcher.close(), 10)

    asyncio.run(main())
    return model.batches


async def held(model, batcher):
    """Starts a batch that does not end until the gate is opened."""
    model.gate.clear()
    first = asyncio.ensure_future(ask(batcher, 0))
    await asyncio.sleep(0.01)
    return first


def test_each_request_gets_its_own_rows():
    async def check(batcher, _):
        answers = await asyncio.gather(ask(batcher, 1), ask(batcher, 2, 3), ask(batcher, 4))
        assert [answer["double"].tolist() for answer in answers] == [[2], [4, 6], [8]]

    assert run(check) == [("s", [1, 2, 3, 4])]  # what comes in the same moment goes together


def test_a_batch_gathers_while_another_runs():
    async def check(batcher, model):
        first = await held(model, batcher)
        others = [asyncio.ensure_future(ask(batcher, value)) for value in range(1, 6)]
        await asyncio.sleep(0.01)
        model.gate.set()
        await asyncio.gather(first, *others)

    assert run(check, max_batch=4) == [("s", [0]), ("s", [1, 2, 3, 4]), ("s", [5])]


def test_a_request_is_not_split_and_a_larger_one_goes_alone():
    async def check(batcher, model):
        first = await held(model, batcher)
        others = [ask(batcher, 1, 2), ask(batcher, *range(9)), ask(batcher, 3, 4), ask(batcher, 5)]
        others = [asyncio.ensure_future(other) for other in others]
        await asyncio.sleep(0.01)
        model.gate.set()
        await asyncio.gather(first, *others)

    batches = run(check, max_batch=4)
    assert [rows for _, rows in batches] == [[0], [1, 2, 3, 4], list(range(9)), [5]]


def test_only_like_requests_share_a_batch():
    async def check(batcher, model):
        first = await held(model, batcher)
        others = [
            ask(batcher, 1, key="a"), ask(batcher, 2, key="b"), ask(batcher, 3, key="a"),
            ask(batcher, 4, key="a", signature="t"),
        ]  # fmt: skip
        others = [asyncio.ensure_future(other) for other in others]
        await asyncio.sleep(0.01)
        model.gate.set()
        await asyncio.gather(first, *others)

    assert run(check) == [("s", [0]), ("s", [1, 3]), ("s", [2]), ("t", [4])]


def test_pixels_of_a_batch_are_bounded():
    async def check(batcher, model):
        first = await held(model, batcher)
        others = [asyncio.ensure_future(ask(batcher, value, pixels=60)) for value in (1, 2, 3)]
        await asyncio.sleep(0.01)
        model.gate.set()
        await asyncio.gather(first, *others)

    assert [rows for _, rows in run(check, max_pixels=120)] == [[0], [1, 2], [3]]


def test_a_bad_image_hurts_nobody_else():
    async def check(batcher, _):
        values = [1, 2, -1, 4, 5, 6, 7]
        answers = await asyncio.gather(*(ask(batcher, value) for value in values), return_exceptions=True)
        for value, answer in zip(values, answers, strict=True):
            if value == -1:
                assert isinstance(answer, Refused)
                assert answer.status == 400
            else:
                assert answer["double"].tolist() == [2 * value]

    # 7 -> 3 + 4; the 3 with the bad one -> 1 + 2 -> 1 + 1
    assert [len(rows) for _, rows in run(check)] == [7, 3, 4, 1, 2, 1, 1]


def test_what_the_model_raises_is_not_told_to_clients():
    def broken(signature, rows):
        raise RuntimeError("/secret/path")

    async def check(batcher, _):
        with pytest.raises(Refused) as caught:
            await ask(batcher, 1)
        assert caught.value.status == 500
        assert "secret" not in str(caught.value)

    broken.batches = []
    run(check, broken)


def test_a_full_queue_refuses_and_recovers():
    async def check(batcher, model):
        first = await held(model, batcher)
        waiting = [asyncio.ensure_future(ask(batcher, value)) for value in (1, 2, 3)]
        await asyncio.sleep(0.01)
        with pytest.raises(Refused) as caught:
            await ask(batcher, 4)
        assert caught.value.status == 429
        model.gate.set()
        await asyncio.gather(first, *waiting)
        assert (await ask(batcher, 5))["double"].tolist() == [10]

    run(check, max_queue=3)


def test_what_expired_or_was_cancelled_is_not_computed():
    async def check(batcher, model):
        first = await held(model, batcher)
        late = asyncio.ensure_future(ask(batcher, 1, seconds=0.02))
        gone = asyncio.ensure_future(ask(batcher, 2))
        kept = asyncio.ensure_future(ask(batcher, 3))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(Refused) as caught:
            await late
        assert caught.value.status == 504
        model.gate.set()
        await asyncio.gather(first, kept)

    assert [rows for _, rows in run(check)] == [[0], [3]]


def test_max_delay_waits_for_others_and_no_longer():
    async def check(batcher, _):
        first = asyncio.ensure_future(ask(batcher, 1))
        await asyncio.sleep(0.02)
        assert not first.done()
        second = asyncio.ensure_future(ask(batcher, 2))
        await asyncio.gather(first, second)
        lone = await asyncio.wait_for(ask(batcher, 3), 2)
        assert lone["double"].tolist() == [6]

    assert [rows for _, rows in run(check, max_delay=100.0)] == [[1, 2], [3]]


def test_a_full_batch_does_not_wait():
    async def check(batcher, _):
        await asyncio.wait_for(asyncio.gather(ask(batcher, 1), ask(batcher, 2)), 2)

    assert [rows for _, rows in run(check, max_delay=10_000.0, max_batch=2)] == [[1, 2]]


def test_closing_waits_for_what_is_under_way():
    model = Doubling()

    async def main():
        batcher = Batcher(model, ServeSettings(), "test/1")
        first = await held(model, batcher)
        closing = asyncio.ensure_future(batcher.close())
        await asyncio.sleep(0.01)
        assert not closing.done()
        model.gate.set()
        assert (await first)["double"].tolist() == [0]
        await asyncio.wait_for(closing, 10)
        with pytest.raises(Refused) as caught:
            await asyncio.wait_for(ask(batcher, 1), 10)
        assert caught.value.status == 503

    asyncio.run(main())
