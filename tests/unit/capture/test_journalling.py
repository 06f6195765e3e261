"""The journal has no holes: what the bucket holds, it tells of, whoever was killed when."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

import looptime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.faults import Failure
from tests.memory_store import Fault, MemoryStore
from tests.unit.capture.rig import PREFIX, Rig, config_map
from watcher.bucket import journal
from watcher.bucket.journal import Line
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import etag_of

LAYOUT = Layout("example.com", "east")
HELLO = "default/configmap/hello.yaml"


async def lines(rig: Rig, key: str = "") -> list[Line]:
    """All of the journal, or those of one key."""
    found = [line async for line in journal.read(rig.store, LAYOUT)]
    return [line for line in found if not key or line.key == key]


def held(rig: Rig) -> dict[str, str]:
    """Key -> ETag of what the bucket holds."""
    return {key: etag_of(body) for key, body in rig.files().items()}


def last_words(told: list[Line]) -> dict[str, str]:
    """Key -> ETag that the bucket holds by the journal."""
    found = {line.key: line.etag for line in told}
    return {key: etag for key, etag in found.items() if etag}


# -- what is told


@pytest.mark.looptime
async def test_each_change_is_told_with_who_made_it_and_what_was_there_before() -> None:
    rig = Rig()
    async with rig.running():
        managed = [{"manager": "kubectl", "operation": "Apply", "time": "2026-01-01T00:00:00Z"}]
        rig.cluster.create(config_map("hello", managedFields=managed))
        await rig.until(rig.equal)
        rig.cluster.update(config_map("hello", "2"))
        await rig.until(rig.equal)
        rig.cluster.delete("configmaps", "default", "hello")
        await rig.until(rig.equal)
    created, updated, deleted = await lines(rig, HELLO)
    assert [line.action for line in (created, updated, deleted)] == ["create", "update", "delete"]
    assert (created.previous_etag, deleted.etag) == ("", "")
    assert updated.previous_etag == created.etag != updated.etag
    assert deleted.previous_etag == updated.etag
    assert created.uid == updated.uid == deleted.uid != ""
    versions = [int(line.resource_version) for line in (created, updated, deleted)]
    assert versions == sorted(versions)
    assert (created.manager, created.operation) == ("kubectl", "Apply")
    assert created.at < updated.at < deleted.at
    assert not any(line.recovered for line in (created, updated, deleted))


@pytest.mark.looptime
async def test_an_object_that_leaves_the_selection_by_itself_is_told_as_left_out() -> None:
    rig = Rig()
    rig.cluster.create(config_map("hello"))
    async with rig.running():
        excluded = {"velero.io/exclude-from-backup": "true"}
        rig.cluster.update(config_map("hello", "2", labels=excluded))
        await rig.until(lambda: HELLO not in rig.files())
    assert [line.action for line in await lines(rig, HELLO)] == ["create", "left-out"]


@pytest.mark.looptime
async def test_a_version_whose_answer_was_lost_is_told_though_a_newer_one_follows() -> None:
    rig = Rig()
    async with rig.running():
        rig.store.choose_fault = lambda operation, key: (
            Fault.ANSWER_LOST if operation == "PUT" and HELLO in key else Fault.NONE
        )
        rig.cluster.create(config_map("hello", "1"))
        await rig.until(lambda: HELLO in rig.files())
        first = held(rig)[HELLO]
        rig.store.choose_fault = lambda operation, key: (
            Fault.UNREACHABLE if HELLO in key else Fault.NONE
        )
        rig.cluster.update(config_map("hello", "2"))
        await asyncio.sleep(10)
        rig.store.recover()
        await rig.until(rig.equal)
    one, two = await lines(rig, HELLO)
    assert (one.action, one.etag, one.recovered) == ("create", first, True)
    assert (two.action, two.previous_etag, two.recovered) == ("update", first, False)


@pytest.mark.looptime
async def test_a_write_that_was_repeated_because_its_answer_was_lost_is_told_once() -> None:
    rig = Rig()
    async with rig.running():
        rig.store.fail_next(Fault.ANSWER_LOST)
        rig.cluster.create(config_map("hello", "1"))
        await asyncio.sleep(60)
    (line,) = await lines(rig, HELLO)
    assert (line.action, line.etag, line.recovered) == ("create", held(rig)[HELLO], False)


# -- after kill -9


@pytest.mark.looptime
async def test_what_a_killed_process_did_not_tell_the_next_start_tells_once_and_marks_so() -> None:
    rig = Rig()
    for name in ("hello", "gone", "same"):
        rig.cluster.create(config_map(name, uid=f"uid-{name}"))
    await rig.once()
    before = held(rig)
    async with rig.killed():
        await asyncio.sleep(30)
        rig.cluster.update(config_map("hello", "2"))
        rig.cluster.create(config_map("new"))
        rig.cluster.delete("configmaps", "default", "gone")
        await rig.until(rig.equal)
    known = len(await lines(rig))
    for _ in range(2):
        await rig.once()
        told = {line.key.split("/")[2]: line for line in (await lines(rig))[known:]}
        assert set(told) == {"hello.yaml", "new.yaml", "gone.yaml"}
        assert all(line.recovered for line in told.values())
        actions = {name: line.action for name, line in told.items()}
        assert actions == {"hello.yaml": "update", "new.yaml": "create", "gone.yaml": "delete"}
        hello = told["hello.yaml"]
        assert (hello.previous_etag, hello.etag) == (before[HELLO], held(rig)[HELLO])
        assert hello.fingerprint
        assert hello.resource_version
        assert told["gone.yaml"].previous_etag == before["default/configmap/gone.yaml"]
    assert len(await lines(rig)) == known + 3


@pytest.mark.looptime
@pytest.mark.parametrize("after", [0.3, 0.5, 1.0, 3.0, 61.0])
async def test_a_first_start_that_is_killed_leaves_no_hole_either(after: float) -> None:
    rig = Rig()
    for number in range(300):
        rig.cluster.create(config_map(f"c{number}"))
    async with rig.killed():
        await asyncio.sleep(after)
    await rig.once()
    told = await lines(rig)
    assert last_words(told) == held(rig)
    assert max(Counter((line.key, line.etag) for line in told).values()) == 1


@pytest.mark.looptime
async def test_files_that_others_put_there_are_not_told_at_every_start() -> None:
    rig = Rig()
    rig.store.written_by_a_stranger(PREFIX + "default/configmap/theirs.yaml", b"kind: ConfigMap\n")
    for _ in range(3):
        await rig.once()
    assert await lines(rig, "default/configmap/theirs.yaml") == []


@pytest.mark.looptime
async def test_a_bucket_that_refuses_the_checkpoint_does_not_keep_a_backup_from_beginning() -> None:
    rig = Rig()
    rig.store.choose_fault = lambda operation, key: (
        Fault.REJECTED if operation == "PUT" and "index" in key else Fault.NONE
    )
    await rig.once()
    assert rig.equal()


@pytest.mark.looptime
async def test_where_lines_were_lost_no_checkpoint_hides_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal, "_MOST", 100)
    rig = Rig()
    await rig.once()
    for number in range(150):
        rig.cluster.create(config_map(f"c{number}"))
    rig.store.choose_fault = lambda operation, key: (
        Fault.REJECTED if operation == "PUT" and "/journal/" in key else Fault.NONE
    )
    async with rig.running():
        await asyncio.sleep(100)
        rig.store.recover()
        await asyncio.sleep(100)
        assert last_words(await lines(rig)) != held(rig)
    monkeypatch.setattr(journal, "_MOST", 1000)
    await rig.once()
    assert last_words(await lines(rig)) == held(rig)
    assert "lines of the journal were lost" in rig.logged.getvalue()


# -- whatever happens


class _Loop(looptime.LoopTimeEventLoop, asyncio.SelectorEventLoop):
    pass


def _in_virtual_time(story: Coroutine[Any, Any, None]) -> None:
    def loop() -> _Loop:
        return _Loop(start=0, idle_step=1, idle_timeout=2)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story)


NAMES = st.sampled_from(["a", "b", "c"])
CHANGES = [
    st.tuples(st.just("set"), NAMES),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.005, 0.5, 2.015, 20.0, 58.0, 61.0])),
    st.tuples(st.just("crash")),
    st.tuples(st.just("restart")),
]
FAULTS = st.sampled_from([Fault.ANSWER_LOST, Fault.LATE, Fault.UNREACHABLE, Fault.THROTTLED])


async def _play(rig: Rig, story: list[tuple[Any, ...]]) -> list[Mapping[str, str]]:
    """What the bucket held at each start."""
    seen: list[Mapping[str, str]] = []
    values = iter(range(1000))
    async with AsyncExitStack() as lives:
        await lives.enter_async_context(rig.killed())
        for what, *details in story:
            match what:
                case "set":
                    _set(rig, details[0], str(next(values)))
                case "delete":
                    with suppress(Failure):  # it is not there
                        rig.cluster.delete("configmaps", "default", details[0])
                case "wait":
                    await asyncio.sleep(*details)
                case "crash":
                    await lives.aclose()
                    seen.append(held(rig))
                    await lives.enter_async_context(rig.killed())
                case "restart":
                    await lives.aclose()
                    rig.store.recover()
                    await rig.once()
                    seen.append(held(rig))
                    await lives.enter_async_context(rig.killed())
                case "store":
                    rig.store.fail_next(*details)
        rig.store.recover()
        await asyncio.sleep(rig.store.late + 120)
    return [*seen, held(rig)]


def _set(rig: Rig, name: str, value: str) -> None:
    try:
        rig.cluster.create(config_map(name, value))
    except Failure:  # it is there already
        rig.cluster.update(config_map(name, value))


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(story=st.lists(st.one_of(CHANGES), min_size=3, max_size=25))
def test_all_that_a_start_ever_found_in_the_bucket_is_told_once(
    story: list[tuple[Any, ...]],
) -> None:
    async def play() -> None:
        rig = Rig()
        seen = await _play(rig, story)
        await rig.once()
        told = await lines(rig)
        assert last_words(told) == held(rig)
        versions = Counter((line.key, line.etag) for line in told if line.etag)
        assert {item for each in seen for item in each.items()} <= versions.keys()
        assert all(count == 1 for count in versions.values())
        _in_order(told)

    _in_virtual_time(play())


def _in_order(told: list[Line]) -> None:
    """Each line of a key follows from the one before."""
    before: dict[str, str] = {}
    for line in told:
        assert line.previous_etag == before.get(line.key, ""), line
        before[line.key] = line.etag


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    story=st.lists(
        st.one_of(*CHANGES, st.tuples(st.just("store"), FAULTS)), min_size=3, max_size=25
    ),
    conditional=st.booleans(),
)
def test_whatever_the_bucket_does_the_journals_last_word_is_what_it_holds(
    story: list[tuple[Any, ...]], conditional: bool
) -> None:
    async def play() -> None:
        rig = Rig()
        rig.store = MemoryStore(latency=0.01)
        if not conditional:
            rig.store.ignore_conditions()
        await _play(rig, story)
        for _ in range(2):  # a dead process's request may have landed after the last look
            await rig.once()
        told = await lines(rig)
        assert last_words(told) == held(rig)
        first_hand = Counter((it.key, it.etag) for it in told if it.etag and not it.recovered)
        assert all(count == 1 for count in first_hand.values())

    _in_virtual_time(play())
