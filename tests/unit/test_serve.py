"""HTTP: what the kubelet, Prometheus and a curious person get."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.unit.status_samples import status
from watcher.errors import UsageError
from watcher.metrics import FleetMetrics, Metrics
from watcher.serve.http import serving
from watcher.serve.status import render

HOST = "127.0.0.1"
WELL: dict[str, Any] = {
    "live": lambda: None,
    "ready": lambda: None,
    "pages": {"/": lambda refresh: render(status(), refresh=refresh)},
}


class Health:
    def __init__(self) -> None:
        self.dead: str | None = None
        self.unready: str | None = None
        self.status = status()


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
async def http(health: Health) -> AsyncIterator[ClientSession]:
    async with (
        serving(
            0,
            live=lambda: health.dead,
            ready=lambda: health.unready,
            pages={"/": lambda refresh: render(health.status, refresh=refresh)},
            metrics=Metrics("1.2.3"),
            host=HOST,
        ) as port,
        ClientSession(f"http://{HOST}:{port}") as session,
    ):
        yield session


async def ask(http: ClientSession, path: str) -> tuple[int, str]:
    async with http.get(path) as response:
        return response.status, await response.text()


async def test_live_and_ready_are_fine(http: ClientSession) -> None:
    assert await ask(http, "/livez") == (200, "ok\n")
    assert await ask(http, "/readyz") == (200, "ok\n")


async def test_what_is_wrong_is_said_with_a_503(http: ClientSession, health: Health) -> None:
    health.unready = "first sync: 12 of 60 kinds listed"
    assert await ask(http, "/readyz") == (503, "first sync: 12 of 60 kinds listed\n")
    assert await ask(http, "/livez") == (200, "ok\n")
    health.dead, health.unready = "the writer ended", None
    assert await ask(http, "/livez") == (503, "the writer ended\n")
    assert await ask(http, "/readyz") == (200, "ok\n")


async def test_metrics_come_in_the_format_that_prometheus_asks_for(http: ClientSession) -> None:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0; q=0.8, */*; q=0.1"}
    async with http.get("/metrics", headers=accept) as response:
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        assert (await response.text()).endswith("# EOF\n")
    async with http.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "watcher_build_info" in await response.text()


async def test_the_first_page_is_for_people_and_leads_to_the_others(
    http: ClientSession, health: Health
) -> None:
    health.status = status(doing="listing the bucket")
    async with http.get("/") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        page = await response.text()
    assert "listing the bucket" in page
    # Relative, so that they work behind a proxy's path, too.
    assert re.findall(r'<a href="(\w+)">', page) == ["readyz", "livez", "metrics"]


async def test_a_browser_may_run_load_frame_and_keep_nothing_of_the_page(
    http: ClientSession,
) -> None:
    async with http.get("/") as response:
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
        assert "frame-ancestors 'none'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"


async def test_the_page_comes_again_by_itself_unless_it_was_asked_to_stay(
    http: ClientSession,
) -> None:
    again = '<meta http-equiv="refresh" content="10">'
    assert again in (await ask(http, "/"))[1]
    assert again not in (await ask(http, "/?still"))[1]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_changed_through_the_page(http: ClientSession, method: str) -> None:
    async with http.request(method, "/") as response:
        assert response.status == 405


async def test_anything_else_is_refused(http: ClientSession) -> None:
    assert (await ask(http, "/debug"))[0] == 404
    async with http.post("/livez") as response:
        assert response.status == 405
    async with http.head("/livez") as response:
        assert response.status == 200


async def test_a_port_in_use_is_a_usage_error_that_names_the_setting() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"^http-port {port}: Address already in use \("):
            async with serving(port, **WELL, metrics=Metrics(""), host=HOST):
                pass


async def test_the_server_is_gone_when_the_context_is_left() -> None:
    async with serving(0, **WELL, metrics=Metrics(""), host=HOST) as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, port)


async def test_metrics_say_what_readyz_says(http: ClientSession, health: Health) -> None:
    assert "\nwatcher_ready 1.0\n" in (await ask(http, "/metrics"))[1]
    health.unready = "first sync"
    assert "\nwatcher_ready 0.0\n" in (await ask(http, "/metrics"))[1]


async def test_a_process_says_itself_which_pages_it_has() -> None:
    pages = {"/": lambda refresh: f"first {refresh}", "/fleet": lambda refresh: f"fleet {refresh}"}
    async with (
        serving(0, **{**WELL, "pages": pages}, metrics=FleetMetrics(""), host=HOST) as port,
        ClientSession(f"http://{HOST}:{port}") as http,
    ):
        assert await ask(http, "/") == (200, "first 10")
        assert await ask(http, "/fleet") == (200, "fleet 10")
        assert await ask(http, "/fleet?still") == (200, "fleet None")
        assert (await ask(http, "/livez"))[0] == (await ask(http, "/readyz"))[0] == 200
        assert "watcher_git_commits_total 0.0" in (await ask(http, "/metrics"))[1]


async def test_only_who_captures_has_readiness_as_a_metric() -> None:
    # Else the alerts on a capture that is not ready would speak of a mirror.
    async with (
        serving(0, **WELL, metrics=FleetMetrics(""), host=HOST) as port,
        ClientSession(f"http://{HOST}:{port}") as http,
    ):
        assert "watcher_ready" not in (await ask(http, "/metrics"))[1]
