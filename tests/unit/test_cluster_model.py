"""The cluster model behaves as the real API server was seen to (REAL_PARTS.md, facts checked).

Everything runs over the in-memory front in virtual time; the last part holds the HTTP front to the
same bytes.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any, NamedTuple

import aiohttp
import orjson
import pytest
from yarl import URL

from bench.bulk import custom_definition, fill
from bench.cluster import CRDS, Cluster, Object
from bench.discovery import AGGREGATED
from bench.faults import Failure
from bench.load import beat, edit
from bench.memory_api import EPOCH, MemoryAPI, loop_clock
from bench.population import settle
from bench.server import serve
from watcher.errors import ClusterUnreachableError

pytestmark = pytest.mark.looptime

WIDGETS = "widget0s.bench.example.com"
WIDGETS_PATH = "/apis/bench.example.com/v1/widget0s"
MAPS = "/api/v1/configmaps"
ACCEPT = {"Accept": f"{AGGREGATED},application/json"}


class Got(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.json["items"]]

    @property
    def version(self) -> str:
        return str(self.json["metadata"]["resourceVersion"])

    @property
    def next(self) -> str:
        return str(self.json["metadata"].get("continue", ""))

    @property
    def events(self) -> list[tuple[str, str]]:
        """(type, name) of a watch's lines; bookmarks have the resourceVersion for a name."""
        lines = [orjson.loads(line) for line in self.body.splitlines()]
        return [
            (line["type"], meta.get("name") or meta.get("resourceVersion", ""))
            for line in lines
            for meta in [line["object"]["metadata"]]
        ]


async def get(
    cluster: Cluster, path: str, headers: Mapping[str, str] | None = None, **query: Any
) -> Got:
    """The whole answer; a `continue_` in the query is `continue`."""
    named = {key.rstrip("_"): str(value) for key, value in query.items()}
    async with MemoryAPI(cluster).get(path, named, headers) as response:
        body = b"".join([chunk async for chunk in response.chunks()])
        return Got(response.status, response.headers, body)


@asynccontextmanager
async def watching(
    cluster: Cluster, path: str = MAPS, **query: Any
) -> AsyncIterator["asyncio.Task[Got]"]:
    """A watch from now on that is open; its task has the answer once it has ended."""
    query = {"resourceVersion": cluster.version, "timeoutSeconds": 30, **query}
    task = asyncio.create_task(get(cluster, path, watch=1, **query))
    open_before = len(cluster.faults.watches)
    while len(cluster.faults.watches) == open_before and not task.done():
        await asyncio.sleep(0)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def a_cluster(*names: str) -> Cluster:
    """With a namespace `shop` and ConfigMaps of these names in it."""
    cluster = Cluster(loop_clock())
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    for name in names:
        cluster.create(a_map(name))
    return cluster


def a_map(name: str, **labels: str) -> Object:
    metadata = {"name": name, "namespace": "shop", "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}


def a_widget(name: str) -> Object:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "bench.example.com/v1", "kind": "Widget0", "metadata": metadata}


def set_data(value: str) -> Any:
    return lambda content: content["data"].update(a=value)


# -- objects


async def test_what_is_handed_out_cannot_alter_the_truth() -> None:
    cluster = a_cluster()
    given = a_map("one")
    stored = cluster.create(given)
    given["data"]["a"] = stored["data"]["a"] = "altered"
    cluster.get("configmaps", "shop", "one")["data"]["a"] = "altered"
    next(cluster.objects("configmaps"))["data"]["a"] = "altered"
    assert cluster.get("configmaps", "shop", "one")["data"] == {"a": "1"}


async def test_every_change_has_a_resource_version_of_its_own() -> None:
    cluster = a_cluster("one")
    before = cluster.version
    cluster.edit("configmaps", "shop", "one", set_data("2"))
    cluster.delete("configmaps", "shop", "one")
    assert cluster.version == before + 2


async def test_an_update_that_changes_nothing_is_not_a_change() -> None:
    cluster = a_cluster("one")
    before = cluster.version
    cluster.edit("configmaps", "shop", "one", set_data("1"))
    assert cluster.version == before


async def test_an_update_of_an_older_state_is_a_conflict() -> None:
    cluster = a_cluster("one")
    old = cluster.get("configmaps", "shop", "one")
    cluster.edit("configmaps", "shop", "one", set_data("2"))
    with pytest.raises(Failure, match="has been modified") as failure:
        cluster.update(old)
    assert failure.value.status == 409


async def test_an_object_made_again_has_another_uid() -> None:
    cluster = a_cluster("one")
    old = cluster.delete("configmaps", "shop", "one")
    assert cluster.create(a_map("one"))["metadata"]["uid"] != old["metadata"]["uid"]


async def test_managed_fields_name_who_set_what_and_status_apart() -> None:
    cluster = a_cluster("one")
    cluster.edit("configmaps", "shop", "one", lambda c: c.update(status={"x": 1}), manager="robot")
    entries = cluster.get("configmaps", "shop", "one")["metadata"]["managedFields"]
    assert [(e["manager"], e.get("subresource", "")) for e in entries] == [
        ("kubectl-create", ""),
        ("robot", "status"),
    ]
    assert "f:a" in entries[0]["fieldsV1"]["f:data"]


async def test_an_object_with_finalizers_is_marked_and_goes_with_the_last_of_them() -> None:
    cluster = a_cluster()
    content = a_map("one")
    content["metadata"]["finalizers"] = ["example.com/wait"]
    cluster.create(content)
    async with watching(cluster, timeoutSeconds=1) as watch:
        cluster.delete("configmaps", "shop", "one")
        assert "deletionTimestamp" in cluster.get("configmaps", "shop", "one")["metadata"]
        cluster.edit("configmaps", "shop", "one", lambda c: c["metadata"].pop("finalizers"))
        assert (await watch).events == [("MODIFIED", "one"), ("DELETED", "one")]


async def test_deleting_a_namespace_deletes_what_is_in_it_then_itself() -> None:
    cluster = a_cluster("one", "two")
    async with watching(cluster) as maps, watching(cluster, "/api/v1/namespaces") as namespaces:
        cluster.delete("namespaces", "", "shop")
        assert (await maps).events == [("DELETED", "one"), ("DELETED", "two")]
        assert (await namespaces).events == [("MODIFIED", "shop"), ("DELETED", "shop")]


async def test_a_namespace_hangs_in_its_deletion_while_a_group_is_stale() -> None:
    cluster = a_cluster("one")
    cluster.faults.stale_group("apps")
    cluster.delete("namespaces", "", "shop")
    assert cluster.get("namespaces", "", "shop")["status"] == {"phase": "Terminating"}
    cluster.heal()
    with pytest.raises(Failure, match="not found"):
        cluster.get("namespaces", "", "shop")


# -- lists


async def test_list_items_of_built_in_kinds_lack_kind_and_api_version() -> None:
    cluster = a_cluster("one")
    answer = await get(cluster, MAPS)
    assert list(answer.json) == ["kind", "apiVersion", "metadata", "items"]
    assert answer.json["kind"] == "ConfigMapList"
    assert set(answer.json["items"][0]) == {"metadata", "data"}


async def test_list_items_of_custom_kinds_have_them_and_come_before_the_metadata() -> None:
    cluster = a_cluster()
    cluster.create(custom_definition(0))
    cluster.create(a_widget("one"))
    await asyncio.sleep(cluster.custom_kind_lag)
    answer = await get(cluster, WIDGETS_PATH)
    assert list(answer.json) == ["apiVersion", "items", "kind", "metadata"]
    assert answer.json["items"][0]["kind"] == "Widget0"


async def test_all_pages_show_the_state_of_the_first_whatever_happens_meanwhile() -> None:
    cluster = a_cluster("b", "d", "f", "h")
    first = await get(cluster, MAPS, limit=1)
    cluster.delete("configmaps", "shop", "d")
    cluster.edit("configmaps", "shop", "f", set_data("2"))
    cluster.create(a_map("g"))
    rest = await get(cluster, MAPS, limit=10, continue_=first.next)
    assert (first.names, rest.names) == (["b"], ["d", "f", "h"])
    assert rest.json["items"][1]["data"] == {"a": "1"}
    assert rest.version == first.version
    assert not rest.next


async def test_a_page_says_how_many_are_left() -> None:
    cluster = a_cluster("a", "b", "c")
    assert (await get(cluster, MAPS, limit=1)).json["metadata"]["remainingItemCount"] == 2


async def test_resource_version_zero_is_not_paged() -> None:
    cluster = a_cluster("a", "b", "c")
    assert (await get(cluster, MAPS, limit=1, resourceVersion=0)).names == ["a", "b", "c"]


async def test_a_namespace_whose_name_begins_like_another_is_another() -> None:
    cluster = a_cluster("one")
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop-2"}})
    other = a_map("two")
    other["metadata"]["namespace"] = "shop-2"
    cluster.create(other)
    assert (await get(cluster, "/api/v1/namespaces/shop/configmaps")).names == ["one"]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=web", ["a"]),
        ("app==web,tier=front", ["a"]),
        ("app!=web", ["b", "c"]),
        ("app in (web, db)", ["a", "b"]),
        ("app notin (web,db)", ["c"]),
        ("tier", ["a"]),
        ("!tier", ["b", "c"]),
    ],
)
async def test_label_selectors(selector: str, names: list[str]) -> None:
    cluster = a_cluster()
    for content in (a_map("a", app="web", tier="front"), a_map("b", app="db"), a_map("c")):
        cluster.create(content)
    assert (await get(cluster, MAPS, labelSelector=selector)).names == names


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("metadata.name=b", ["b"]),
        ("metadata.name!=b", ["a", "c"]),
        ("metadata.name=b,metadata.namespace=default", []),
    ],
)
async def test_field_selectors(selector: str, names: list[str]) -> None:
    cluster = a_cluster("a", "b", "c")
    assert (await get(cluster, MAPS, fieldSelector=selector)).names == names


@pytest.mark.parametrize(
    "query",
    [{"labelSelector": "a in b"}, {"fieldSelector": "spec.x=1"}, {"continue_": "nonsense"}],
)
async def test_what_cannot_be_read_is_400(query: dict[str, Any]) -> None:
    answer = await get(a_cluster(), MAPS, **query)
    assert (answer.status, answer.json["reason"]) == (400, "BadRequest")


async def test_a_list_from_the_future_is_504_with_its_cause() -> None:
    answer = await get(a_cluster(), MAPS, resourceVersion=999_999)
    assert (answer.status, answer.headers["retry-after"]) == (504, "1")
    assert answer.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_a_kind_that_is_not_served_is_404_as_text() -> None:
    answer = await get(a_cluster(), WIDGETS_PATH)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")


# -- watches


async def test_a_watch_says_what_has_happened_since_its_resource_version() -> None:
    cluster = a_cluster("one")
    since = cluster.version
    cluster.create(a_map("two"))
    async with watching(cluster, resourceVersion=since) as watch:
        cluster.edit("configmaps", "shop", "one", set_data("2"))
        await asyncio.sleep(1)
        cluster.delete("configmaps", "shop", "one")
        answer = await watch
    assert answer.events == [("ADDED", "two"), ("MODIFIED", "one"), ("DELETED", "one")]
    last = orjson.loads(answer.body.splitlines()[-1])["object"]
    assert (last["kind"], last["apiVersion"]) == ("ConfigMap", "v1")
    assert last["metadata"]["resourceVersion"] == str(cluster.version)


async def test_a_watch_without_a_resource_version_begins_with_what_is_there() -> None:
    cluster = a_cluster("one", "two")
    async with watching(cluster, resourceVersion="") as watch:
        assert (await watch).events == [("ADDED", "one"), ("ADDED", "two")]


async def test_an_object_that_leaves_the_selection_is_deleted_for_the_watch() -> None:
    cluster = a_cluster()
    cluster.create(a_map("one", app="web"))
    async with watching(cluster, labelSelector="app=web") as watch:
        cluster.edit("configmaps", "shop", "one", lambda c: c["metadata"].update(labels={}))
        cluster.edit("configmaps", "shop", "one", set_data("2"))
        cluster.edit(
            "configmaps", "shop", "one", lambda c: c["metadata"].update(labels={"app": "web"})
        )
        assert (await watch).events == [("DELETED", "one"), ("ADDED", "one")]


async def test_a_watch_ends_cleanly_after_its_timeout(looptime: float) -> None:
    cluster = a_cluster()
    answer = await get(cluster, MAPS, watch=1, resourceVersion=cluster.version, timeoutSeconds=300)
    assert answer.body == b""
    assert looptime == 300


async def test_bookmarks_come_each_minute_and_shortly_before_the_end() -> None:
    cluster = a_cluster()
    async with watching(cluster, timeoutSeconds=150, allowWatchBookmarks="true") as watch:
        await asyncio.sleep(90)
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
        answer = await watch
    version = cluster.version
    assert answer.events == [
        ("BOOKMARK", str(version - 1)),
        ("BOOKMARK", str(version)),
        ("BOOKMARK", str(version)),
    ]


async def test_events_have_no_bookmarks() -> None:
    cluster = a_cluster()
    async with watching(cluster, "/api/v1/events", allowWatchBookmarks="true") as watch:
        assert (await watch).body == b""


async def test_a_watch_from_the_future_is_silent_and_ends_cleanly() -> None:
    cluster = a_cluster()
    ahead = cluster.version + 100
    async with watching(cluster, resourceVersion=ahead, allowWatchBookmarks="true") as watch:
        cluster.create(a_map("one"))
        assert (await watch).body == b""


async def test_a_watch_whose_reader_leaves_is_closed() -> None:
    cluster = a_cluster()
    async with watching(cluster):
        assert len(cluster.faults.watches) == 1
    assert not cluster.faults.watches


# -- kinds that come and go


async def test_a_new_crd_is_discovered_before_its_objects_are_served() -> None:
    cluster = a_cluster()
    cluster.create(custom_definition(0))
    assert WIDGETS in [kind.label for kind in cluster.kinds()]
    assert (await get(cluster, WIDGETS_PATH)).status == 404
    await asyncio.sleep(cluster.custom_kind_lag)
    assert (await get(cluster, WIDGETS_PATH)).status == 200


async def test_deleting_a_crd_deletes_its_objects_then_itself_and_ends_its_watches() -> None:
    cluster = a_cluster()
    cluster.create(custom_definition(0))
    cluster.create(a_widget("one"))
    await asyncio.sleep(cluster.custom_kind_lag)
    async with watching(cluster, WIDGETS_PATH, timeoutSeconds=3000) as watch:
        cluster.delete(CRDS, "", WIDGETS)
        assert (await watch).events == [("DELETED", "one")]
    assert (await get(cluster, WIDGETS_PATH)).status == 404
    with pytest.raises(Failure):
        cluster.get("apiservices.apiregistration.k8s.io", "", "v1.bench.example.com")


async def test_a_newer_version_of_a_crd_becomes_the_preferred_one() -> None:
    cluster = a_cluster()
    cluster.create(custom_definition(0))
    cluster.create(a_widget("one"))
    await asyncio.sleep(cluster.custom_kind_lag)
    newer = custom_definition(0, versions=("v1", "v2beta1", "v2"))["spec"]
    cluster.edit(CRDS, "", WIDGETS, lambda c: c.update(spec=newer))
    assert cluster.kind(WIDGETS).versions == ("v2", "v1", "v2beta1")
    answer = await get(cluster, "/apis/bench.example.com/v2/widget0s")
    assert answer.json["items"][0]["apiVersion"] == "bench.example.com/v2"


# -- discovery


async def test_the_aggregated_document_has_an_etag_that_saves_the_second_answer() -> None:
    cluster = a_cluster()
    first = await get(cluster, "/apis", ACCEPT)
    assert first.headers["content-type"] == AGGREGATED
    again = await get(cluster, "/apis", ACCEPT | {"if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    cluster.create(custom_definition(0))
    changed = await get(cluster, "/apis", ACCEPT | {"if-none-match": first.headers["etag"]})
    assert changed.status == 200


async def test_a_stale_group_has_no_resources_and_its_own_documents_are_503() -> None:
    cluster = a_cluster()
    cluster.faults.stale_group("apps")
    document = (await get(cluster, "/apis", ACCEPT)).json
    [apps] = [item for item in document["items"] if item["metadata"]["name"] == "apps"]
    assert apps["versions"] == [{"version": "v1", "freshness": "Stale"}]
    for path in ("/apis/apps/v1", "/apis/apps/v1/deployments"):
        answer = await get(cluster, path)
        assert (answer.status, answer.body) == (503, b"service unavailable\n")


async def test_both_kinds_of_discovery_name_the_same_resources() -> None:
    cluster = a_cluster()
    cluster.create(custom_definition(0))
    found = {
        (item["metadata"]["name"], version["version"], resource["resource"])
        for item in (await get(cluster, "/apis", ACCEPT)).json["items"]
        for version in item["versions"]
        for resource in version["resources"]
    }
    cluster.aggregated_discovery = False
    legacy = {
        (group["name"], version["version"], resource["name"])
        for group in (await get(cluster, "/apis", ACCEPT)).json["groups"]
        for version in group["versions"]
        for resource in (await get(cluster, f"/apis/{version['groupVersion']}")).json["resources"]
        if "/" not in resource["name"]
    }
    assert found == legacy


# -- faults


async def test_after_compaction_a_watch_from_before_is_told_so_in_its_stream() -> None:
    cluster = a_cluster()
    old = cluster.version
    cluster.create(a_map("one"))
    async with watching(cluster) as open_watch:
        cluster.compact()
        answer = await get(cluster, MAPS, watch=1, resourceVersion=old)
        line = orjson.loads(answer.body)
        assert (answer.status, line["type"], line["object"]["code"]) == (200, "ERROR", 410)
        cluster.create(a_map("two"))
        assert (await open_watch).events == [("ADDED", "two")]


@pytest.mark.parametrize("how", ["compaction", "fault"])
async def test_an_expired_token_comes_with_one_for_an_inconsistent_rest(how: str) -> None:
    cluster = a_cluster("a", "b")
    first = await get(cluster, MAPS, limit=1)
    cluster.create(a_map("c"))
    if how == "compaction":
        cluster.compact()
    else:
        cluster.faults.expire_tokens()
    expired = await get(cluster, MAPS, limit=9, continue_=first.next)
    assert (expired.status, expired.json["reason"]) == (410, "Expired")
    rest = await get(cluster, MAPS, limit=9, continue_=expired.next)
    assert (rest.names, rest.version) == (["b", "c"], str(cluster.version))


async def test_a_history_that_was_not_kept_is_too_old() -> None:
    cluster = Cluster(loop_clock(), window=2)
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    old = cluster.version
    for number in range(4):
        cluster.create(a_map(f"map-{number}"))
    assert b'"code":410' in (await get(cluster, MAPS, watch=1, resourceVersion=old)).body


async def test_dropped_watches_break_off() -> None:
    cluster = a_cluster()
    async with watching(cluster) as watch:
        cluster.faults.drop_watches()
        with pytest.raises(ClusterUnreachableError):
            await watch


async def test_a_watch_can_be_cut_in_the_middle_of_a_line() -> None:
    cluster = a_cluster()
    received = b""

    async def read() -> None:
        nonlocal received
        query = {"watch": "1", "resourceVersion": str(cluster.version)}
        async with MemoryAPI(cluster).get(MAPS, query) as response:
            async for chunk in response.chunks():
                received += chunk

    reading = asyncio.create_task(read())
    await asyncio.sleep(1)
    cluster.faults.cut_mid_line()
    cluster.create(a_map("one"))
    with pytest.raises(ClusterUnreachableError):
        await reading
    assert received.startswith(b'{"type":"ADDED"')
    assert b"\n" not in received


async def test_a_silenced_watch_says_nothing_and_never_ends_until_it_is_dropped() -> None:
    cluster = a_cluster()
    async with watching(cluster, allowWatchBookmarks="true") as watch:
        cluster.faults.silence_watches()
        cluster.create(a_map("one"))
        await asyncio.sleep(10_000)
        assert not watch.done()
        cluster.faults.drop_watches()
        with pytest.raises(ClusterUnreachableError):
            await watch


async def test_a_cut_list_breaks_off_in_its_last_page() -> None:
    cluster = a_cluster("a", "b")
    cluster.faults.cut_lists()
    first = await get(cluster, MAPS, limit=1)
    with pytest.raises(ClusterUnreachableError):
        await get(cluster, MAPS, limit=1, continue_=first.next)
    assert (await get(cluster, MAPS)).names == ["a", "b"]


async def test_an_emptied_list_succeeds_until_the_cluster_is_healed() -> None:
    cluster = a_cluster("a")
    cluster.faults.empty_list("configmaps")
    assert (await get(cluster, MAPS)).names == []
    cluster.heal()
    assert (await get(cluster, MAPS)).names == ["a"]


async def test_a_forbidden_kind_is_403_while_its_open_watches_go_on() -> None:
    cluster = a_cluster()
    async with watching(cluster) as watch:
        cluster.faults.forbid("configmaps")
        cluster.create(a_map("one"))
        answer = await get(cluster, MAPS)
        assert (answer.status, answer.json["kind"]) == (403, "Status")
        assert (await watch).events == [("ADDED", "one")]
    cluster.faults.allow("configmaps")
    assert (await get(cluster, MAPS)).status == 200


async def test_refusals_are_used_up() -> None:
    cluster = a_cluster()
    cluster.faults.throttle(1, retry_after=7)
    cluster.faults.unavailable(1, label="configmaps")
    cluster.faults.unauthorized(1)
    throttled = await get(cluster, "/api/v1/secrets")
    assert (throttled.status, throttled.headers["Retry-After"]) == (429, "7")
    assert [(await get(cluster, MAPS)).status for _ in range(3)] == [503, 401, 200]


async def test_a_request_may_never_be_answered() -> None:
    cluster = a_cluster()
    cluster.faults.no_answer()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(600):
            await get(cluster, MAPS)


async def test_a_stopped_server_cannot_be_reached_until_it_starts() -> None:
    cluster = a_cluster()
    async with watching(cluster) as watch:
        cluster.faults.stop()
        with pytest.raises(ClusterUnreachableError):
            await watch
    with pytest.raises(ClusterUnreachableError):
        await get(cluster, MAPS)
    cluster.faults.start()
    assert (await get(cluster, MAPS)).status == 200


async def test_a_restored_cluster_has_gone_back_in_time_with_its_resource_versions() -> None:
    cluster = a_cluster("old")
    snapshot = cluster.snapshot()
    uid = cluster.uid
    cluster.create(a_map("new"))
    cluster.create(custom_definition(0))
    cluster.delete("configmaps", "shop", "old")
    cluster.restore(snapshot)
    answer = await get(cluster, MAPS, limit=1)
    assert (answer.names, answer.version) == (["old"], str(snapshot.version))
    assert cluster.uid == uid
    assert WIDGETS not in [kind.label for kind in cluster.kinds()]


# -- populations and load


async def test_the_small_company_is_the_same_for_the_same_seed() -> None:
    one, other = Cluster(loop_clock()), Cluster(loop_clock())
    for cluster in (one, other):
        settle(cluster, seed=7)
    pods = [list(cluster.objects("pods")) for cluster in (one, other)]
    assert pods[0] == pods[1]
    assert 250 < len(one) < 350


async def test_a_filled_cluster_has_the_number_of_objects_asked_for() -> None:
    cluster = Cluster(loop_clock())
    before = len(cluster)
    fill(cluster, 1000)
    assert len(cluster) - before == 1000
    [pod] = (await get(cluster, "/api/v1/pods", limit=1)).json["items"]
    assert (
        cluster.get("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])["kind"] == "Pod"
    )


async def test_churn_touches_nothing_but_statuses() -> None:
    cluster = Cluster(loop_clock())
    settle(cluster)
    random = Random(1)
    before = {
        label: list(map(_stored, cluster.objects(label))) for label in ("pods", "deployments.apps")
    }
    for _ in range(50):
        beat(cluster, random)
    after = {label: list(map(_stored, cluster.objects(label))) for label in before}
    assert before == after


async def test_each_edit_changes_what_counts() -> None:
    cluster = Cluster(loop_clock())
    settle(cluster)
    random = Random(1)
    for _ in range(100):
        before = cluster.version
        edit(cluster, random)
        assert cluster.version == before + 1


async def test_edits_that_go_on_do_not_fill_the_cluster() -> None:
    cluster = Cluster(loop_clock())
    fill(cluster, 4000)
    random, before = Random(1), len(cluster)
    for _ in range(1200):
        edit(cluster, random)
    assert abs(len(cluster) - before) < 60  # 200 were added


def _stored(content: Object) -> Object:
    metadata = {
        k: v
        for k, v in content["metadata"].items()
        if k not in ("managedFields", "resourceVersion")
    }
    return {**content, "metadata": metadata, "status": None}


# -- the HTTP front


REQUESTS: list[tuple[str, dict[str, str]]] = [
    ("/version", {}),
    ("/api", {}),
    ("/apis", {}),
    ("/apis/apps/v1", {}),
    (MAPS, {}),
    (MAPS, {"limit": "2"}),
    ("/api/v1/namespaces/shop/pods", {"labelSelector": "app.kubernetes.io/name in (web, cart)"}),
    ("/apis/cert-manager.io/v1/certificates", {}),
    ("/api/v1/nodes", {"fieldSelector": "metadata.name=node-2"}),
    ("/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode", {}),
    ("/api/v1/nothing", {}),
    (MAPS, {"continue": "nonsense"}),
    (MAPS, {"resourceVersion": "999999"}),
    (MAPS, {"watch": "1", "timeoutSeconds": "0", "allowWatchBookmarks": "true"}),
    (MAPS, {"watch": "1", "resourceVersion": "1"}),
]


@pytest.mark.looptime(False)
async def test_both_fronts_answer_with_the_same_bytes() -> None:
    cluster = Cluster(lambda: EPOCH)
    cluster.custom_kind_lag = 0
    settle(cluster)
    cluster.compact()
    async with serve(cluster) as url, aiohttp.ClientSession() as session:
        for path, query in REQUESTS:
            expected = await get(cluster, path, ACCEPT, **query)
            address = URL(url + path, encoded=True).update_query(query)
            async with session.get(address, headers=ACCEPT) as response:
                body = await response.read()
            assert (response.status, body) == (expected.status, expected.body), path
            for name, value in expected.headers.items():
                assert response.headers[name] == value


@pytest.mark.looptime(False)
async def test_over_http_a_live_watch_streams_and_breaks_off_as_in_memory() -> None:
    cluster = Cluster(lambda: EPOCH)
    settle(cluster)
    async with serve(cluster) as url, aiohttp.ClientSession() as session:
        query = {"watch": "1", "resourceVersion": str(cluster.version)}
        async with session.get(url + MAPS, params=query) as response:
            cluster.create(a_map("one"))
            line = orjson.loads(await response.content.readline())
            assert (line["type"], line["object"]["metadata"]["name"]) == ("ADDED", "one")
            cluster.faults.drop_watches()
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.readline()


@pytest.mark.looptime(False)
async def test_over_http_a_token_is_asked_for() -> None:
    async with (
        serve(Cluster(lambda: EPOCH), token="secret") as url,
        aiohttp.ClientSession() as session,
    ):
        for headers, status in (({}, 401), ({"Authorization": "Bearer secret"}, 200)):
            async with session.get(url + MAPS, headers=headers) as response:
                assert response.status == status
