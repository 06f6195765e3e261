"""The buckets that `watcher` is measured into: a directory, a do-nothing sink, a real MinIO.

Exists so that a scenario names its bucket by a word. Promises: each server is started when it is
first asked for, once a run, and gone after `close`; every target is empty.
"""

import json
import shutil
import sys
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.e2e.minio import Bucket, Minio
from tests.e2e.process import Process, until

DIRECTORY, SINK, MINIO = "directory", "sink", "minio"
WORDS = (DIRECTORY, SINK, MINIO)


@dataclass(frozen=True, slots=True)
class Target:
    """An empty bucket. settings: what names it, where `bucket` is None."""

    word: str
    bucket: Bucket | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


class Sink:
    """The server of bench/sink.py."""

    def __init__(self, folder: Path) -> None:
        log = folder / "sink.log"
        self._process = Process("sink", [sys.executable, "-m", "bench.sink"], log=log)
        until(lambda: "http" in log.read_text(), "sink", needs=self._process)
        self.endpoint = log.read_text().strip()

    @property
    def cpu(self) -> float:
        return self._process.usage().cpu

    def asked(self) -> Counter[str]:
        """Requests so far by method (LIST apart), and `bytes` of their bodies."""
        with urllib.request.urlopen(f"{self.endpoint}/-", timeout=10) as answer:
            return Counter(json.load(answer))

    def close(self) -> None:
        self._process.kill()


class Buckets:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = count(1)
        self._sink: Sink | None = None
        self._minio: Minio | None = None

    @property
    def sink(self) -> Sink:
        if self._sink is None:
            self._sink = Sink(self._folder)
        return self._sink

    @property
    def has_minio(self) -> bool:
        """Whether a MinIO was asked for."""
        return self._minio is not None

    @property
    def minio(self) -> Minio:
        if self._minio is None:
            self._minio = Minio(self._folder / "minio")
        return self._minio

    def new(self, word: str) -> Target:
        if word == MINIO:
            return Target(word, self.minio.new_bucket())
        name = f"bucket-{next(self._number)}"
        if word == SINK:
            return Target(word, Bucket(self.sink.endpoint, name))
        folder = self._folder / name
        folder.mkdir()
        return Target(word, None, {"minio_bucket": folder.as_uri()}, folder)

    def cpu(self, word: str) -> float:
        """Seconds that the server took so far; 0 of a directory, which has none."""
        if word == SINK:
            return self.sink.cpu
        if word == MINIO:
            return sum(process.usage().cpu for process in self.minio.processes)
        return 0.0

    def close(self) -> None:
        if self._sink:
            self._sink.close()
        if self._minio:
            self._minio.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
