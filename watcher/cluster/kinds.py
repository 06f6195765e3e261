"""Which of the cluster's kinds are wanted, in kubectl's words.

Exists so that `include-kinds` and `exclude-kinds` mean what people type after `kubectl get`:
`pods`, `po`, `Pod`, `deploy`, `deployments.apps`, `deployments.v1.apps`, `*.example.com`, `*`.
Promises: pure; case never matters; a word for a group's kind never touches another group's.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from watcher.objects.ref import APIResource, canonical_group
from watcher.objects.selection import DEFAULT_EXCLUDED_KINDS


@dataclass(frozen=True, slots=True)
class KindFilter:
    include: tuple[str, ...] = ()  # empty: every kind but those left out by default
    exclude: tuple[str, ...] = ()

    def wants(self, resource: APIResource) -> bool:
        """Whether to watch this kind: it can be listed and watched, and the settings want it."""
        if not {"list", "watch"} <= resource.verbs:
            return False
        if any(matches(word, resource) for word in self.exclude):
            return False
        if identity(resource) in DEFAULT_EXCLUDED_KINDS:
            return self.names(resource)  # `*,events` is everything and Events too
        return not self.include or any(matches(word, resource) for word in self.include)

    def names(self, resource: APIResource) -> bool:
        """Whether `include-kinds` names this kind itself, not by a pattern."""
        return any("*" not in word and matches(word, resource) for word in self.include)

    def unmatched(self, resources: tuple[APIResource, ...]) -> list[str]:
        """Words that mean nothing in this cluster (yet): typing errors live here."""
        words = (*self.include, *self.exclude)
        return [word for word in words if not any(matches(word, r) for r in resources)]


def identity(resource: APIResource) -> tuple[str, str]:
    """The group and kind under which its objects are stored."""
    return canonical_group(resource.group, resource.resource), resource.kind


def matches(word: str, resource: APIResource) -> bool:
    """Whether kubectl would take this word for this resource; `*` stands for any characters."""
    word = word.lower()
    names = {resource.resource, resource.singular, resource.kind.lower(), *resource.short_names}
    if "." in word:
        groups = (resource.group, f"{resource.version}.{resource.group}".rstrip("."))
        names = {f"{name}.{group}" for name in names - {""} for group in groups if group}
    return any(fnmatchcase(name, word) for name in names - {""})
