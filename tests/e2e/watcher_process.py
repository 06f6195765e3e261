"""`watcher` itself as its users run it: a process with an environment, a port and a log.

Exists so that what is proven is the program, not its parts. Settings are given by the names of
DESIGN.md section 9 with underscores: `debounce="1s"` becomes DEBOUNCE=1s.
"""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.minio import Bucket
from tests.e2e.process import Process, Usage, free_ports, until

DOMAIN = "test.example.com"
CLUSTER = "e2e"
PREFIX = f"{DOMAIN}/{CLUSTER}/"  # of all keys

_PROGRAM = (sys.executable, "-m", "watcher")


class Watcher:
    """One `watcher` command. Use `running` to have it ended."""

    def __init__(
        self,
        folder: Path,
        kubeconfig: Path | None,
        bucket: Bucket | None,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        program: Sequence[str | Path] = _PROGRAM,
    ) -> None:
        """`bucket` None: the settings name one themselves."""
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._process = Process(
            "watcher",
            [*program, *(arguments or ("run",))],
            log=folder / "watcher.log",
            env={**_environment(kubeconfig, bucket, settings or {}), "HTTP_PORT": str(port)},
        )

    @property
    def processes(self) -> list[Process]:
        return [self._process]

    @property
    def log(self) -> str:
        return self._process.log.read_text()

    def wait(self, timeout: float = 110) -> int:
        """The exit code of a command that ends by itself."""
        return self._process.wait(timeout)

    def wait_ready(self, timeout: float = 110) -> None:
        """Until `/readyz` says 200: the first full sync is in the bucket."""
        until(
            lambda: self.status("/readyz") == 200,
            "ready watcher",
            needs=self._process,
            timeout=timeout,
            poll=0.05,
        )

    def status(self, path: str) -> int | None:
        """HTTP status of one of its own pages; None without an answer."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return None

    def page(self, path: str = "/") -> str:
        """One of its pages for people, as HTML."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return str(answer.read().decode())

    def metrics(self) -> dict[str, float]:
        """Sample -> value: `watcher_objects{side="cluster"}`, labels in alphabetical order."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return {
            _sample(sample.name, sample.labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def metric(self, name: str, **labels: str) -> float:
        """Sum of all samples of that name that carry these labels; 0 without any."""
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        return sum(
            value
            for sample, value in self.metrics().items()
            if sample.partition("{")[0] == name and all(label in sample for label in wanted)
        )

    def kill(self) -> None:
        self._process.kill()

    def terminate(self, timeout: float = 60) -> int:
        """SIGTERM; the exit code. Raises TimeoutError: then it has not gone by itself."""
        self._process.signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def usage(self) -> Usage:
        return self._process.usage()


@contextmanager
def running(
    folder: Path,
    kubeconfig: Path | None,
    bucket: Bucket | None,
    *arguments: str,
    settings: Mapping[str, str] | None = None,
    program: Sequence[str | Path] = _PROGRAM,
) -> Iterator[Watcher]:
    """A Watcher that is gone afterwards."""
    watcher = Watcher(folder, kubeconfig, bucket, *arguments, settings=settings, program=program)
    try:
        yield watcher
    finally:
        watcher.kill()


def command(
    kubeconfig: Path | None, bucket: Bucket, *arguments: str, **settings: str
) -> "subprocess.CompletedProcess[str]":
    """A `watcher` command that ends by itself, with what it printed. kubeconfig None: it needs
    no cluster, and has none."""
    return subprocess.run(
        [*_PROGRAM, *arguments],
        env={**os.environ, **_environment(kubeconfig, bucket, settings)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def _environment(
    kubeconfig: Path | None, bucket: Bucket | None, settings: Mapping[str, str]
) -> dict[str, str]:
    return {
        "KUBECONFIG": str(kubeconfig or os.devnull),
        "CLUSTER_DOMAIN": DOMAIN,
        "CLUSTER_NAME": CLUSTER,
        **(_bucket_settings(bucket) if bucket else {}),
        **{name.upper(): value for name, value in settings.items()},
    }


def _bucket_settings(bucket: Bucket) -> dict[str, str]:
    return {
        "MINIO_ENDPOINT": bucket.endpoint,
        "MINIO_BUCKET": bucket.name,
        "MINIO_ACCESS_KEY": bucket.access_key,
        "MINIO_SECRET_KEY": bucket.secret_key,
    }


def _sample(name: str, labels: Mapping[str, str]) -> str:
    listed = ",".join(f'{label}="{labels[label]}"' for label in sorted(labels))
    return f"{name}{{{listed}}}" if listed else name
