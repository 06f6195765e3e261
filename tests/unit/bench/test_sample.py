"""The yardsticks' own objects: those of the cluster, read as watcher reads them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.bulk import fill
from bench.cluster import Cluster
from bench.measure import stages
from bench.measure.sample import Sample, take
from bench.measure.yardsticks import status_event
from bench.server import kubeconfig, serve
from watcher.cluster import client

OBJECTS = 2000


@pytest.fixture
async def sample(tmp_path: Path) -> AsyncIterator[Sample]:
    cluster = Cluster(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    fill(cluster, OBJECTS)
    async with serve(cluster) as url:
        file = tmp_path / "kubeconfig"
        file.write_bytes(kubeconfig(url))
        yield await take(file, wanted=300)


async def test_all_objects_are_counted_and_their_share_is_kept(sample: Sample) -> None:
    kept = {resource.label: len(pages) for resource, pages in sample.pages.items()}
    assert sample.objects > OBJECTS
    assert kept["pods"] == 1  # a page is enough for a quarter of 300
    assert len(sample.items) < sample.objects
    assert sample.size > sum(len(page) for pages in sample.pages.values() for page in pages)
    assert client.PAGE_SIZE < OBJECTS / 4  # else no list has a second page, and this shows nothing


async def test_each_stage_of_each_object_is_timed(sample: Sample) -> None:
    figures = stages.measure(sample)
    assert set(figures) == {f"stage.{it}_us" for it in ("parse", "clean", "fingerprint", "yaml")}
    assert all(value > 0 for value in figures.values())


async def test_the_rest_is_what_the_whole_takes_beyond_its_stages() -> None:
    known = {f"stage.{name}_us": 10.0 for name in ("parse", "clean", "fingerprint", "yaml")}
    whole = {**known, "first-sync.sink.cpu_ms": 0.2, "signed-puts.cpu_us": 100.0}
    assert stages.rest(whole) == {"stage.sign+send_us": 100.0, "stage.rest_us": 60.0}
    assert stages.rest(known) == {}


def test_a_status_event_ends_at_the_intake(sample: Sample, tmp_path: Path) -> None:
    figures = status_event.measure(tmp_path / "bucket", sample.items)
    assert figures["status-event.cpu_us"] > figures["status-event.loads_us"] > 0


def test_without_pods_there_is_no_status_event(tmp_path: Path) -> None:
    assert status_event.measure(tmp_path, []) == {}
