"""The contract suite over a directory and over the memory that other tests use."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.memory_store import MemoryStore
from tests.store_contract import *  # noqa: F403
from watcher.bucket.directory import Directory
from watcher.bucket.store import Store


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "memory":
        return MemoryStore()
    return Directory(
        tmp_path, fsync=False, clock=lambda: datetime.now(UTC), observe=lambda *request: None
    )
