"""Three clusters in one bucket, each with a real `watcher` of its own, and random changes in them.

Exists because git-sync looks after a bucket that several write to. Three control planes would cost
a gigabyte: it is one, of which each watcher sees a namespace and calls it a cluster, one of them
with what belongs to no namespace. Promises: `settled` returns when all that was changed is stored.
"""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from tests.e2e.api import API, Object
from tests.e2e.changes import Request, collection, config_map, path, send
from tests.e2e.control_plane import ControlPlane
from tests.e2e.minio import Bucket
from tests.e2e.population import namespace
from tests.e2e.process import Process, until
from tests.e2e.scene import QUICK
from tests.e2e.watcher_process import Watcher, running

_NAMES = ("prod.example.com/east", "prod.example.com/west", "lab.example.com/one")
_CALM = 1.5  # seconds without a change of the bucket, longer than the watchers' max-delay


@dataclass
class Cluster:
    """name: domain/name. Its objects: those of the population in one namespace."""

    name: str
    space: str
    watcher: Watcher
    objects: list[Object]
    gone: list[Object] = field(default_factory=list)

    def changes(self, draw: random.Random, most: int) -> list[Request]:
        """Objects of all kinds that are created, changed and deleted, each at most once."""
        draw.shuffle(self.objects)
        draw.shuffle(self.gone)
        requests: list[Request] = []
        for item in self.objects[: draw.randrange(most)]:
            note = {"test/note": f"{draw.random()}: line\n- of text é\n" * draw.randrange(1, 9)}
            requests.append(("PATCH", path(item), {"metadata": {"annotations": note}}))
        for _ in range(draw.randrange(most // 4)):
            again = self.gone.pop() if self.gone and draw.random() < 0.7 else _new(self.space, draw)
            self.objects.append(again)
            requests.append(("POST", collection(again), again))
        for _ in range(draw.randrange(most // 4)):
            gone = self.objects.pop(most)  # none of those that were changed or created
            self.gone.append(gone)
            requests.append(("DELETE", path(gone), None))
        return requests


class Fleet:
    def __init__(self, plane: ControlPlane, bucket: Bucket, clusters: list[Cluster]) -> None:
        self.bucket = bucket
        self.clusters = clusters
        self._plane = plane

    @property
    def api(self) -> API:
        return self._plane.api()

    @property
    def processes(self) -> list[Process]:
        return [process for cluster in self.clusters for process in cluster.watcher.processes]

    def change(self, draw: random.Random, most: int = 24) -> None:
        """Something in one or more of them."""
        some = draw.sample(self.clusters, draw.randrange(1, len(self.clusters) + 1))
        send(self.api, [request for each in some for request in each.changes(draw, most)])

    def settled(self) -> None:
        """Returns when the bucket holds it, and nothing moves there any more."""
        for cluster in self.clusters:
            marker = config_map(cluster.space, f"marker-{uuid4().hex[:8]}")
            self.api.create(collection(marker), marker)
            key = f"{cluster.name}/{cluster.space}/configmap/{marker['metadata']['name']}.yaml"
            until(lambda key=key: self.bucket.keys(key), "stored marker")  # type: ignore[misc]
        before = self._files()
        while True:
            time.sleep(_CALM)
            if before == (now := self._files()):
                return
            before = now

    def _files(self) -> dict[str, str]:
        etags = self.bucket.etags()
        return {key: etag for key, etag in etags.items() if "/_meta/" not in key}


@contextmanager
def fleet_of(plane: ControlPlane, bucket: Bucket, folder: Path) -> Iterator[Fleet]:
    """The plane is filled (`fill`) with as many namespaces as there are clusters, or more."""
    with ExitStack() as started:
        clusters = []
        for number, name in enumerate(_NAMES):
            space, *objects = namespace(0, number, workloads=False)
            domain, _, short = name.partition("/")
            settings = {
                **QUICK,
                "cluster_domain": domain,
                "cluster_name": short,
                "include_namespaces": space["metadata"]["name"],
                "include_cluster_scoped": "true" if number == 0 else "false",
            }
            watcher = started.enter_context(
                running(folder / short, plane.kubeconfig(), bucket, settings=settings)
            )
            # Claims of volumes would never be gone: no controller takes their finalizer away.
            mortal = [item for item in objects if item["kind"] != "PersistentVolumeClaim"]
            clusters.append(Cluster(name, space["metadata"]["name"], watcher, mortal))
        for cluster in clusters:
            cluster.watcher.wait_ready()
        yield Fleet(plane, bucket, clusters)


def _new(space: str, draw: random.Random) -> Object:
    name = f"new-{draw.randbytes(6).hex()}"
    return config_map(space, name, text=f"{draw.random()}\n" * draw.randrange(1, 99))
