"""The least that the program needs in the cluster, as rules of RBAC.

Exists because only who knows every question that is asked can say what to allow. Promises: nothing
but `list` and `watch` (`get` on everything would include `pods/exec` and `nodes/proxy`); what the
settings want is covered, and beside it only what tells clusters, namespaces and kinds apart. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from watcher.cluster.kinds import KindFilter
from watcher.objects.ref import APIResource

_VERBS = ["list", "watch"]

# Asked for whatever the settings leave out: kube-system says which cluster it is, an absent
# Namespace, CRD or APIService explains why objects are gone, and new ones bring new kinds.
_ALWAYS = (
    ("", "namespaces"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "apiservices"),
)


@dataclass(frozen=True, slots=True)
class Rule:
    group: str  # "" for core, "*" for all
    resources: tuple[str, ...]

    def as_object(self) -> dict[str, list[str]]:
        return {"apiGroups": [self.group], "resources": list(self.resources), "verbs": _VERBS}


EVERYTHING: tuple[Rule, ...] = (Rule("*", ("*",)),)


def needs_everything(kinds: KindFilter) -> bool:
    """Whether no kind is left out, today's or tomorrow's: then nobody need know which there are.

    Those that are left out by default count as none: they are noise, not secrets.
    """
    return not kinds.exclude and (not kinds.include or "*" in kinds.include)


def rules(kinds: KindFilter, served: Sequence[APIResource]) -> tuple[Rule, ...]:
    """For the kinds that are wanted of those that are served, by name."""
    if needs_everything(kinds):
        return EVERYTHING
    by_group: dict[str, set[str]] = {}
    for group, resource in _ALWAYS:
        by_group.setdefault(group, set()).add(resource)
    for each in (*served, *_to_come(kinds, served)):
        if kinds.wants(each):
            by_group.setdefault(each.group, set()).add(each.resource)
    return tuple(Rule(group, tuple(sorted(names))) for group, names in sorted(by_group.items()))


def unknown(kinds: KindFilter, served: Sequence[APIResource]) -> list[str]:
    """Words of the settings for which there is no rule, as no kind that is served has that name,
    and they are not a whole name: `certificates.cert-manager.io`."""
    whole = {each.label for each in _to_come(kinds, served)}
    return [word for word in kinds.unmatched(tuple(served)) if word.lower() not in whole]


def _to_come(kinds: KindFilter, served: Sequence[APIResource]) -> Iterator[APIResource]:
    """Kinds that `include-kinds` names in full, plural and group, and that no CRD defines yet."""
    for word in KindFilter(kinds.include).unmatched(tuple(served)):
        plural, dot, group = word.lower().partition(".")
        if dot and "*" not in word:
            yield APIResource(group, "", plural, "", True, frozenset(_VERBS))
