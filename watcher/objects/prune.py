"""Removes fields from plain JSON data, in place.

Exists so that all that is known to be noise in a kind is one tree, walked once an object. Promises:
a map or list that a removal emptied is removed as well, up to the root; one that was empty before
stays (`emptyDir: {}` means something); where the data has another shape, nothing happens.
"""

from collections.abc import Iterable
from typing import Any

Step = str | None
EACH: Step = None  # into every item of a list
FieldPath = tuple[Step, ...]


class Removals:
    """A set of removals at one node and below it."""

    __slots__ = ("_below", "_each", "_items", "_keys")

    def __init__(self, paths: Iterable[FieldPath] = ()) -> None:
        self._keys: set[str] = set()  # of a map
        self._below: dict[str, Removals] = {}  # in the values of a map
        self._items: set[str] = set()  # strings in a list
        self._each: Removals | None = None  # in the items of a list
        for path in paths:
            self.add_field(path)

    def add_field(self, path: FieldPath) -> None:
        """Remove the field at a path, whose last step is a key."""
        *parents, key = path
        if key is None:
            raise ValueError("a path ends with a key")
        self._at(parents)._keys.add(key)

    def add_item(self, path: FieldPath, item: str) -> None:
        """Remove a string from the list at a path."""
        self._at(path)._items.add(item)

    def apply(self, node: object) -> None:
        if type(node) is dict:
            self._prune_map(node)
        elif type(node) is list:
            node[:] = [item for item in node if not self._takes(item)]

    def _prune_map(self, node: dict[str, Any]) -> None:
        for key in self._keys & node.keys():
            del node[key]
        for key, removals in self._below.items():
            if child := node.get(key):
                removals.apply(child)
                if not child:
                    del node[key]

    def _takes(self, item: object) -> bool:
        if isinstance(item, str):
            return item in self._items
        if self._each is None or not item:
            return False
        self._each.apply(item)
        return not item

    def _at(self, path: Iterable[Step]) -> "Removals":
        node = self
        for step in path:
            if step is not None:
                node = node._below.setdefault(step, Removals())
            else:
                node._each = node._each or Removals()
                node = node._each
        return node
