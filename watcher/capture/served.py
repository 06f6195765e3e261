"""Which kinds the cluster serves and we store, for who does not follow them.

Exists so that a reconcile by hand, which looks once, needs no informers. `Kinds` is what it has in
common with the roster of those who do follow.
"""

from dataclasses import dataclass
from typing import Protocol

from watcher.bucket.layout import kind_segment
from watcher.capture.intake import Flow, Intake
from watcher.cluster.discovery import Discovery
from watcher.cluster.kinds import KindFilter, identity
from watcher.objects.ref import FROZEN_GROUPS, APIResource


class Kinds(Protocol):
    """Which kinds there are, as discovery told last."""

    @property
    def intakes(self) -> list[Intake]:
        """Those that are stored."""

    def intake_of(self, resource: APIResource) -> Intake | None: ...

    def resource_of(self, segment: str) -> APIResource | None:
        """The kind that a kind segment stands for; None: it is not served, as far as we know."""

    def told(self, resource: APIResource) -> str:
        """The resourceVersion up to which we were told of this kind; "" where nobody follows it."""

    def serves(self, segment: str) -> bool:
        """Whether this kind segment is served, or may be."""


@dataclass(frozen=True, slots=True)
class Served:
    """One look at discovery."""

    discovery: Discovery
    intakes: list[Intake]

    @classmethod
    def of(cls, discovery: Discovery, flow: Flow, kinds: KindFilter) -> "Served":
        wanted: dict[str, Intake] = {}
        for resource in filter(kinds.wants, discovery.resources):
            intake = Intake(flow, resource, named=kinds.names(resource))
            wanted.setdefault(intake.segment, intake)
        return cls(discovery, list(wanted.values()))

    def intake_of(self, resource: APIResource) -> Intake | None:
        return next((i for i in self.intakes if identity(i.resource) == identity(resource)), None)

    def resource_of(self, segment: str) -> APIResource | None:
        return resource_of(segment, self.discovery)

    def told(self, resource: APIResource) -> str:
        return ""

    def serves(self, segment: str) -> bool:
        return not can_tell_about(segment, self.discovery) or self.resource_of(segment) is not None


def resource_of(segment: str, discovery: Discovery) -> APIResource | None:
    served = discovery.resources
    return next((each for each in served if kind_segment(*identity(each)) == segment), None)


def can_tell_about(segment: str, discovery: Discovery) -> bool:
    """Whether a kind that is not in this document is really not served."""
    _, dot, group = segment.partition(".")
    return discovery.can_tell_about(group) if dot else not discovery.stale & FROZEN_GROUPS
