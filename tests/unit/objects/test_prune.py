"""Removals take what they name and what that emptied, and nothing else."""

from typing import Any

import pytest

from watcher.objects.prune import EACH, FieldPath, Removals


def pruned(node: Any, *paths: FieldPath) -> Any:
    Removals(paths).apply(node)
    return node


def test_a_field_goes_and_its_neighbours_stay() -> None:
    assert pruned({"a": {"b": 1, "c": 2}, "b": 3}, ("a", "b")) == {"a": {"c": 2}, "b": 3}


def test_what_a_removal_emptied_goes_too_up_to_the_root() -> None:
    assert pruned({"a": {"b": {"c": 1}}, "d": 1}, ("a", "b", "c")) == {"d": 1}
    assert pruned({"a": {"b": 1}}, ("a", "b")) == {}
    assert pruned({"a": [{"b": 1}, {"b": 1, "c": 2}]}, ("a", EACH, "b")) == {"a": [{"c": 2}]}
    assert pruned({"a": [{"b": 1}], "z": 0}, ("a", EACH, "b")) == {"z": 0}


def test_what_was_empty_before_stays() -> None:
    nodes = [{"a": {}}, {"a": []}, {"a": {"b": {}}}, {"a": [{}, []]}]
    for node in nodes:
        before = repr(node)
        assert repr(pruned(node, ("a", "b", "c"), ("a", EACH, "b"))) == before


def test_items_of_lists_are_removed_by_value() -> None:
    removals = Removals()
    removals.add_item(("finalizers",), "orphan")
    node = {"finalizers": ["a", "orphan", "b", "orphan"]}
    removals.apply(node)
    assert node == {"finalizers": ["a", "b"]}
    node = {"finalizers": ["orphan"]}
    removals.apply(node)
    assert node == {}


@pytest.mark.parametrize("odd", [None, "text", 1, True, [1, None, "x"], [["y"]], {"c": 1}])
def test_data_of_another_shape_is_left_alone(odd: Any) -> None:
    assert pruned({"a": odd}, ("a", "b"), ("a", EACH, "b"), ("a", "b", EACH, "c")) == {"a": odd}


def test_lists_in_lists_are_reached() -> None:
    assert pruned({"a": [[{"b": 1, "c": 2}]]}, ("a", EACH, EACH, "b")) == {"a": [[{"c": 2}]]}
