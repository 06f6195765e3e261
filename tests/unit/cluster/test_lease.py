"""The Lease: one holder at a time, whatever is paused, lost, late or away.

Each candidate reaches the same API server by a road of its own, which a test can break. A paused
process is one whose road stands still: what it asks does not leave, what it is told does not
arrive, while its clock goes on (a SIGSTOP does not stop it).
"""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal

import pytest

from bench.cluster import API_SERVICES, Cluster
from bench.kinds import built_in_kinds
from bench.memory_api import EPOCH, MemoryAPI, loop_clock
from tests.following import until
from watcher.cluster.api import Response
from watcher.cluster.lease import Lease, LeaseLostError, Terms
from watcher.errors import ClusterUnreachableError
from watcher.logs import open_log

pytestmark = pytest.mark.looptime

TERMS = Terms(lease_duration=15, renew_deadline=10, retry_period=2)
LEASES = "leases.coordination.k8s.io"
KINDS = {"namespaces", API_SERVICES, LEASES}


class Road:
    """The way of one candidate to the API server."""

    def __init__(self, cluster: Cluster) -> None:
        self._api = MemoryAPI(cluster, latency=0.02)
        self._open = asyncio.Event()
        self._open.set()
        self.answers_lost = 0  # of the next requests, which take place
        self.late: float | None = None  # seconds after which requests without an answer land
        self.landing: list[asyncio.Task[None]] = []

    def pause(self) -> None:
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Response]:
        return self._travel(self._api.get(path, query, headers))

    def send(
        self, method: Literal["POST", "PUT"], path: str, body: bytes
    ) -> AbstractAsyncContextManager[Response]:
        return self._travel(self._api.send(method, path, body))

    @asynccontextmanager
    async def _travel(
        self, request: AbstractAsyncContextManager[Response]
    ) -> AsyncIterator[Response]:
        await self._open.wait()
        if self.late is not None:
            self.landing.append(asyncio.ensure_future(_land(request, self.late)))
            raise ClusterUnreachableError("no answer")
        async with request as response:
            await self._open.wait()
            if self.answers_lost:
                self.answers_lost -= 1
                raise ClusterUnreachableError("no answer")
            yield response


async def _land(request: AbstractAsyncContextManager[Response], after: float) -> None:
    await asyncio.sleep(after)
    with suppress(ClusterUnreachableError):
        async with request:
            pass


@dataclass(eq=False)
class Candidate:
    """A process that wants to lead, and leads until it is stopped or loses the Lease."""

    cluster: Cluster
    name: str
    seed: int = 0
    terms: Terms = TERMS
    ahead: timedelta = timedelta()  # what its clock on the wall is wrong by
    lost: str = ""  # why it ended by itself
    logged: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        right = loop_clock()

        def clock() -> datetime:
            return right() + self.ahead

        self.road = Road(self.cluster)
        self.lease = Lease(
            self.road,
            "default",
            "watcher",
            self.name,
            self.terms,
            random=Random(self.seed),
            clock=clock,
            log=open_log(self.logged, "logfmt", "info", clock),
        )
        self.task: asyncio.Task[None] = asyncio.ensure_future(self._lead())

    @property
    def may_write(self) -> bool:
        return self.lease.barred() is None

    async def _lead(self) -> None:
        await self.lease.acquire()
        try:
            await self.lease.keep()
        except LeaseLostError as error:
            self.lost = str(error)

    async def kill(self) -> None:
        """It writes no more, but what it may do counts for as long as its code would believe so."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def stop(self) -> None:
        await self.kill()
        await self.lease.release()


class Election:
    """Some candidates, and who looks all the time that no two may write."""

    def __init__(self) -> None:
        kinds = [kind for kind in built_in_kinds() if kind.label in KINDS]
        self.cluster = Cluster(loop_clock(), kinds=kinds)
        self.candidates: list[Candidate] = []

    def add(self, name: str, **given: Any) -> Candidate:
        number = len(self.candidates) + 1
        self.candidates.append(Candidate(self.cluster, name, seed=number, **given))
        return self.candidates[-1]

    @property
    def leaders(self) -> list[str]:
        return [each.name for each in self.candidates if each.may_write]

    def lease(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.cluster.get(LEASES, "default", "watcher")["spec"]
        return spec

    async def watch(self) -> None:
        while True:
            assert len(self.leaders) <= 1, self.leaders
            await asyncio.sleep(0.1)


@pytest.fixture
async def election() -> AsyncIterator[Election]:
    held = Election()
    watching = asyncio.ensure_future(held.watch())
    try:
        yield held
        assert not watching.done(), watching.exception()
    finally:
        for each in held.candidates:
            each.road.resume()
            await each.kill()
        left = [watching, *(task for each in held.candidates for task in each.road.landing)]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_the_first_one_leads_at_once_and_the_lease_says_so(election: Election) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)
    spec = election.lease()
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("a", 15)
    assert spec["leaseTransitions"] == 0
    assert datetime.fromisoformat(spec["renewTime"]) >= EPOCH


async def test_the_holder_stays_for_as_long_as_it_renews(election: Election) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)
    b = election.add("b")
    await asyncio.sleep(3600)
    assert election.leaders == ["a"]
    assert b.lease.holder == "a"
    assert 3600 / 2.4 <= election.cluster.requests["update", LEASES] <= 3600 / 2


async def test_after_a_kill_another_leads_one_lease_duration_later(election: Election) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)
    b = election.add("b")
    await asyncio.sleep(100)
    await a.kill()
    killed = now()
    await until(lambda: b.may_write, 60)
    assert 10 < now() - killed < 15 + 5
    spec = election.lease()
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("b", 1)


async def test_after_an_orderly_end_nobody_waits(election: Election) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)
    b = election.add("b")
    await asyncio.sleep(100)
    await a.stop()
    assert not a.may_write
    stopped = now()
    await until(lambda: b.may_write, 60)
    assert now() - stopped < 2 * 1.2 + 0.5
    assert election.lease()["leaseTransitions"] == 1


async def test_it_is_given_up_even_if_the_last_renewal_had_no_answer(election: Election) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)
    b = election.add("b")
    await asyncio.sleep(100)
    a.road.answers_lost = 1
    await until(lambda: not a.road.answers_lost, 5)
    await a.stop()
    await until(lambda: b.may_write, 2 * 1.2 + 0.5)
    assert "could not be given up" not in a.logged.getvalue()


async def test_a_paused_holder_may_write_nothing_on_waking_up(election: Election) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)
    election.add("b")
    await asyncio.sleep(100)
    a.road.pause()
    await asyncio.sleep(3 * 15)
    assert election.leaders == ["b"]
    a.road.resume()
    await until(lambda: bool(a.lost), 60)
    assert a.lost.startswith("the Lease default/watcher is lost to b: this process stops")
    assert election.leaders == ["b"]


async def test_a_paused_holder_whom_nobody_replaced_goes_on(election: Election) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)
    a.road.pause()
    await asyncio.sleep(3 * 15)
    assert not a.may_write
    a.road.resume()
    await until(lambda: a.may_write, 10)
    assert not a.lost


async def test_a_server_away_for_two_lease_durations_has_nobody_lead_meanwhile(
    election: Election,
) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)
    b = election.add("b")
    await asyncio.sleep(100)
    election.cluster.faults.stop()
    await asyncio.sleep(7)
    assert election.leaders == ["a"], "a blip is borne"
    await asyncio.sleep(2 * 15 - 7)
    assert election.leaders == []
    election.cluster.faults.start()
    await until(lambda: bool(election.leaders), 15)
    await asyncio.sleep(60)
    assert len(election.leaders) == 1
    assert "fails" in a.logged.getvalue()
    assert bool(a.lost) == (election.leaders == ["b"]) == b.may_write


@pytest.mark.parametrize("lost", [1, 3])
async def test_a_renewal_whose_answer_is_lost_took_place_and_is_no_rival(
    election: Election, lost: int
) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)
    a.road.answers_lost = lost
    await asyncio.sleep(60)
    assert a.may_write
    assert not a.lost


async def test_a_first_request_whose_answer_is_lost_is_recognised(election: Election) -> None:
    a = election.add("a")
    a.road.answers_lost = 2  # that to the look, and that to the creation
    await asyncio.sleep(60)
    assert election.leaders == ["a"]


async def test_a_renewal_that_lands_late_takes_nothing_from_its_successor(
    election: Election,
) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)
    b = election.add("b")
    await asyncio.sleep(100)
    a.road.late = 30.0
    await until(lambda: b.may_write, 60)
    await asyncio.sleep(60)
    assert election.leaders == ["b"]
    assert election.lease()["holderIdentity"] == "b"


async def test_of_two_that_want_it_at_the_same_moment_one_has_it(election: Election) -> None:
    for name in "abc":
        election.add(name)
    await asyncio.sleep(30)
    assert len(election.leaders) == 1
    assert election.lease()["leaseTransitions"] == 0


async def test_a_label_on_the_lease_disturbs_nobody(election: Election) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)

    def label(content: dict[str, Any]) -> None:
        content["metadata"]["labels"] = {"seen": "yes"}

    election.cluster.edit(LEASES, "default", "watcher", label)
    await asyncio.sleep(60)
    assert a.may_write


async def test_a_lease_that_is_removed_is_lost_and_had_by_nobody_before_its_time(
    election: Election,
) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)
    b = election.add("b")
    await asyncio.sleep(100)
    a.road.pause()
    election.cluster.delete(LEASES, "default", "watcher")
    await until(lambda: b.may_write, 60)
    a.road.resume()
    await until(lambda: bool(a.lost), 60)


async def test_an_etcd_put_back_to_when_nobody_had_it_gives_nobody_two_leaders(
    election: Election,
) -> None:
    a = election.add("a")
    await until(lambda: a.may_write, 1)
    await a.stop()
    snapshot = election.cluster.snapshot()
    b = election.add("b")
    await until(lambda: b.may_write, 10)
    c = election.add("c")
    await asyncio.sleep(100)
    b.road.pause()  # it is not there to see it
    election.cluster.restore(snapshot)
    await until(lambda: c.may_write, 60)
    assert election.leaders == ["c"]
    b.road.resume()
    await until(lambda: bool(b.lost), 60)


async def test_clocks_on_the_wall_decide_nothing(election: Election) -> None:
    a = election.add("a", ahead=timedelta(hours=-5))
    await until(lambda: a.may_write, 1)
    b = election.add("b", ahead=timedelta(hours=7))
    await asyncio.sleep(100)
    assert election.leaders == ["a"]
    a.ahead = timedelta(days=1)
    b.ahead = timedelta(days=-1)
    await asyncio.sleep(100)
    assert election.leaders == ["a"]


async def test_the_longer_of_two_durations_counts(election: Election) -> None:
    """While a rolling update changes it."""
    a = election.add("a", terms=Terms(60, 50, 2))
    await until(lambda: a.may_write, 1)
    b = election.add("b")
    await asyncio.sleep(10)
    a.road.pause()
    await asyncio.sleep(45)
    assert election.leaders == ["a"]
    await until(lambda: b.may_write, 30)


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_happens_no_two_may_write_and_in_the_end_one_does(
    election: Election, seed: int
) -> None:
    random = Random(seed)
    names = iter(range(1000))
    alive = [election.add(str(next(names))) for _ in range(3)]
    for _ in range(30):
        await asyncio.sleep(random.uniform(0.0, 12.0))
        one = random.choice(alive)
        match random.randrange(8):
            case 0:
                one.road.pause()
            case 1:
                one.road.resume()
            case 2:
                one.road.answers_lost = random.randrange(4)
            case 3:
                one.road.late = random.uniform(0.0, 40.0)
            case 4:
                election.cluster.faults.stop()
            case 5:
                election.cluster.faults.start()
            case 6:
                election.cluster.faults.no_answer(random.randrange(1, 4))
            case 7:
                one.road.resume()
                await (one.kill() if random.random() < 0.5 else one.stop())
                alive.remove(one)
                alive.append(election.add(str(next(names))))
        for each in [each for each in alive if each.lost]:
            alive.remove(each)
            alive.append(election.add(str(next(names))))
    election.cluster.heal()
    for each in alive:
        each.road.late, each.road.answers_lost = None, 0
        each.road.resume()
    await asyncio.sleep(60)
    assert len(election.leaders) == 1
