"""What was measured on and with: a figure without that is a rumour."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from tests.e2e.parts.build import binary

_LIBRARIES = ("aiobotocore", "aiohttp", "kubernetes-asyncio", "obstore", "orjson", "uvloop")


def describe(kubernetes: str) -> dict[str, str]:
    """kubernetes: what the API server calls itself."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "cores": str(os.cpu_count()),
        "processor": _processor(Path("/proc/cpuinfo")),
        "memory": f"{memory:.0f} GB",
        "kernel": platform.release(),
        "load before": load,
        "python": platform.python_version(),
        "watcher": f"{version('watcher')} {_commit()}".strip(),
        "kubernetes": kubernetes,
        "libraries": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
    }


def minio() -> str:
    """What the MinIO of the real parts calls itself."""
    return _told([str(binary("minio")), "--version"])


def as_markdown(machine: Mapping[str, str]) -> str:
    rows = "\n".join(f"| {name} | {value} |" for name, value in machine.items())
    return f"| | |\n|---|---|\n{rows}\n"


def _processor(info: Path) -> str:
    if not info.exists():
        return platform.machine()
    lines = (line.partition(":") for line in info.read_text().splitlines())
    return next((v.strip() for k, _, v in lines if k.strip() == "model name"), platform.machine())


def _commit() -> str:
    return _told(["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"])


def _told(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0].strip()
