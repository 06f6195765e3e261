"""Applied back: what was stored of one cluster makes the same objects in an empty one.

A filled cluster with controllers is stored; its files go through `kubectl apply --server-side` into
a second, bare one, where nothing happens by itself; a watcher there must store the same bytes.
Left aside: owned objects (their owners make them again), Nodes (admission adds taints to new ones)
and what the second cluster has of its own.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tests.e2e import oracle
from tests.e2e.api import Object
from tests.e2e.control_plane import ControlPlane, KubectlError
from tests.e2e.fill import create, fill
from tests.e2e.minio import Bucket, Minio
from tests.e2e.parsers import yaml_1_1
from tests.e2e.population import namespace
from tests.e2e.process import until
from tests.e2e.watcher_process import PREFIX, running

# `kubectl apply --server-side` sends JSON, unescaped, to an API server that reads it as YAML: that
# refuses these characters, and of U+0085 it makes a space. `kubectl create` carries them all.
NOT_FOR_APPLY = re.compile("[\x7f-\x9f\ufffe\uffff]")
NAMESPACES = 2
APPLY = ("apply", "--server-side", "-f")

pytestmark = pytest.mark.timeout(300)  # of the first test of this file: two clusters start

Files = dict[str, bytes]  # by key


@dataclass(frozen=True, slots=True)
class Restored:
    """A second cluster into which the files of a first one were applied."""

    cluster: ControlPlane
    applied: Files = field(repr=False)
    created: Files = field(repr=False)  # those with characters NOT_FOR_APPLY
    secrets: Files = field(repr=False)  # redacted, so neither


@pytest.fixture(scope="module")
def restored(minio: Minio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restored]:
    folder = tmp_path_factory.mktemp("applied-back")
    with ExitStack() as started:
        first = ControlPlane(folder / "first", controllers=True)
        started.callback(first.close)
        fill(first, namespaces=NAMESPACES)
        create(first.api(), readable_custom_objects())
        files = stored_by_watcher(folder / "log", first, minio.new_bucket())
        first.close()

        second = ControlPlane(folder / "second")
        started.callback(second.close)
        own = oracle.expected(second.api()).keys()
        restored = Restored(second, {}, {}, {})
        for key, file in files.items():
            if key not in own and not is_left_aside(key, file):
                how_restored(restored, key, file)[key] = file
        apply_in_order(second, restored.applied, folder / "applied")
        second.kubectl("create", "-f", written(restored.created.values(), folder / "created"))
        yield restored


def readable_custom_objects() -> Iterator[Object]:
    """Those of the population have some character NOT_FOR_APPLY each."""
    for number in range(NAMESPACES):
        for item in namespace(0, number):
            if item["kind"] == "Certificate":
                readable: Object = json.loads(NOT_FOR_APPLY.sub("", repr_of(item)))
                readable["metadata"]["name"] += "-readable"
                yield readable


def stored_by_watcher(folder: Path, plane: ControlPlane, bucket: Bucket) -> dict[str, bytes]:
    """The files of the objects after `run --once`."""
    with running(folder, plane.kubeconfig(), bucket, "run", "--once") as watcher:
        assert watcher.wait() == 0, watcher.log
    keys = [key for key in bucket.keys(PREFIX) if not key.startswith(f"{PREFIX}_meta/")]
    return {key: bucket.read(key) for key in keys}


def kind_of(key: str) -> str:
    return key.removeprefix(PREFIX).split("/")[1]


def is_left_aside(key: str, file: bytes) -> bool:
    return file.startswith(b"# ownerReferences: ") or kind_of(key) == "node"


def how_restored(restored: Restored, key: str, file: bytes) -> dict[str, bytes]:
    if kind_of(key) == "secret":
        return restored.secrets
    return restored.created if NOT_FOR_APPLY.search(repr_of(yaml_1_1(file))) else restored.applied


def repr_of(item: Object) -> str:
    """JSON in which each character is itself."""
    return json.dumps(item, ensure_ascii=False)


def apply_in_order(plane: ControlPlane, files: Files, folder: Path) -> None:
    """Namespaces, then kinds, then the rest. Raises KubectlError if any file is refused."""
    rank = {"namespace": 0, "customresourcedefinition": 1}
    for step in range(3):
        chosen = {key: file for key, file in files.items() if rank.get(kind_of(key), 2) == step}
        plane.kubectl(*APPLY, written(chosen.values(), folder / str(step)))
        if step == 1:
            until(partial(are_served, plane, chosen), "kinds of the applied definitions")


def written(files: Iterable[bytes], folder: Path) -> Path:
    """A folder with these files for kubectl."""
    folder.mkdir(parents=True)
    for number, file in enumerate(files):
        folder.joinpath(f"{number}.yaml").write_bytes(file)
    return folder


def are_served(plane: ControlPlane, definitions: Iterable[str]) -> bool:
    """Whether objects of these CRDs, given by their keys, can be made. All have a version v1."""
    names = (key.rpartition("/")[2].removesuffix(".yaml").partition(".") for key in definitions)
    return all(plane.api().answers(f"/apis/{group}/v1/{plural}") for plural, _, group in names)


def contents(plane: ControlPlane, keys: Iterable[str]) -> dict[str, Object]:
    """What is there now, as far as a write that changes nothing must leave it alone.

    (The first write after a Job's or a claim's creation gives it a new version all the same.)
    """
    there = oracle.expected(plane.api())
    found = {key: there[key].live for key in keys if key in there}
    for live in found.values():
        del live["metadata"]["resourceVersion"]
    return found


def without_finished(file: bytes) -> bytes:
    """Nothing runs in the second cluster, so nothing ends there."""
    return re.sub(rb"(?m)^# finished: .*\n", b"", file)


def test_every_file_is_accepted_in_dependency_order(restored: Restored) -> None:
    assert contents(restored.cluster, restored.applied).keys() == restored.applied.keys()
    assert {kind_of(key) for key in restored.applied} >= {
        "certificate.cert-manager.io", "certificate.certificates.example.com", "clusterrole",
        "clusterrolebinding", "configmap", "cronjob", "customresourcedefinition", "deployment",
        "endpoints", "endpointslice", "horizontalpodautoscaler", "ingress", "job", "limitrange",
        "namespace", "networkpolicy", "persistentvolume", "persistentvolumeclaim",
        "poddisruptionbudget", "priorityclass", "resourcequota", "role", "rolebinding", "service",
        "serviceaccount", "statefulset", "storageclass", "validatingadmissionpolicy",
        "validatingwebhookconfiguration",
    }  # fmt: skip


def test_a_second_apply_changes_nothing(restored: Restored, tmp_path: Path) -> None:
    before = contents(restored.cluster, restored.applied)
    apply_in_order(restored.cluster, restored.applied, tmp_path)
    assert contents(restored.cluster, restored.applied) == before


def test_a_watcher_there_stores_the_same_bytes(
    restored: Restored, minio: Minio, tmp_path: Path
) -> None:
    files = stored_by_watcher(tmp_path, restored.cluster, minio.new_bucket())
    wanted = restored.applied | restored.created
    other = [key for key, file in wanted.items() if files.get(key) != without_finished(file)]
    assert not other, oracle.report(other)


def test_a_redacted_secret_is_refused_and_makes_nothing(restored: Restored, tmp_path: Path) -> None:
    assert len(restored.secrets) >= 7 * NAMESPACES
    for number, file in enumerate(restored.secrets.values()):
        with pytest.raises(KubectlError, match="illegal base64"):
            restored.cluster.kubectl(*APPLY, written([file], tmp_path / str(number)))
    assert not contents(restored.cluster, restored.secrets)
