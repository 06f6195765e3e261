"""The three pages that probes and Prometheus ask for: /livez, /readyz and /metrics.

Exists so that the rest of the program answers two questions with plain functions and knows no
HTTP. Promises: 200, or 503 with the reason as text; the server is gone when the context is left.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from watcher.errors import UsageError
from watcher.metrics import Metrics

Check = Callable[[], str | None]  # None: all is well; else the reason why not

_PAGES = "/livez    is the process healthy\n/readyz   is the backup working\n/metrics  Prometheus\n"


@asynccontextmanager
async def serving(
    port: int, *, live: Check, ready: Check, metrics: Metrics, host: str | None = None
) -> AsyncIterator[int]:
    """Serve while the context is open; its value is the port.

    port: 0 takes a free one. host: an address of this machine, all of them by default, since the
    kubelet asks from outside the Pod. Raises UsageError where the port can't be had.
    """

    async def show_metrics(request: web.Request) -> web.Response:
        page, content_type = metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=page, headers={"Content-Type": content_type})

    async def show_pages(_: web.Request) -> web.Response:
        return web.Response(text=_PAGES)

    metrics.ready.set_function(lambda: float(ready() is None))  # one answer, told twice
    app = web.Application()
    app.router.add_get("/", show_pages)
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


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        reason = check()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    return answer


def _why(error: OSError) -> str:
    # asyncio wraps the system's words in its own, addresses and all.
    return os.strerror(error.errno) if error.errno else str(error)
