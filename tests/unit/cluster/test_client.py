"""Questions and their answers: every error has one line, every wait an end."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.unit.cluster.scripted import Asked, Reply, Script, json_reply
from watcher.cluster.client import (
    IDLE,
    Event,
    cluster_uid,
    find_one,
    list_page,
    read,
    status_error,
    watch,
)
from watcher.cluster.framing import BATCH
from watcher.errors import ClusterError, ClusterUnreachableError, StatusError
from watcher.objects.ref import APIResource

pytestmark = pytest.mark.looptime

MAPS = APIResource("", "v1", "configmaps", "ConfigMap", True)
PATH = "/api/v1/configmaps"
IN_SHOP = "/api/v1/namespaces/shop/configmaps"


def a_status(**fields: Any) -> bytes:
    return orjson.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", **fields})


def items(*names: str) -> dict[str, Any]:
    metadata = {"resourceVersion": "7"}
    return {"metadata": metadata, "items": [{"metadata": {"name": name}} for name in names]}


async def events_of(
    script: Script, idle: Callable[[], float] = lambda: IDLE, into: list[Event] | None = None
) -> list[Event]:
    found = [] if into is None else into
    async for batch in watch(script, PATH, {}, idle):
        found += batch
    return found


# -- errors


def test_a_status_gives_code_reason_and_message() -> None:
    error = status_error(403, {}, a_status(code=403, reason="Forbidden", message="no\nright"))
    assert (error.status, error.reason) == (403, "Forbidden")
    assert str(error) == "the API server answered 403: no right"


@pytest.mark.parametrize(
    "body",
    [b"", b"token: secret", b"<html>secret</html>", b'["secret"]', b'{"message":"secret"}'],
)
def test_a_body_that_is_no_status_is_dropped(body: bytes) -> None:
    error = status_error(500, {}, body)
    assert str(error) == "the API server answered 500: no reason given"
    assert (error.status, error.reason, error.retry_after) == (500, "", None)


@pytest.mark.parametrize(
    "fields",
    [
        {"code": "x"},
        {"details": "x"},
        {"details": {"causes": 7}},
        {"details": {"causes": ["x"]}},
        {"message": 7},
        {"reason": 7},
    ],
)
def test_a_status_of_odd_fields_is_still_an_error(fields: dict[str, Any]) -> None:
    assert status_error(500, {}, a_status(**fields)).status == 500


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
    ],
)
def test_retry_after_counts_where_it_is_a_number_of_seconds(
    header: str, seconds: float | None
) -> None:
    assert status_error(429, {"Retry-After": header}, b"").retry_after == seconds


def test_retry_after_may_stand_in_the_status() -> None:
    body = a_status(code=504, details={"retryAfterSeconds": 3})
    assert status_error(504, {}, body).retry_after == 3
    assert status_error(504, {"Retry-After": "9"}, body).retry_after == 9


def test_a_version_of_the_future_is_told_from_other_timeouts_by_its_cause() -> None:
    causes = [{"reason": "Other"}, {"reason": "ResourceVersionTooLarge"}]
    error = status_error(504, {}, a_status(reason="Timeout", details={"causes": causes}))
    assert error.reason == "ResourceVersionTooLarge"
    assert status_error(504, {}, a_status(reason="Timeout")).reason == "Timeout"


async def test_an_error_of_endless_length_is_read_in_part() -> None:
    with pytest.raises(StatusError):
        await read(Script({PATH: [Reply(500, [b"x" * 1024] * 10_000, pause=1.0)]}), PATH)
    assert asyncio.get_running_loop().time() < 100


async def test_an_error_event_of_a_watch_has_its_own_code_and_comes_after_what_was_before() -> None:
    lines = [
        {"type": "ADDED", "object": {"metadata": {"name": "a"}}},
        {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}},
    ]
    script = Script({PATH: [Reply(200, [b"".join(orjson.dumps(x) + b"\n" for x in lines)])]})
    found: list[Event] = []
    with pytest.raises(StatusError) as error:
        await events_of(script, into=found)
    assert [event.type for event in found] == ["ADDED"]
    assert error.value.status == 410
    assert str(error.value) == "the API server answered 410: too old"


# -- waiting


async def test_an_answer_that_falls_silent_is_lost_after_a_minute(looptime: float) -> None:
    slow = Reply(200, [b"{", b"}"], pause=IDLE + 1)
    for question in (
        read(Script({PATH: [slow]}), PATH),
        list_page(Script({PATH: [slow]}), PATH, {}, lambda found: None),
    ):
        with pytest.raises(ClusterUnreachableError, match="nothing came for 60 s"):
            await question
    assert looptime == 2 * IDLE


async def test_a_slow_answer_is_whole_as_long_as_something_comes() -> None:
    body = [orjson.dumps(items("a"))[start : start + 10] for start in range(0, 80, 10)]
    script = Script({PATH: [Reply(200, body, pause=IDLE - 1)]})
    assert (await read(script, PATH))[0] == 200


async def test_the_silence_of_a_watch_is_judged_anew_at_each_wait(looptime: float) -> None:
    line = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"8"}}}\n'
    limits = iter([100.0, 10.0])
    script = Script({PATH: [Reply(200, [line, line], pause=50)]})
    with pytest.raises(ClusterUnreachableError, match="nothing came for 10 s"):
        await events_of(script, lambda: next(limits))
    assert looptime == 60


async def test_answers_that_have_come_already_give_others_a_turn_after_each_piece() -> None:
    event = orjson.dumps({"type": "ADDED", "object": {"metadata": {"name": "a"}}}) + b"\n"
    page = orjson.dumps(items(*(BATCH * letter for letter in "abcd")))
    pieces = [page[start : start + BATCH] for start in range(0, len(page), BATCH)]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await events_of(Script({PATH: [Reply(200, 4 * [event])]}))
    assert turns >= 4
    turns = 0
    await list_page(Script({PATH: [Reply(200, pieces)]}), PATH, {}, lambda items: None)
    assert turns >= 3
    counting.cancel()


async def test_a_watch_that_ends_in_order_just_ends() -> None:
    assert await events_of(Script({PATH: [Reply(200)]})) == []


# -- one object


@pytest.mark.parametrize(
    ("name", "selector"),
    [
        ("a", "metadata.name=a"),
        ("a=b", "metadata.name=a\\=b"),
        ("a,b", "metadata.name=a\\,b"),
        ("a\\b", "metadata.name=a\\\\b"),
        ("system:node ä", "metadata.name=system:node ä"),
    ],
)
async def test_a_name_is_escaped_for_the_field_selector(name: str, selector: str) -> None:
    script = Script({IN_SHOP: [json_reply(items(name))]})
    found = await find_one(script, MAPS, "shop", name)
    assert found == {"metadata": {"name": name}}
    assert script.asked[0].query == {"fieldSelector": selector}


async def test_of_servers_that_ignore_selectors_only_the_very_name_counts() -> None:
    script = Script({IN_SHOP: [json_reply(items("x", "a", "ab"))]})
    assert await find_one(script, MAPS, "shop", "a") == {"metadata": {"name": "a"}}
    assert await find_one(script, MAPS, "shop", "b") is None


async def test_an_empty_list_of_no_items_is_an_answer() -> None:
    script = Script({IN_SHOP: [json_reply({"metadata": {}, "items": None})]})
    assert await find_one(script, MAPS, "shop", "a") is None


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{}", b'{"items":[7]}', b'{"items":[{}]}'])
async def test_what_is_no_list_never_means_that_there_is_no_such_object(body: bytes) -> None:
    with pytest.raises(ClusterError, match="not a list"):
        await find_one(Script({IN_SHOP: [Reply(200, [body])]}), MAPS, "shop", "a")


@pytest.mark.parametrize("status", [403, 404, 410, 429, 500, 503, 204, 206, 302])
async def test_a_status_other_than_200_never_means_that_there_is_no_such_object(
    status: int,
) -> None:
    with pytest.raises(StatusError):
        await find_one(Script({IN_SHOP: [json_reply(items(), status)]}), MAPS, "shop", "a")


async def test_a_cluster_without_kube_system_cannot_be_told_apart() -> None:
    with pytest.raises(ClusterError, match="kube-system"):
        await cluster_uid(Script({"/api/v1/namespaces": [json_reply(items())]}))


async def test_only_lists_and_watches_are_asked_for() -> None:
    script = Script({IN_SHOP: [json_reply(items("a"))], PATH: lambda asked: _either(asked)})
    await find_one(script, MAPS, "shop", "a")
    await list_page(script, PATH, {"limit": "1"}, lambda found: None)
    await events_of(script)
    assert [(asked.path, asked.query.get("watch", "")) for asked in script.asked] == [
        (IN_SHOP, ""),
        (PATH, ""),
        (PATH, "1"),
    ]


def _either(asked: Asked) -> Reply:
    return Reply(200) if "watch" in asked.query else json_reply(items())
