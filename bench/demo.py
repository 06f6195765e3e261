"""The whole thing on a laptop without a cluster: what `make run` falls back to.

Exists so that a person sees a backup follow a cluster within a minute of cloning. Promises: a
small company's cluster on a free local port in which something changes every few seconds, a
`watcher run` that backs it up into a directory, and a line that says where to look; both processes
are gone when this one ends, however it is asked to.

    python -m bench.demo --bucket ./bucket
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

_GRACE = 30.0  # seconds for watcher to write what is pending


async def demo(bucket: Path, http_port: int, changes: float) -> int:
    """Runs until SIGINT or SIGTERM or until watcher ends; returns watcher's exit code."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    with tempfile.TemporaryDirectory(prefix="watcher-demo-") as folder:
        kubeconfig = Path(folder, "kubeconfig")
        server = await _start(
            "bench.server",
            *("--kubeconfig", str(kubeconfig), "--churn", "5", "--changes", str(changes)),
            pipe=True,
        )
        try:
            assert server.stdout
            url = (await server.stdout.readline()).decode().strip()
            if not url:
                return 1  # it has said why
            print(_where(bucket, http_port, url, kubeconfig), flush=True)
            watcher = await _start(
                *("watcher", "run", "--kubeconfig", str(kubeconfig)),
                *("--cluster-domain", "demo.example.com", "--cluster-name", "demo"),
                *("--minio-bucket", f"file://{bucket}", "--http-port", str(http_port)),
            )
            try:
                return await _until(ended, watcher)
            finally:
                await _stop(watcher)
        finally:
            await _stop(server)


def _where(bucket: Path, http_port: int, url: str, kubeconfig: Path) -> str:
    status = f"  how it fares   http://127.0.0.1:{http_port}/\n" if http_port else ""
    return (
        f"A simulated cluster is at {url}\n"
        f"  play with it   kubectl --kubeconfig {kubeconfig} -n shop get configmaps\n"
        f"  its backup     {bucket}/demo.example.com/demo/\n"
        f"{status}Ctrl-C ends both."
    )


async def _start(module: str, *arguments: str, pipe: bool = False) -> asyncio.subprocess.Process:
    """In a process group of its own: Ctrl-C in the terminal is for us, who end them in order."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE if pipe else None,
        start_new_session=True,
    )


async def _until(ended: asyncio.Event, process: asyncio.subprocess.Process) -> int:
    """Until we are asked to end (0) or the process ends by itself (its exit code)."""
    asked = asyncio.create_task(ended.wait())
    gone = asyncio.create_task(process.wait())
    await asyncio.wait((asked, gone), return_when=asyncio.FIRST_COMPLETED)
    code = 0 if asked.done() else gone.result()
    for task in (asked, gone):
        task.cancel()
    await asyncio.gather(asked, gone, return_exceptions=True)
    return code


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_GRACE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="watcher on a simulated cluster.")
    parser.add_argument("--bucket", type=Path, required=True, help="directory to back up into")
    parser.add_argument("--http-port", type=int, default=8080, help="0: none")
    parser.add_argument("--changes", type=float, default=0.4, help="per second")
    options = parser.parse_args()
    bucket = options.bucket.resolve()
    bucket.mkdir(parents=True, exist_ok=True)
    sys.exit(asyncio.run(demo(bucket, options.http_port, options.changes)))


if __name__ == "__main__":
    main()
