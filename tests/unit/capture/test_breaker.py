"""Of many inferred deletions, those that are too many at once are held."""

import pytest

from watcher.capture.deletes.breaker import Recent, too_many


def keys(kind: str, count: int, namespace: str = "shop") -> list[str]:
    return [f"{namespace}/{kind}/{number}.yaml" for number in range(count)]


SHOP = "_cluster/namespace/shop.yaml"
MANY_MORE = {"secret": 10_000}  # the cluster as a whole never matters


@pytest.mark.parametrize(
    ("count", "files", "held"),
    [
        (20, 20, False),  # 20 may always go
        (21, 21, True),
        (21, 42, False),  # not more than half
        (22, 42, True),
        (500, 1000, False),
        (501, 1000, True),
    ],
)
def test_more_than_the_ratio_of_a_kind_and_more_than_twenty(
    count: int, files: int, held: bool
) -> None:
    suspects = keys("configmap", count)
    found = too_many(suspects, ratio=0.5, files={"configmap": files, **MANY_MORE})
    assert found == frozenset(suspects if held else ())


def test_only_the_kind_of_which_there_are_too_many_is_held() -> None:
    suspects = keys("configmap", 60) + keys("service", 30)
    found = too_many(suspects, ratio=0.5, files={"configmap": 100, "service": 100, **MANY_MORE})
    assert found == frozenset(keys("configmap", 60))


def test_more_than_the_ratio_of_all_holds_all() -> None:
    kinds = [f"kind{number}" for number in range(10)]
    suspects = [key for kind in kinds for key in keys(kind, 15)]
    assert too_many(suspects, ratio=0.5, files=dict.fromkeys(kinds, 20)) == frozenset(suspects)
    assert not too_many(suspects, ratio=0.5, files=dict.fromkeys(kinds, 30))


@pytest.mark.parametrize(("ratio", "held"), [(0.0, 21), (0.1, 21), (1.0, 0)])
def test_a_ratio_of_0_leaves_the_twenty_and_one_of_1_is_no_limit(ratio: float, held: int) -> None:
    suspects = keys("configmap", 21)
    assert len(too_many(suspects, ratio=ratio, files={"configmap": 21, **MANY_MORE})) == held


def test_what_went_shortly_before_counts_but_is_not_held() -> None:
    earlier, now = keys("configmap", 40, "old"), keys("configmap", 20)
    files = {"configmap": 100, **MANY_MORE}
    assert not too_many(now, ratio=0.5, files=files)
    assert too_many(now, ratio=0.5, files=files, recent=earlier) == frozenset(now)


def test_who_went_with_its_namespace_neither_counts_nor_is_held() -> None:
    gone, others = keys("configmap", 80), keys("configmap", 15, "default")
    excuses = {key: [frozenset({SHOP})] for key in gone}
    files = {"configmap": 100, "namespace": 5, **MANY_MORE}
    assert not too_many([SHOP, *gone, *others], ratio=0.5, files=files, excuses=excuses)


def test_a_namespace_that_is_held_excuses_nothing() -> None:
    namespaces = [f"_cluster/namespace/{number}.yaml" for number in range(30)]
    objects = [f"{number}/configmap/a.yaml" for number in range(30)]
    excuses = {objects[n]: [frozenset({namespaces[n]})] for n in range(30)}
    found = too_many(
        [*namespaces, *objects],
        ratio=0.5,
        files={"namespace": 30, "configmap": 40, **MANY_MORE},
        excuses=excuses,
    )
    assert found == {*namespaces, *objects}


def test_one_way_to_be_excused_is_enough() -> None:
    suspects = keys("widget.example.com", 30)
    held_crds = keys("customresourcedefinition", 25, "_cluster")
    excuses = {key: [frozenset(held_crds), frozenset({SHOP})] for key in suspects}
    files = {"widget.example.com": 30, "customresourcedefinition": 25, **MANY_MORE}
    found = too_many([*held_crds, *suspects], ratio=0.5, files=files, excuses=excuses)
    assert found == frozenset(held_crds)


def test_what_went_is_forgotten_after_an_hour() -> None:
    recent = Recent()
    recent.add(["a/b/c.yaml"], 0.0)
    recent.add(["a/b/d.yaml"], 1800.0)
    assert recent.keys(3600.0) == ["a/b/c.yaml", "a/b/d.yaml"]
    assert recent.keys(3601.0) == ["a/b/d.yaml"]
