"""What stands beside a first sync: each is measured, and does its whole job."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from bench.measure.buckets import Sink
from bench.measure.yardsticks import katafygio, kubectl, obvious_way, raw_puts, signed_puts
from tests.e2e.minio import Bucket
from watcher.objects.ref import APIResource

FILES = {f"a/b/c/pod/{number}.yaml": b"x: %d\n" % number for number in range(100)}
PODS = APIResource("", "v1", "pods", "Pod", True)
POD = {"metadata": {"name": "a", "namespace": "b"}, "spec": {"nodeName": "c"}, "status": {}}


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    server = Sink(tmp_path)
    yield server
    server.close()


def test_raw_puts_put_each_file_once(sink: Sink) -> None:
    figures = raw_puts.measure(Bucket(sink.endpoint, "bucket"), FILES)
    assert sink.asked()["PUT"] == len(FILES)
    assert figures["raw-puts.per_second"] > 0


def test_signed_puts_put_each_file_once(sink: Sink) -> None:
    figures = signed_puts.measure(Bucket(sink.endpoint, "bucket"), FILES)
    assert (sink.asked()["PUT"], sink.asked()["bytes"]) == (100, sum(map(len, FILES.values())))
    assert figures["signed-puts.cpu_us"] > 0


def test_the_obvious_way_stores_its_share_of_the_objects(sink: Sink) -> None:
    items = [(PODS, orjson.dumps(POD))] * 900
    figures = obvious_way.measure(Bucket(sink.endpoint, "bucket"), items)
    assert sink.asked()["PUT"] == figures["obvious-way.objects"] == 300
    assert figures["obvious-way.cpu_ms"] > 0


def test_files_of_a_directory_are_those_of_objects(tmp_path: Path) -> None:
    for key in ("d/c/shop/pod/web.yaml", "d/c/_meta/owner.json", "d/c/_meta/trash/x.yaml"):
        file = tmp_path / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    assert raw_puts.stored(tmp_path) == {"d/c/shop/pod/web.yaml": b"x"}


def test_katafygio_is_asked_for_one_dump_and_its_files_are_counted(tmp_path: Path) -> None:
    program = tmp_path / "katafygio"
    program.write_text(
        '#!/bin/sh\necho "$@" > "$0.asked"\nmkdir -p "$4/shop"\ntouch "$4/shop/a.yaml"\n'
    )
    program.chmod(0o755)
    figures = katafygio.measure(program, tmp_path / "run", tmp_path / "kubeconfig")
    assert figures["katafygio.objects"] == 1
    asked = Path(f"{program}.asked").read_text()
    assert f"--kube-config {tmp_path / 'kubeconfig'} --local-dir" in asked
    assert "--no-git --dump-only" in asked


def test_kubectl_is_asked_once_for_all_kinds_and_what_it_printed_is_counted(tmp_path: Path) -> None:
    program = tmp_path / "kubectl"
    program.write_text(
        '#!/bin/sh\necho "$@" > "$0.asked"\n'
        "printf 'items:\\n- apiVersion: v1\\n  x:\\n  - apiVersion: v2\\n- apiVersion: v1\\n'\n"
    )
    program.chmod(0o755)
    deployments = APIResource("apps", "v1", "deployments", "Deployment", True)
    figures = kubectl.measure(
        tmp_path / "run", tmp_path / "kubeconfig", [PODS, deployments], program
    )
    assert figures["kubectl.objects"] == 2
    asked = Path(f"{program}.asked").read_text()
    assert asked.endswith("get --all-namespaces --output yaml pods,deployments.apps\n")


def test_a_kubectl_that_fails_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="kubectl ended with 1"):
        kubectl.measure(tmp_path, tmp_path / "kubeconfig", [PODS], Path("/bin/false"))


def test_a_katafygio_that_writes_nothing_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="katafygio ended with 0"):
        katafygio.measure(Path("/bin/true"), tmp_path, tmp_path / "kubeconfig")
