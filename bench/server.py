"""The simulated API server over HTTP: the cluster model for tests, benchmarks and the demo.

Exists so that the whole program, or kubectl, can be run against a cluster that costs little and
fails on demand. Promises: the same answers as memory_api.py, byte for byte, streamed; a client
that goes away closes its watch; a broken connection is closed without the end of its body.

    python -m bench.server --objects 10000 --churn 100 --changes 2

prints its URL on the first line and serves until SIGTERM or SIGINT.
"""

import argparse
import asyncio
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from urllib.parse import unquote

import orjson
import uvloop
from aiohttp import web

from bench.answers import answer
from bench.bulk import fill
from bench.cluster import Cluster
from bench.control import PATH, Control
from bench.faults import ConnectionLost
from bench.population import settle


@asynccontextmanager
async def serve(
    cluster: Cluster, *, port: int = 0, token: str = "", control: Control | None = None
) -> AsyncIterator[str]:
    """Yields the URL. token: where given, requests without this bearer token are 401. control:
    what is asked under its path goes there, without a token."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if control and request.path == PATH:
            return _controlled(control, request)
        if token and request.headers.get("Authorization") != f"Bearer {token}":
            return web.json_response(_UNAUTHORIZED, status=401)
        return await _carry(cluster, request)

    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


_UNAUTHORIZED = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "Unauthorized",
    "reason": "Unauthorized",
    "code": 401,
}


def _controlled(control: Control, request: web.Request) -> web.Response:
    try:
        return web.json_response(control.act(request.query))
    except (KeyError, ValueError) as error:
        return web.Response(status=400, text=f"not understood: {error}")


async def _carry(cluster: Cluster, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    try:
        status, headers, body = await answer(
            cluster,
            request.method,
            unquote(request.rel_url.raw_path),
            request.query,
            request.headers,
            await request.read(),
        )
        async with aclosing(body):
            response.set_status(status)
            response.headers.update(headers)
            await response.prepare(request)
            async for chunk in body:
                await response.write(chunk)
            await response.write_eof()
    except ConnectionLost:
        if request.transport:
            request.transport.close()
    return response


def kubeconfig(url: str, token: str = "") -> bytes:
    """A kubeconfig file (JSON is YAML) whose only context is `demo`."""
    user = {"token": token} if token else {}
    return orjson.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "demo",
            "clusters": [{"name": "demo", "cluster": {"server": url}}],
            "users": [{"name": "demo", "user": user}],
            "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "demo"}}],
        },
        option=orjson.OPT_INDENT_2,
    )


async def _run(options: argparse.Namespace) -> None:
    random = Random(options.seed)
    cluster = Cluster(lambda: datetime.now(UTC), seed=options.seed)
    if options.objects:
        fill(cluster, options.objects, crds=options.crds)
    else:
        settle(cluster, seed=options.seed)
    gc.freeze()  # what is there stays: not to be looked at again and again
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    control = Control(cluster, random)
    async with serve(cluster, port=options.port, token=options.token, control=control) as url:
        if options.kubeconfig:
            options.kubeconfig.write_bytes(kubeconfig(url, options.token))
        control.act({"churn": options.churn, "changes": options.changes})
        print(url, flush=True)
        await stop.wait()
        await control.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A simulated Kubernetes API server.")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--token", default="", help="bearer token that requests must carry")
    parser.add_argument("--kubeconfig", type=Path, help="file to write")
    parser.add_argument("--objects", type=int, default=0, help="0: a small company's cluster")
    parser.add_argument("--crds", type=int, default=0, help="how many more kinds")
    parser.add_argument("--churn", type=float, default=0, help="changes of a status per second")
    parser.add_argument("--changes", type=float, default=0, help="changes that count per second")
    parser.add_argument("--seed", type=int, default=0)
    uvloop.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
