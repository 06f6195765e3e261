"""What a seed stands for: sizes, rates, and the steps of one life of a cluster and its backup.

Exists so that a run is data before it begins: it can be printed, replayed, and made shorter step
by step while it still fails. Promises: pure; the same seed gives the same plan. Not every fault
occurs in every seed, and those that do occur at rates of their own: together always, they would
hide each other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.memory_store import Fault

NAMESPACED = (
    "configmaps",
    "configmaps",  # twice as often: most bugs care for the order of changes, not for the kind
    "secrets",
    "pods",
    "deployments.apps",
    "jobs.batch",
    "widgets.example.com",
    "probes.metrics.example.com",
)
CLUSTER_SCOPED = ("clusterroles.rbac.authorization.k8s.io",)
FOLLOWED = (*NAMESPACED[1:], *CLUSTER_SCOPED, "namespaces")
VALUES = ("A", "B", "C")
INSTANCES = ("a", "b")
_UNSURE = (Fault.UNREACHABLE, Fault.ANSWER_LOST, Fault.LATE, Fault.SILENT)
_REFUSED = (Fault.THROTTLED, Fault.REJECTED)


@dataclass(frozen=True, slots=True)
class Sizes:
    steps: int
    gap: float  # seconds between two steps, on average
    namespaces: int
    names: int  # of each kind in each namespace, at most
    page: int  # objects in a page of a list
    bucket_page: int
    processes: int
    debounce: float
    max_delay: float
    memory: int  # bytes
    slowest: float  # seconds of an answer of the bucket, at most
    late: float  # seconds after which a late request lands
    conditional: bool  # whether the bucket honours conditions
    md5: bool  # whether its ETags are MD5s
    versioned: bool  # whether it keeps versions; if not, deleted files go to the trash
    nightly: bool  # whether cluster and bucket are reconciled every 20 minutes
    rest: float  # seconds of status churn at the end, in which nothing may be written
    elected: bool = False  # whether a Lease decides which of two processes writes


@dataclass(frozen=True, slots=True)
class Step:
    at: float  # seconds after the beginning
    what: str  # the name of a method of steps.py
    args: tuple[Any, ...]

    def __str__(self) -> str:
        said = (arg.name if isinstance(arg, Fault) else str(arg) for arg in self.args)
        return f"{self.at:9.3f}  {self.what}({', '.join(said)})"


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    sizes: Sizes
    rates: dict[str, float]
    steps: tuple[Step, ...]


class _Draw:
    """What steps are made of."""

    def __init__(self, random: Random, sizes: Sizes) -> None:
        self.random = random
        self.sizes = sizes
        self.favourites = [self._any_object() for _ in range(random.randint(1, 6))]

    def namespace(self) -> str:
        return f"ns{self.random.randrange(self.sizes.namespaces)}"

    def object(self) -> tuple[str, str, str]:
        """Most bugs need several things to happen to one object."""
        return self._any_object() if self.random.random() < 0.4 else self._favourite()

    def _favourite(self) -> tuple[str, str, str]:
        return self.random.choice(self.favourites)

    def _any_object(self) -> tuple[str, str, str]:
        name = f"n{self.random.randrange(self.sizes.names)}"
        if self.random.random() < 0.1:
            return self.random.choice(CLUSTER_SCOPED), "", name
        return self.random.choice(NAMESPACED), self.namespace(), name

    def value(self) -> str:
        return self.random.choice(VALUES)

    def kind(self) -> str:
        return self.random.choice((*FOLLOWED, ""))

    def instance(self) -> str:
        return INSTANCES[self.random.randrange(self.sizes.processes)]

    def seconds(self, longest: float) -> float:
        """Mostly short, sometimes long."""
        seconds: float = longest ** self.random.random()
        return round(seconds, 3)

    def moment(self) -> float:
        """As long as a burst, or a request."""
        return round(self.random.uniform(0, 4), 3)

    def n(self, most: int) -> int:
        return self.random.randint(1, most)


_Args = Callable[[_Draw], tuple[Any, ...]]

# What people and controllers do. (weight, arguments)
WORK: dict[str, tuple[float, _Args]] = {
    "set": (6.0, lambda d: (*d.object(), d.value())),
    "delete": (2.5, lambda d: d.object()),
    "recreate": (0.7, lambda d: (*d.object(), d.value())),
    "there_and_back": (1.0, lambda d: (*d.object(), d.value())),
    "flap": (1.5, lambda d: (*d.object(), d.value(), d.moment())),
    "churn": (1.5, lambda d: d.object()),
    "finish": (0.4, lambda d: d.object()),
    "own": (0.4, lambda d: d.object()),
    "leave_out": (0.4, lambda d: d.object()),
    "take_in": (0.4, lambda d: d.object()),
    "protect": (0.6, lambda d: d.object()),
    "end_slowly": (0.4, lambda d: (*d.object(), d.value())),
    "release": (0.5, lambda d: d.object()),
    "add_namespace": (0.7, lambda d: (d.namespace(),)),
    "delete_namespace": (0.25, lambda d: (d.namespace(),)),
    "install_crd": (0.5, lambda d: ()),
    "remove_crd": (0.3, lambda d: ()),
}

FAULTS: dict[str, tuple[float, _Args]] = {
    # API server
    "drop_watches": (1.0, lambda d: (d.kind(),)),
    "end_watches": (0.5, lambda d: (d.kind(),)),
    "silence_watches": (0.4, lambda d: (d.kind(),)),
    "cut_mid_line": (0.5, lambda d: (d.kind(),)),
    "cut_lists": (0.5, lambda d: (d.n(3),)),
    "expire_tokens": (0.5, lambda d: (d.n(3),)),
    "compact": (0.7, lambda d: (d.kind(),)),
    "hide": (0.5, lambda d: (d.kind(), d.seconds(200))),
    "warm_up": (0.5, lambda d: (d.seconds(50),)),
    "forbid": (0.4, lambda d: (d.kind(), d.seconds(600))),
    "throttle": (0.5, lambda d: (d.n(20), d.kind())),
    "unavailable": (0.5, lambda d: (d.n(20), d.kind())),
    "unauthorized": (0.4, lambda d: (d.n(10), d.kind())),
    "unreachable": (0.5, lambda d: (d.n(20), d.kind())),
    "no_answer": (0.3, lambda d: (d.n(3), d.kind())),
    "away": (0.4, lambda d: (d.seconds(200),)),
    "stale_group": (0.4, lambda d: (d.random.choice(["apps", "batch", "example.com"]),
                                    d.random.choice((d.seconds(100), 700.0)))),
    "snapshot": (0.5, lambda d: ()),
    "restore": (0.3, lambda d: ()),
    "elsewhere": (0.2, lambda d: (d.seconds(900),)),
    # bucket
    "next_requests": (1.0, lambda d: (d.random.choice(_UNSURE), d.n(4))),
    "refuse_requests": (0.5, lambda d: (d.random.choice(_REFUSED), d.n(6))),
    "flaky": (0.8, lambda d: (d.random.choice((*_UNSURE, *_REFUSED)), round(d.random.random(), 2),
                              d.seconds(120))),
    "outage": (0.4, lambda d: (d.random.choice((*_UNSURE[:1], *_UNSURE, *_REFUSED)),
                               d.seconds(200))),
    "remember": (0.4, lambda d: ()),
    "lying_list": (0.4, lambda d: (d.n(3),)),
    # processes
    "kill": (0.8, lambda d: (d.instance(), d.seconds(60))),
    "kill_in_flight": (0.8, lambda d: (d.instance(), d.n(3), d.seconds(60))),
    "stop": (0.5, lambda d: (d.instance(), d.seconds(60))),
    "wrong_address": (0.2, lambda d: (d.instance(), d.seconds(55))),
    "jump": (0.3, lambda d: (round(d.random.uniform(-40_000, 40_000)),)),
}  # fmt: skip

# Where a Lease decides who writes.
OF_REPLICAS: dict[str, tuple[float, _Args]] = {
    "cut_off": (4.0, lambda d: (d.instance(), round(d.random.uniform(2, 60), 3))),
}


def make(seed: int) -> Plan:
    random = Random(seed)
    gap = 0.02 * 1000.0 ** random.random()
    sizes = Sizes(
        steps=random.randint(8, 60),
        gap=round(gap, 3),
        namespaces=random.randint(1, 3),
        names=random.randint(1, 4),
        page=random.choice((1, 2, 3, 250)),
        bucket_page=random.choice((2, 5, 1000)),
        processes=1 if random.random() < 0.85 else 2,
        debounce=random.choice((0.2, 2.0)),
        max_delay=random.choice((3.0, 15.0)),
        memory=random.choice((20_000, 10_000_000)),
        slowest=random.choice((0.01, 0.1, 3.0)),
        late=random.choice((0.5, 5.0, 45.0)),
        conditional=random.random() < 0.8,
        md5=random.random() < 0.8,
        versioned=random.random() < 0.5,
        nightly=random.random() < 0.25,
        rest=random.choices((100.0, 600.0, 3600.0), (0.75, 0.2, 0.05))[0],
    )
    if Random(f"elected {seed}").random() < 0.1:  # of its own, so that other seeds stay as they are
        # Slowly, for a Lease takes its time.
        sizes = replace(sizes, processes=2, elected=True, gap=max(sizes.gap, 1.0))
    rates = {
        name: round(weight * random.uniform(0.5, 2.0), 2) for name, (weight, _) in WORK.items()
    }
    for name, (weight, _) in FAULTS.items():
        if random.random() < 0.3:
            rates[name] = round(weight * random.uniform(0.5, 3.0), 2)
    if sizes.elected:
        rates |= {name: weight for name, (weight, _) in OF_REPLICAS.items()}
    return Plan(seed, sizes, rates, tuple(_steps(random, sizes, rates)))


def _steps(random: Random, sizes: Sizes, rates: dict[str, float]) -> list[Step]:
    draw = _Draw(random, sizes)
    known = WORK | FAULTS | OF_REPLICAS
    names, weights = list(rates), list(rates.values())
    at, steps = 0.0, []
    for what in random.choices(names, weights, k=sizes.steps):
        if random.random() < 0.7:  # the others come at the same moment as the one before
            at += random.expovariate(1 / sizes.gap)
        if random.random() < 0.025:
            at += random.uniform(20, 700)  # what takes minutes to go wrong has the time
        steps.append(Step(round(at, 3), what, known[what][1](draw)))
    return steps


def describe(plan: Plan) -> str:
    """Sizes, rates and steps, for a person who wants to know what went wrong."""
    sizes = ", ".join(f"{name}={getattr(plan.sizes, name)!r}" for name in Sizes.__slots__)
    rates = ", ".join(f"{name} {rate:g}" for name, rate in plan.rates.items() if name not in WORK)
    steps = "\n".join(map(str, plan.steps))
    return f"seed {plan.seed}\nsizes: {sizes}\nrates: {rates or 'no faults'}\nsteps:\n{steps}"
