"""What waits to be written: newest wins, one writer a key, memory is bounded."""

import asyncio
from dataclasses import replace

import pytest

from watcher.capture.change import Change, Deleted, Refetch
from watcher.capture.debounce import MAX_REFETCHES, Pending
from watcher.objects.content import Content
from watcher.objects.ref import APIResource

pytestmark = pytest.mark.looptime

MAPS = APIResource("", "v1", "configmaps", "ConfigMap", True)


def _body(name: str, size: int = 0) -> Content:
    body = f'{{"metadata":{{"name":"{name}","namespace":"default"}},"x":"{"x" * size}"}}'
    return Content((), body.encode(), name.encode())


def _change(key: str, state: Content | None = None, received: float | None = None) -> Change:
    return Change(key, MAPS, state or _body(key), None, received)


def _pending(budget: int = 1 << 20) -> Pending:
    return Pending(debounce=2.0, max_delay=15.0, budget=budget)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_change_waits_until_its_key_was_quiet() -> None:
    pending = _pending()
    pending.offer(_change("a"), _now())
    await asyncio.sleep(1.5)
    pending.offer(_change("a"), _now())
    await pending.next()
    assert _now() == pytest.approx(3.5, abs=0.01)


async def test_a_key_that_is_never_quiet_is_due_after_max_delay() -> None:
    pending = _pending()
    waiting = asyncio.create_task(pending.next())
    while not waiting.done():
        pending.offer(_change("a"), _now())
        await asyncio.sleep(1.0)
    assert 15.0 <= _now() <= 16.1


async def test_states_from_lists_are_due_at_once() -> None:
    pending = _pending()
    pending.offer(_change("a"), _now())
    pending.offer(_change("a"), _now(), at_once=True)
    await pending.next()
    assert _now() == pytest.approx(0.0, abs=0.01)


async def test_the_newest_state_wins_and_remembers_since_when_it_is_late() -> None:
    pending = _pending()
    pending.offer(_change("a", received=0.0), _now())
    await asyncio.sleep(1.0)
    pending.offer(_change("a", _body("newer"), received=1.0), _now())
    change = await pending.next()
    assert (change.state, change.received) == (_body("newer"), 0.0)


async def test_a_newer_state_of_what_is_to_be_repaired_is_a_repair_too() -> None:
    pending = _pending()
    pending.offer(replace(_change("a"), repair=True), _now())
    pending.offer(_change("a", _body("newer")), _now())
    change = await pending.next()
    assert (change.state, change.repair) == (_body("newer"), True)


async def test_a_key_is_handed_to_one_writer_at_a_time() -> None:
    pending = _pending()
    pending.offer(_change("a"), _now(), at_once=True)
    first = await pending.next()
    pending.offer(_change("a", _body("newer")), _now(), at_once=True)
    second = asyncio.create_task(pending.next())
    await asyncio.sleep(100)
    assert not second.done()
    pending.done(first)
    assert (await second).state == _body("newer")


async def test_a_failed_change_comes_again_unless_a_newer_one_took_its_place() -> None:
    pending = _pending()
    pending.offer(_change("a"), _now(), at_once=True)
    pending.retry(await pending.next(), _now() + 5)
    first = await pending.next()
    assert first.state == _body("a")
    assert _now() == pytest.approx(5.0, abs=0.01)
    pending.offer(_change("a", _body("newer")), _now(), at_once=True)
    pending.retry(first, _now() + 5)
    second = await pending.next()
    assert second.state == _body("newer")
    pending.done(second)
    assert (len(pending), pending.bytes) == (0, 0)


async def test_the_oldest_is_the_one_that_is_not_stored_for_the_longest_time() -> None:
    pending = _pending()
    assert pending.oldest(_now()) == 0
    pending.offer(_change("a"), _now(), at_once=True)
    change = await pending.next()
    await asyncio.sleep(10)
    pending.offer(_change("b"), _now())
    assert pending.oldest(_now()) == pytest.approx(10, abs=0.01)
    pending.retry(change, _now())
    assert pending.oldest(_now()) == pytest.approx(10, abs=0.01)


async def test_beyond_the_budget_only_names_are_kept() -> None:
    pending = _pending(budget=30_000)
    for number in range(10):
        pending.offer(_change(f"k{number}", _body(f"k{number}", 200)), _now())
    assert pending.bytes <= 30_000
    pending.flush()
    changes = [await pending.next() for _ in range(10)]
    assert [c.state for c in changes if isinstance(c.state, Refetch)][-1] == Refetch(
        "default", "k9", b"k9"
    )


async def test_deletions_need_no_memory_to_speak_of_and_are_never_let_go() -> None:
    pending = _pending(budget=0)
    for number in range(2 * MAX_REFETCHES):
        pending.offer(Change(f"k{number}", MAPS, Deleted()), _now())
    assert len(pending) == 2 * MAX_REFETCHES


async def test_of_a_kind_with_too_many_names_only_that_it_must_be_listed_is_kept() -> None:
    pending = _pending(budget=0)
    for number in range(2 * MAX_REFETCHES):
        pending.offer(_change(f"k{number}"), _now())
    assert len(pending) == MAX_REFETCHES
    assert pending.overflowed == {MAPS}


async def test_lists_wait_for_room_but_not_while_nothing_can_be_written() -> None:
    pending = _pending(budget=20_000)
    pending.offer(_change("a", _body("a", 250)), _now(), at_once=True)
    change = await pending.next()
    waiting = asyncio.create_task(pending.room())
    await asyncio.sleep(10)
    assert not waiting.done()
    pending.done(change)
    await waiting
    pending.offer(_change("b", _body("b", 250)), _now())
    waiting = asyncio.create_task(pending.room())
    await asyncio.sleep(10)
    assert not waiting.done()
    pending.stall(True)
    await waiting
