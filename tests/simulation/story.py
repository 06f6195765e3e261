"""One life from its first object to its end: first faults, then calm.

Exists to play a plan and to ask, once the faults are over, what every operator wants to know: is
the bucket what the cluster is? Safety is asked at every request (invariants.py); what is asked
once all is calm is here, by the name under which a breach is reported:

- not equal: after at most `_PATIENCE` the bucket must equal the cluster, before any reconcile.
  Where something happened that only a listing can show (of a key: its request landed when nobody
  waited for it any more; of all: a listing lied, etcd went back in time, a list of the cluster was
  empty, another cluster answered, two wrote) that takes a reconcile, or one restart where there is
  none. A file without an object may stay only if etcd lost the object, or if it is on record as
  held for something that really happened.
- not started: somebody may start again within the same time
- does not watch: within the same time, each process follows each kind again
- not ready: each process says that all is well
- writes at rest: status churn and the passing of time make no request for any object
- not on record: checkpoint and journal tell what the bucket holds
- not in time: a change is in the bucket within max-delay and one PUT
- does not end: told to stop, a process ends in order
"""

import asyncio
from collections import Counter
from collections.abc import Collection

from tests.simulation.bucket import WHO
from tests.simulation.invariants import Broken, Life
from tests.simulation.plan import INSTANCES, Plan
from tests.simulation.steps import Steps
from tests.simulation.trace import Trace
from tests.simulation.world import World
from watcher.bucket.held import ADOPTED, HISTORY_LOST, MANY
from watcher.bucket.layout import Layout
from watcher.bucket.loading import load_ledger
from watcher.capture.deletes.breaker import LEAST

_PATIENCE = 1500.0  # seconds; silent watches take up to 660 of them, a night 1200
_PATIENCE_BEFORE_RESTART = 400.0
_CALMING = 60.0  # seconds until the last retries are through
_LAYOUT = Layout("example.com", "east")


async def tell(plan: Plan, trace: Trace) -> None:
    """Raises Broken."""
    story = Story(World(plan, trace))
    await story.faults()
    await story.calm()
    await story.rest()
    await story.end()


class Story:
    def __init__(self, world: World) -> None:
        self._world = world
        self._sizes = world.plan.sizes
        self._steps = Steps(world)
        self._time = asyncio.get_running_loop().time
        self._repairs_later = False  # some process may find out at its next night alone

    async def faults(self) -> None:
        world = self._world
        for number in range(self._sizes.namespaces):
            self._steps.add_namespace(f"ns{number}")
        if world.random.random() < 0.5:
            self._steps.install_crd()
        for instance in INSTANCES[: self._sizes.processes]:
            world.start(instance)
        began = self._time()
        for step in world.plan.steps:
            if (wait := began + step.at - self._time()) > 0:
                await asyncio.sleep(wait)
            world.trace.note(str(step))
            self._steps.do(step)
            world.check()

    async def calm(self) -> None:
        world = self._world
        world.trace.note("all faults end")
        world.heal()
        # All that was to start starts, and all that was to land lands.
        await asyncio.sleep(world.bucket.late + world.bucket.slowest + 70)
        await self._somebody_runs()
        await self._becomes_equal(else_="not equal", spared=world.judge.late)
        needed = world.listing_is_needed or bool(self._differences())
        self._repairs_later = needed and self._sizes.nightly
        if self._sizes.nightly:
            await self._becomes_equal(else_="not equal after a night")
        if self._sizes.nightly or not needed:
            return
        world.trace.note("only a listing can show it")
        for instance in INSTANCES:
            world.processes.kill(instance)
        await asyncio.sleep(1)
        await self._somebody_runs()
        await self._becomes_equal(else_="not equal, in spite of a restart")

    async def rest(self) -> None:
        world = self._world
        await self._all_is_watched()
        await asyncio.sleep(_CALMING)
        world.check()
        for process in world.processes.alive:
            process.status()
            if why := process.ready():
                raise Broken(f"not ready: {process.life} says: {why}")
        before, until = self._requests(), self._time() + self._sizes.rest
        everything = [
            (label, content["metadata"].get("namespace", ""), content["metadata"]["name"])
            for label in ("configmaps", "pods", "deployments.apps", "namespaces")
            for content in world.cluster.objects(label)
        ]
        while self._time() < until:
            await asyncio.sleep(30)
            self._steps.churn(*world.random.choice(everything))
        world.check()
        if not self._repairs_later and (made := self._requests() - before):
            raise Broken(f"writes at rest: {made} requests for objects in {until:.0f} s")
        self._must_be_equal("not equal after a rest")
        await self._must_be_on_record()

    async def end(self) -> None:
        world = self._world
        self._steps.add_namespace("last")
        await asyncio.sleep(self._sizes.max_delay + self._sizes.slowest + 1)
        self._must_be_equal("not in time")
        for instance in INSTANCES:
            world.processes.stop(instance)
        await asyncio.sleep(world.settings.grace_period)
        for process in world.processes.all:
            if not process.ended:
                raise Broken(f"does not end: {process.life}")
        world.check()
        self._must_be_equal("not equal after the end")

    async def _somebody_runs(self) -> None:
        """A start may be refused for as long as a dead process seems to be alive."""
        until = self._time() + _PATIENCE
        while self._time() < until:
            self._world.start(INSTANCES[0])
            await asyncio.sleep(30)
            if self._world.processes.alive:
                return
        raise Broken("not started: each start is refused")

    async def _becomes_equal(self, *, else_: str, spared: Collection[str] = ()) -> None:
        """Wait for it. spared: keys that need not. What only a listing can show is waited for in
        vain, and not for as long."""
        may_fail = self._world.listing_is_needed and else_ == "not equal"
        patience = _PATIENCE_BEFORE_RESTART if may_fail else _PATIENCE
        until = self._time() + patience
        while self._time() < until:
            await asyncio.sleep(5)
            self._world.check()
            if not self._differences(spared):
                await asyncio.sleep(20)
                self._world.check()
                if not self._differences(spared):
                    return
        if not may_fail:
            raise Broken(f"{else_}: {self._differences(spared)}")

    async def _all_is_watched(self) -> None:
        world, until = self._world, self._time() + _PATIENCE
        kinds = [kind.label for kind in world.cluster.kinds() if world.truth.wants(kind)]
        while True:
            watched = Counter(
                watch.kind.label
                for watch in world.cluster.faults.watches
                if not watch.silent and watch.after <= world.cluster.version
            )
            missing = [label for label in kinds if watched[label] < len(world.processes.alive)]
            if not missing:
                return
            if self._time() > until:
                raise Broken(f"does not watch: {missing}")
            await asyncio.sleep(10)

    async def _must_be_on_record(self) -> None:
        if not (self._world.listing_is_needed or self._world.judge.late):
            WHO.set(Life(-1, "an auditor", 0.0, 0))
            loaded = await load_ledger(self._world.bucket, _LAYOUT)
            if loaded.unjournalled:
                raise Broken(f"not on record: {loaded.unjournalled}")

    def _must_be_equal(self, else_: str) -> None:
        if found := self._differences():
            raise Broken(f"{else_}: {found}")

    def _differences(self, spared: Collection[str] = ()) -> list[str]:
        """What the bucket holds otherwise than it should, in words."""
        bucket, truth = self._world.bucket, self._world.truth
        files, held, found = bucket.files(), bucket.held(), {}
        for key, state in truth.now.items():
            if key not in files:
                found[key] = "is missing"
            elif files[key] != state.file and not state.terminating:
                found[key] = "is not the present state"
        for key in files.keys() - truth.now.keys():
            last = truth.last(key)
            if not (last and last.lost) and not self._is_excuse(held.get(key, "")):
                found[key] = "should be gone"
        return [f"{key} {what}" for key, what in sorted(found.items()) if key not in spared]

    def _is_excuse(self, why: str) -> bool:
        """Whether what a file is held for has really happened."""
        world = self._world
        happened = {
            HISTORY_LOST: world.truth.restored > 0 or world.left_home > 0,
            ADOPTED: world.was_deceived,
            MANY: world.truth.most_gone() > LEAST,
        }
        return happened.get(why, False)

    def _requests(self) -> int:
        """For objects, those that only read aside."""
        return sum(
            n
            for (operation, key), n in self._world.bucket.requests.items()
            if operation in ("PUT", "DELETE", "HEAD", "COPY") and "/_meta/" not in key
        )
