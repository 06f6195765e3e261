"""Discovery: every kind once, and never a kind gone because a document was."""

from typing import Any

import pytest

from bench.bulk import custom_definition
from bench.cluster import CRDS, Cluster
from bench.memory_api import MemoryAPI, loop_clock
from tests.unit.cluster.scripted import Reply, Script, json_reply
from watcher.cluster.discovery import Discovery, aggregated_groups, custom_kinds, discover
from watcher.errors import ClusterError, ClusterUnreachableError, StatusError

pytestmark = pytest.mark.looptime

EMPTY = json_reply({"kind": "APIGroupDiscoveryList", "items": []}, ETag='"core"')


def labels(discovery: Discovery) -> set[str]:
    return {resource.label for resource in discovery.resources}


def a_resource(plural: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "resource": plural,
        "responseKind": {"group": "", "version": "", "kind": kind},
        "scope": "Namespaced",
        "verbs": ["list", "watch"],
        **more,
    }


def aggregated(*groups: tuple[str, dict[str, list[dict[str, Any]]]]) -> Script:
    """An API server that serves these groups: (name, {version: resources})."""
    found = [
        {
            "metadata": {"name": name},
            "versions": [{"version": v, "resources": r} for v, r in versions.items()],
        }
        for name, versions in groups
    ]
    document = json_reply({"kind": "APIGroupDiscoveryList", "items": found}, ETag='"apis"')
    return Script({"/api": [EMPTY], "/apis": [document]})


# -- over the model


async def test_both_kinds_of_documents_give_the_same_kinds() -> None:
    cluster = Cluster(loop_clock())
    cluster.create(custom_definition(0, versions=("v1", "v2beta1", "v2")))
    new = await discover(MemoryAPI(cluster))
    cluster.aggregated_discovery = False
    old = await discover(MemoryAPI(cluster))
    assert set(new.resources) == set(old.resources)
    assert old.etags == ("", "")
    assert {r.version for r in new.resources if r.resource == "widget0s"} == {"v2"}


async def test_a_document_that_did_not_change_costs_two_requests_and_no_decoding() -> None:
    cluster = Cluster(loop_clock())
    first = await discover(MemoryAPI(cluster))
    before = cluster.requests.total()
    assert await discover(MemoryAPI(cluster), first) is first
    assert cluster.requests.total() == before + 2


async def test_a_change_in_one_document_keeps_the_kinds_of_the_other() -> None:
    cluster = Cluster(loop_clock())
    first = await discover(MemoryAPI(cluster))
    cluster.create(custom_definition(0))
    second = await discover(MemoryAPI(cluster), first)
    assert labels(second) - labels(first) == {"widget0s.bench.example.com"}
    assert labels(first) < labels(second)
    cluster.delete(CRDS, "", "widget0s.bench.example.com")
    assert labels(await discover(MemoryAPI(cluster), second)) == labels(first)


@pytest.mark.parametrize("is_aggregated", [True, False])
async def test_a_stale_group_says_nothing_about_its_kinds(is_aggregated: bool) -> None:
    cluster = Cluster(loop_clock())
    cluster.aggregated_discovery = is_aggregated
    cluster.faults.stale_group("apps")
    discovery = await discover(MemoryAPI(cluster))
    assert discovery.stale == {"apps"}
    assert not discovery.can_tell_about("apps")
    assert discovery.can_tell_about("batch")
    assert "deployments.apps" not in labels(discovery)
    assert {"pods", "jobs.batch"} <= labels(discovery)


async def test_an_api_server_that_is_away_is_no_cluster_without_kinds() -> None:
    cluster = Cluster(loop_clock())
    cluster.faults.stop()
    with pytest.raises(ClusterUnreachableError):
        await discover(MemoryAPI(cluster))
    cluster.faults.start()
    cluster.faults.unavailable(1)
    with pytest.raises(StatusError):
        await discover(MemoryAPI(cluster))


# -- whose kind it is


async def test_objects_that_two_groups_serve_come_once_from_the_group_they_are_stored_under() -> (
    None
):
    for order in (1, -1):
        groups = [
            ("extensions", {"v1beta1": [a_resource("ingresses", "Ingress")]}),
            ("networking.k8s.io", {"v1": [a_resource("ingresses", "Ingress")]}),
        ][::order]
        (found,) = (await discover(aggregated(*groups))).resources
        assert (found.group, found.version) == ("networking.k8s.io", "v1")


async def test_an_alias_alone_is_taken_as_it_is() -> None:
    script = aggregated(("extensions", {"v1beta1": [a_resource("ingresses", "Ingress")]}))
    (found,) = (await discover(script)).resources
    assert found.group == "extensions"


async def test_the_same_word_in_another_group_is_another_kind() -> None:
    script = aggregated(
        ("apps", {"v1": [a_resource("deployments", "Deployment")]}),
        ("example.com", {"v1": [a_resource("deployments", "Deployment")]}),
    )
    assert labels(await discover(script)) == {"deployments.apps", "deployments.example.com"}


async def test_the_first_version_that_has_a_kind_is_the_preferred_one() -> None:
    script = aggregated(
        (
            "example.com",
            {
                "v2": [a_resource("gadgets", "Gadget")],
                "v1": [a_resource("gadgets", "Gadget"), a_resource("widgets", "Widget")],
            },
        )
    )
    found = {r.resource: r.version for r in (await discover(script)).resources}
    assert found == {"gadgets": "v2", "widgets": "v1"}


async def test_old_servers_name_their_preferred_version() -> None:
    versions = [{"groupVersion": f"example.com/{v}", "version": v} for v in ("v1", "v2")]
    group = {"name": "example.com", "versions": versions, "preferredVersion": versions[1]}
    resource = {"name": "gadgets", "kind": "Gadget", "namespaced": True, "verbs": ["list"]}
    below = {"name": "gadgets/status", "kind": "Gadget", "namespaced": True, "verbs": ["get"]}
    script = Script(
        {
            "/api": [json_reply({"kind": "APIVersions", "versions": []})],
            "/apis": [json_reply({"kind": "APIGroupList", "groups": [group]})],
            "/apis/example.com/v1": [json_reply({"resources": [resource, below]})],
            "/apis/example.com/v2": [json_reply({"resources": [resource, below]})],
        }
    )
    (found,) = (await discover(script)).resources
    assert (found.label, found.version, found.namespaced) == ("gadgets.example.com", "v2", True)


# -- garbage


@pytest.mark.parametrize("path", ["/api", "/apis"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"7",
        b"{}",
        b'{"kind":"APIGroupDiscoveryList","items":[{"versions":[{"resources":[{}]}]}]}',
        b'{"kind":"APIGroupDiscoveryList","items":7}',
        b'{"kind":"APIGroupDiscoveryList","items":["x"]}',
        b'{"kind":"APIGroupList","groups":[{}]}',
        b'{"kind":"Status","status":"Failure"}',
    ],
)
async def test_garbage_is_an_error_and_no_cluster_without_kinds(path: str, body: bytes) -> None:
    script = aggregated()
    script.replies[path] = [Reply(200, [body])]
    with pytest.raises(ClusterError, match="discovery document"):
        await discover(script)


async def test_garbage_about_one_group_of_an_old_server_makes_it_stale() -> None:
    version = {"groupVersion": "example.com/v1", "version": "v1"}
    for body in (b"<html>", b"[]", b'{"resources":7}', b'{"resources":[{}]}'):
        script = Script(
            {
                "/api": [json_reply({"kind": "APIVersions", "versions": []})],
                "/apis": [
                    json_reply(
                        {
                            "kind": "APIGroupList",
                            "groups": [{"name": "example.com", "versions": [version]}],
                        }
                    )
                ],
                "/apis/example.com/v1": [Reply(200, [body])],
            }
        )
        assert (await discover(script)).stale == {"example.com"}


# -- who answers for a group


async def test_groups_of_other_servers_are_told_by_their_apiservices() -> None:
    services = {
        "metadata": {},
        "items": [
            {"metadata": {"name": "v1.apps"}, "spec": {"group": "apps", "version": "v1"}},
            {
                "metadata": {"name": "v1.metrics.k8s.io"},
                "spec": {"group": "metrics.k8s.io", "service": {"name": "metrics-server"}},
            },
        ],
    }
    path = "/apis/apiregistration.k8s.io/v1/apiservices"
    assert await aggregated_groups(Script({path: [json_reply(services)]})) == {"metrics.k8s.io"}
    with pytest.raises(ClusterError):
        await aggregated_groups(Script({path: [json_reply({"metadata": {}, "items": [{}]})]}))


async def test_kinds_that_crds_define_are_read_page_by_page() -> None:
    def page(name: str, kind: str, token: str) -> dict[str, object]:
        spec = {"group": "example.com", "names": {"kind": kind}}
        item = {"metadata": {"name": f"{name}.example.com"}, "spec": spec}
        return {"metadata": {"continue": token}, "items": [item]}

    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    pages = [json_reply(page("widgets", "Widget", "more")), json_reply(page("a", "A", ""))]
    assert await custom_kinds(Script({path: pages})) == {
        "widgets.example.com": ("example.com", "Widget"),
        "a.example.com": ("example.com", "A"),
    }
