"""What Kubernetes promises to an informer, as plain functions over a `world` fixture.

Exists to keep the simulator honest: the same functions pass on the model in memory, on the model
over HTTP and on a real API server. A test module gets them by importing all of them beside its
own `world`. They look only at the namespace of their own world, for a real cluster is shared, and
never at what the world is made of.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

import pytest

from tests.following import Follower, Hurried, Object, following, until, until_watching
from watcher.cluster.api import API
from watcher.cluster.client import Item, cluster_uid, find_one
from watcher.cluster.discovery import discover
from watcher.cluster.kinds import matches
from watcher.cluster.phases import Listing
from watcher.objects.ref import APIResource

MAPS = APIResource("", "v1", "configmaps", "ConfigMap", True)
SECRETS = APIResource("", "v1", "secrets", "Secret", True)
EVENTS = APIResource("", "v1", "events", "Event", True)
NAMESPACES = APIResource("", "v1", "namespaces", "Namespace", False)
CLUSTER_ROLES = APIResource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False)
CRDS = APIResource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False
)

ODD_NAMES = [
    "system:node ä~ÄÖ",
    "Spaces And (brackets) [too]",
    "a=b,c\\d",
    "q?x=1&y=2#z+;'\"",
    "日本 \U0001f600",
    "n" * 3000,
]


class World(Protocol):
    """A cluster, the API that is tested, and what else happens to a cluster.

    The methods return once the thing has happened, and never give the event loop a turn: what is
    done in one go is done before any informer can react.
    """

    api: API  # may list and watch everything
    namespace: str  # of this world alone
    uid: str  # of the namespace kube-system

    def create(self, resource: APIResource, content: Object) -> Object:
        """In `metadata.namespace`; kind and apiVersion are those of the resource."""

    def merge(self, resource: APIResource, namespace: str, name: str, change: Object) -> Object:
        """JSON merge patch."""

    def delete(self, resource: APIResource, namespace: str, name: str) -> None: ...

    def delete_namespace(self) -> None:
        """With all that is in it, as the namespace controller does."""

    def cut(self) -> None:
        """Open watches (they have said something) break off in the middle of what they say next."""

    def forget_history(self) -> None:
        """etcd is compacted: Events from before can't be asked for any more."""

    def forbidden(self, resource: APIResource) -> AbstractContextManager[None]:
        """The right to list and watch the kind is taken away until the end of the context."""


def follow(
    world: World, resource: APIResource = MAPS, *, api: API | None = None, selector: str = ""
) -> AbstractAsyncContextManager[Follower]:
    """An informer; of namespaced kinds only our namespace is written down."""

    def ours(item: Item) -> bool:
        return not resource.namespaced or item["metadata"]["namespace"] == world.namespace

    return following(api or world.api, resource, selector=selector, follower=Follower(of=ours))


def a_map(world: World, name: str, value: str = "1", **labels: str) -> Object:
    metadata = {"name": name, "namespace": world.namespace, "labels": labels}
    return {"metadata": metadata, "data": {"value": value}}


def add(world: World, *names: str, **labels: str) -> None:
    for name in names:
        world.create(MAPS, a_map(world, name, **labels))


def set_value(world: World, name: str, value: str) -> Object:
    return world.merge(MAPS, world.namespace, name, {"data": {"value": value}})


def widgets(world: World) -> APIResource:
    """A custom kind of this world alone."""
    return APIResource(f"{world.namespace}.example.com", "v1", "widgets", "Widget", True)


def definition(resource: APIResource) -> Object:
    version = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        },
    }
    return {
        "metadata": {"name": resource.label},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": {"plural": resource.resource, "singular": "widget", "kind": resource.kind},
            "versions": [version],
        },
    }


# -- list and watch


async def test_a_list_shows_each_object_once_and_the_watch_each_change_in_order(
    world: World,
) -> None:
    add(world, "a", "b", "c")
    async with follow(world) as seen:
        await until_watching(seen)
        assert [item["metadata"]["name"] for item in seen.listed_items] == ["a", "b", "c"]
        assert seen.completed == [True]
        set_value(world, "a", "2")
        world.delete(MAPS, world.namespace, "b")
        add(world, "d")
        set_value(world, "a", "3")
        await until(lambda: len(seen.events) == 4)
    assert seen.told == [("MODIFIED", "a"), ("DELETED", "b"), ("ADDED", "d"), ("MODIFIED", "a")]
    assert [e.object["data"]["value"] for e in seen.events if e.type == "MODIFIED"] == ["2", "3"]
    assert (len(seen.listed_items), seen.restarts) == (3, [])


async def test_the_versions_of_changes_rise_and_a_deletion_has_its_own(world: World) -> None:
    add(world, "a")
    async with follow(world) as seen:
        await until_watching(seen)
        changed = set_value(world, "a", "2")
        world.delete(MAPS, world.namespace, "a")
        add(world, "b")
        await until(lambda: len(seen.events) == 3)
    versions = [int(event.object["metadata"]["resourceVersion"]) for event in seen.events]
    assert versions == sorted(set(versions))
    assert versions[0] == int(changed["metadata"]["resourceVersion"])
    assert seen.events[1].object["data"] == {"value": "2"}


async def test_a_list_of_many_pages_shows_each_object_once(world: World) -> None:
    names = [f"map-{number:04}" for number in range(520)]
    add(world, *names)
    async with follow(world) as seen:
        await until_watching(seen)
        set_value(world, "map-0007", "2")
        await until(lambda: seen.events)
    assert [item["metadata"]["name"] for item in seen.listed_items] == names
    assert (seen.begun, seen.completed, seen.restarts) == (1, [True], [])
    assert seen.phases[0] == Listing()


async def test_items_of_a_list_say_their_kind_only_where_it_is_a_custom_one(world: World) -> None:
    kind = widgets(world)
    world.create(CRDS, definition(kind))
    add(world, "a")
    async with follow(world) as maps, follow(world, kind) as seen:
        await until_watching(maps, seen)
        world.create(kind, {"metadata": {"name": "one", "namespace": world.namespace}})
        set_value(world, "a", "2")
        await until(lambda: maps.events and seen.events)
    async with follow(world, kind) as again:
        await until_watching(again)
    assert "kind" not in maps.listed_items[0]
    assert "apiVersion" not in maps.listed_items[0]
    for custom in (again.listed_items[0], seen.events[0].object):
        assert (custom["apiVersion"], custom["kind"]) == (kind.api_version, "Widget")
    assert (maps.events[0].object["apiVersion"], maps.events[0].object["kind"]) == (
        "v1",
        "ConfigMap",
    )


async def test_any_text_comes_as_it_was_stored(world: World) -> None:
    data = {"value": "ä\n\t\"\\ </script> & \u2028\u2029 \x00\x7f \U0001f600 },{'metadata':"}
    async with follow(world) as seen:
        await until_watching(seen)
        world.create(MAPS, {**a_map(world, "a"), "data": data})
        await until(lambda: seen.events)
    async with follow(world) as again:
        await until_watching(again)
    assert seen.events[0].object["data"] == data
    assert again.listed_items[0]["data"] == data


async def test_an_object_made_again_is_deleted_first_and_has_another_uid(world: World) -> None:
    add(world, "a")
    async with follow(world) as seen:
        await until_watching(seen)
        world.delete(MAPS, world.namespace, "a")
        add(world, "a")
        await until(lambda: len(seen.events) == 2)
    assert seen.told == [("DELETED", "a"), ("ADDED", "a")]
    uids = [event.object["metadata"]["uid"] for event in seen.events]
    assert uids[0] == seen.listed_items[0]["metadata"]["uid"]
    assert uids[0] != uids[1]


async def test_an_object_with_a_finalizer_is_modified_before_it_is_deleted(world: World) -> None:
    content = a_map(world, "a")
    content["metadata"]["finalizers"] = ["example.com/wait"]
    world.create(MAPS, content)
    async with follow(world) as seen:
        await until_watching(seen)
        world.delete(MAPS, world.namespace, "a")
        await until(lambda: seen.events)
        assert "deletionTimestamp" in seen.state[world.namespace, "a"]["metadata"]
        world.merge(MAPS, world.namespace, "a", {"metadata": {"finalizers": None}})
        await until(lambda: len(seen.events) == 2)
    assert seen.told == [("MODIFIED", "a"), ("DELETED", "a")]


async def test_deleting_a_namespace_deletes_each_object_and_then_itself(world: World) -> None:
    add(world, "a", "b")
    world.create(SECRETS, {"metadata": {"name": "s", "namespace": world.namespace}})
    async with (
        follow(world) as maps,
        follow(world, SECRETS) as secrets,
        follow(world, NAMESPACES) as namespaces,
    ):
        await until_watching(maps, secrets, namespaces)
        world.delete_namespace()
        await until(lambda: ("", world.namespace) not in namespaces.state)
        await until(lambda: not maps.state and not secrets.state)
    assert sorted(maps.told) == [("DELETED", "a"), ("DELETED", "b")]
    assert secrets.told == [("DELETED", "s")]
    told = [told for told in namespaces.told if told[1] == world.namespace]
    assert (told[0], told[-1]) == (("MODIFIED", world.namespace), ("DELETED", world.namespace))
    last = max(int(e.object["metadata"]["resourceVersion"]) for e in maps.events + secrets.events)
    assert int(namespaces.events[-1].object["metadata"]["resourceVersion"]) > last


async def test_an_object_that_leaves_the_selection_is_deleted_for_the_watch(world: World) -> None:
    label = {"team": world.namespace}
    add(world, "in", **label)
    add(world, "out")
    async with follow(world, selector=f"team={world.namespace}") as seen:
        await until_watching(seen)
        assert seen.names == {"in"}
        world.merge(MAPS, world.namespace, "in", {"metadata": {"labels": {"team": "other"}}})
        set_value(world, "in", "unseen")
        world.merge(MAPS, world.namespace, "out", {"metadata": {"labels": label}})
        world.merge(MAPS, world.namespace, "in", {"metadata": {"labels": label}})
        await until(lambda: len(seen.events) == 3)
    assert seen.told == [("DELETED", "in"), ("ADDED", "out"), ("ADDED", "in")]
    assert seen.events[0].object["metadata"]["labels"] == label


# -- watches that end


async def test_watches_that_end_in_order_lose_and_double_nothing(world: World) -> None:
    add(world, "a")
    async with follow(world, api=Hurried(world.api, 1)) as seen:
        await until_watching(seen)
        number = 0
        while len(seen.versions) < 3:
            number += 1
            set_value(world, "a", f"change-{number}")
            await asyncio.sleep(0.1)
        await until(lambda: len(seen.events) >= number)
    values = [event.object["data"]["value"] for event in seen.events]
    assert values == [f"change-{count}" for count in range(1, number + 1)]
    assert (seen.begun, set(seen.restarts)) == (1, {"ended"})


async def test_bookmarks_lead_past_changes_that_are_not_selected(world: World) -> None:
    async with follow(world, api=Hurried(world.api, 3), selector="team=none") as seen:
        await until_watching(seen)
        other = world.create(MAPS, a_map(world, "other"))
        version = int(other["metadata"]["resourceVersion"])
        assert int(seen.versions[-1]) < version
        await until(lambda: int(seen.versions[-1]) >= version)
    assert (seen.begun, seen.events) == (1, [])


async def test_a_watch_that_breaks_off_in_a_line_is_taken_up_before_it(world: World) -> None:
    add(world, "a")
    async with follow(world) as seen:
        await until_watching(seen)
        set_value(world, "a", "2")
        await until(lambda: seen.events)
        world.cut()
        set_value(world, "a", "3")
        add(world, "b")
        await until(lambda: "b" in seen.names)
    values = [event.object["data"]["value"] for event in seen.events]
    assert values == ["2", "3", "1"]
    assert (seen.begun, set(seen.restarts)) == (1, {"connection"})
    version = seen.events[0].object["metadata"]["resourceVersion"]
    assert seen.versions[1:] == [version]


async def test_history_forgotten_while_away_is_a_new_list_that_converges(world: World) -> None:
    def event(name: str) -> Object:
        about = {"kind": "Pod", "namespace": world.namespace, "name": "web"}
        metadata = {"name": name, "namespace": world.namespace}
        return {"metadata": metadata, "involvedObject": about, "reason": "Tested"}

    world.create(EVENTS, event("kept"))
    async with follow(world, EVENTS) as seen:
        await until_watching(seen)
        world.create(EVENTS, event("gone"))
        await until(lambda: seen.events)
        world.cut()
        world.create(EVENTS, event("seen-in-half"))
        world.create(EVENTS, event("unseen"))
        world.delete(EVENTS, world.namespace, "gone")
        world.forget_history()
        await until(lambda: len(seen.completed) == 2)
    assert seen.names == {"kept", "seen-in-half", "unseen"}
    assert seen.completed == [True, True]
    assert "expired" in seen.restarts


# -- kinds that come and go


async def test_a_kind_is_found_and_followed_once_its_definition_is_served(world: World) -> None:
    kind = widgets(world)
    async with follow(world, kind) as seen:
        await until(lambda: seen.rediscoveries)
        assert seen.restarts == ["not-found"]
        world.create(CRDS, definition(kind))
        await until_watching(seen)
        world.create(kind, {"metadata": {"name": "one", "namespace": world.namespace}})
        await until(lambda: seen.events)
    assert seen.told == [("ADDED", "one")]
    assert await served(world, kind)


async def test_a_kind_that_goes_deletes_each_object_and_is_not_found_any_more(
    world: World,
) -> None:
    kind = widgets(world)
    world.create(CRDS, definition(kind))
    async with follow(world, kind) as seen:
        await until_watching(seen)
        for name in ("one", "two"):
            world.create(kind, {"metadata": {"name": name, "namespace": world.namespace}})
        await until(lambda: len(seen.events) == 2)
        rung = seen.rediscoveries
        world.delete(CRDS, "", kind.label)
        await until(lambda: seen.rediscoveries > rung)
    assert sorted(seen.told[2:]) == [("DELETED", "one"), ("DELETED", "two")]
    assert (seen.state, seen.completed) == ({}, [True])
    async with asyncio.timeout(30):
        while await served(world, kind):
            await asyncio.sleep(0.1)


async def served(world: World, kind: APIResource) -> bool:
    found = (await discover(world.api)).resources
    return any((r.label, r.version, r.kind) == (kind.label, kind.version, kind.kind) for r in found)


# -- rights


async def test_a_right_taken_away_stops_lists_and_not_the_watches_that_are_open(
    world: World,
) -> None:
    add(world, "a")
    async with follow(world) as before:
        await until_watching(before)
        with world.forbidden(MAPS):
            async with follow(world) as refused:
                await until(lambda: refused.pauses)
            set_value(world, "a", "2")
            await until(lambda: before.events)
        async with follow(world) as after:
            await until_watching(after)
    assert refused.restarts == ["forbidden"]
    assert refused.pauses[0].seconds >= 120
    assert (refused.completed, refused.listed_items) == ([], [])
    assert before.told == [("MODIFIED", "a")]
    assert after.names == {"a"}


# -- single questions


async def test_one_object_is_found_by_its_name_and_none_by_another(world: World) -> None:
    add(world, "a", "ab")
    found = await find_one(world.api, MAPS, world.namespace, "a")
    assert found is not None
    assert found["metadata"]["name"] == "a"
    assert await find_one(world.api, MAPS, world.namespace, "b") is None
    assert await find_one(world.api, MAPS, "no-such-namespace", "a") is None
    assert (await find_one(world.api, NAMESPACES, "", world.namespace) or {})["metadata"]["uid"]


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: name[:10].encode().hex())
async def test_objects_of_any_name_are_listed_followed_and_found(world: World, name: str) -> None:
    name = f"{world.namespace} {name}"
    world.create(CLUSTER_ROLES, {"metadata": {"name": name}, "rules": []})
    async with follow(world, CLUSTER_ROLES) as seen:
        await until_watching(seen)
        assert name in seen.names
        found = await find_one(world.api, CLUSTER_ROLES, "", name)
        assert found is not None
        assert found["metadata"]["name"] == name
        world.delete(CLUSTER_ROLES, "", name)
        await until(lambda: seen.events)
    assert seen.told == [("DELETED", name)]
    assert await find_one(world.api, CLUSTER_ROLES, "", name) is None


async def test_a_cluster_is_told_by_the_uid_of_its_namespace_kube_system(world: World) -> None:
    assert await cluster_uid(world.api) == world.uid


# -- discovery

WELL_KNOWN = {  # label -> kind, preferred version, namespaced, kubectl's other words for it
    "configmaps": ("ConfigMap", "v1", True, ("cm", "configmap")),
    "namespaces": ("Namespace", "v1", False, ("ns", "namespace")),
    "pods": ("Pod", "v1", True, ("po", "pod", "Pod")),
    "persistentvolumes": ("PersistentVolume", "v1", False, ("pv",)),
    "secrets": ("Secret", "v1", True, ("secret",)),
    "services": ("Service", "v1", True, ("svc", "service")),
    "apiservices.apiregistration.k8s.io": ("APIService", "v1", False, ("apiservice",)),
    "customresourcedefinitions.apiextensions.k8s.io": (
        "CustomResourceDefinition",
        "v1",
        False,
        ("crd", "crds"),
    ),
    "deployments.apps": ("Deployment", "v1", True, ("deploy", "deployment.apps")),
    "events.events.k8s.io": ("Event", "v1", True, ("ev",)),
    "horizontalpodautoscalers.autoscaling": (
        "HorizontalPodAutoscaler",
        "v2",
        True,
        ("hpa", "hpa.v2.autoscaling"),
    ),
    "ingresses.networking.k8s.io": ("Ingress", "v1", True, ("ing",)),
    "poddisruptionbudgets.policy": ("PodDisruptionBudget", "v1", True, ("pdb",)),
    "clusterroles.rbac.authorization.k8s.io": ("ClusterRole", "v1", False, ("clusterrole",)),
    "storageclasses.storage.k8s.io": ("StorageClass", "v1", False, ("sc",)),
    "leases.coordination.k8s.io": ("Lease", "v1", True, ("lease",)),
}


async def test_discovery_names_the_well_known_kinds(world: World) -> None:
    found = {r.label: r for r in (await discover(world.api)).resources}
    for label, (kind, version, namespaced, words) in WELL_KNOWN.items():
        resource = found[label]
        assert (resource.kind, resource.version, resource.namespaced) == (kind, version, namespaced)
        assert {"list", "watch"} <= resource.verbs
        for word in words:
            assert matches(word, resource), (word, resource)


async def test_discovery_names_each_object_once_and_nothing_that_cannot_be_asked_for(
    world: World,
) -> None:
    discovery = await discover(world.api)
    labels = [resource.label for resource in discovery.resources]
    assert len(labels) == len(set(labels))
    assert "events" not in labels
    assert not any("/" in label for label in labels)
    assert discovery.stale == frozenset()
    unwatchable = {r.label for r in discovery.resources if "list" in r.verbs} - {
        r.label for r in discovery.resources if "watch" in r.verbs
    }
    assert unwatchable == {"componentstatuses"}


async def test_discovery_that_did_not_change_is_not_decoded_again(world: World) -> None:
    first = await discover(world.api)
    assert all(first.etags)
    assert await discover(world.api, first) is first
