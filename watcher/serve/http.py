"""What the port answers: pages for people, /livez and /readyz for probes, /metrics for Prometheus.

Exists so that the rest of the program answers with plain functions and values and knows no HTTP;
which pages there are each process says itself. Promises: nothing that anybody asks for here changes
anything; a probe gets 200, or 503 with the reason as text; the server is gone when the context is
left.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from watcher.errors import UsageError
from watcher.metrics import ProcessMetrics

Check = Callable[[], str | None]  # None: all is well; else the reason why not
# One HTML page, made when it is asked for; given the seconds after which a browser asks again, or
# None: it stays as it is.
Page = Callable[[int | None], str]

_REFRESH = 10  # seconds after which a browser asks again
_STILL = "still"  # asked for with this query, a page stays as it is

# The page needs nothing but its own style. Even if a name in it got past the escaping, a browser
# would run and load nothing.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@asynccontextmanager
async def serving(
    port: int,
    *,
    live: Check,
    ready: Check,
    pages: Mapping[str, Page],
    metrics: ProcessMetrics,
    host: str | None = None,
) -> AsyncIterator[int]:
    """Serve while the context is open; its value is the port.

    port: 0 takes a free one. pages: by their paths, "/" among them. host: an address of this
    machine, all of them by default, since the kubelet asks from outside the Pod. Raises UsageError
    where the port can't be had.
    """

    async def show_metrics(request: web.Request) -> web.Response:
        page, content_type = metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=page, headers={"Content-Type": content_type})

    metrics.tell_ready(lambda: ready() is None)  # one answer, told twice
    app = web.Application()
    for path, page in pages.items():
        app.router.add_get(path, _show(page))
    app.router.add_get("/livez", _answer(live))
    app.router.add_get("/readyz", _answer(ready))
    app.router.add_get("/metrics", show_metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise UsageError(
                f"http-port {port}: {_why(error)}", hint="give another one, or 0 for none"
            ) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _show(page: Page) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def show(request: web.Request) -> web.Response:
        refresh = None if _STILL in request.query else _REFRESH
        return web.Response(text=page(refresh), content_type="text/html", headers=_HEADERS)

    return show


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        reason = check()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    return answer


def _why(error: OSError) -> str:
    # asyncio wraps the system's words in its own, addresses and all.
    return os.strerror(error.errno) if error.errno else str(error)
