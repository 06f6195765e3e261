"""Scenarios, small, with a real `watcher`: what they note is what happened."""

from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from moto.server import ThreadedMotoServer

from bench.measure import clusters
from bench.measure.buckets import MINIO, SINK, Buckets, Target
from bench.measure.clusters import Cluster
from bench.measure.figures import Figures, Measured
from bench.measure.place import Place, Plan
from bench.measure.scenarios import burst, delete, restart
from tests.e2e.minio import Bucket

OBJECTS = 200
PLAN = Plan(seconds=1, rounds=1, bucket=SINK, burst=80)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with clusters.simulated(tmp_path, OBJECTS) as made:
        yield made


@pytest.fixture
def buckets(tmp_path: Path) -> Iterator[Buckets]:
    folder = tmp_path / "buckets"
    folder.mkdir()
    made = Buckets(folder)
    yield made
    made.close()


@pytest.fixture
def moto() -> Iterator[Bucket]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urlopen(Request(f"http://{host}:{port}/bucket", method="PUT")).close()
    yield Bucket(f"http://{host}:{port}", "bucket")
    server.stop()


def place(tmp_path: Path, cluster: Cluster, buckets: Buckets, plan: Plan) -> Place:
    return Place(tmp_path, cluster, buckets, plan, Measured(OBJECTS))


def test_a_restart_asks_nothing_of_objects(
    tmp_path: Path, cluster: Cluster, buckets: Buckets, moto: Bucket
) -> None:
    at = place(tmp_path, cluster, buckets, Plan(rounds=1))
    at.fill(Target(MINIO, moto))
    restart.measure(at)
    figures = at.measured.figures
    names = ("written", "puts_of_objects", "gets_of_objects", "lists_beyond_pages")
    assert [figures[f"restart.{name}"] for name in names] == [0, 0, 0, 1]
    assert figures["restart.gets_of_checkpoint"] == 1
    assert figures["restart.requests"] > figures["restart.lists"] == 2
    assert figures["raw-lists.keys"] > OBJECTS
    assert figures["restart.wall_s"] > figures["start.wall_s"] > 0


def test_of_a_burst_all_is_stored_and_what_is_deleted_goes(
    tmp_path: Path, cluster: Cluster, buckets: Buckets
) -> None:
    at = place(tmp_path, cluster, buckets, PLAN)
    burst.measure(at)
    delete.measure(at)
    figures: Figures = at.measured.figures
    assert (figures["burst.changes"], figures["burst.lost"]) == (80, 0)
    assert figures["burst.puts_per_change"] >= 1
    assert figures["burst.wall_s"] > 0
    assert figures["delete.requests_per_object"] >= 1


def test_of_some_rounds_the_best_counts_with_all_its_figures(
    tmp_path: Path, buckets: Buckets
) -> None:
    at = place(tmp_path, Cluster(tmp_path / "kubeconfig"), buckets, PLAN)
    for wall, cpu in ((3.0, 1.0), (2.0, 5.0), (4.0, 0.5)):
        at.note_best("x.wall_s", {"x.wall_s": wall, "x.cpu_ms": cpu})
    assert at.measured.figures == {"x.wall_s": 2.0, "x.cpu_ms": 5.0}
