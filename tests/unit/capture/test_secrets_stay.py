"""No value of a Secret, and no key of ours, is in anything that comes out: bucket, log in full
detail, metrics, status page, settings, errors."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest

from bench.cluster import Cluster
from tests.memory_store import Fault
from tests.unit.capture.rig import Rig, following, refusal
from watcher.cluster.client import Item
from watcher.objects.secrets import SecretPolicy
from watcher.serve.status import render
from watcher.settings.reading import gather
from watcher.settings.show import as_json, as_table

pytestmark = pytest.mark.looptime

MARK = "pAssW0rd-of-everything"
FORMS = (MARK.encode(), base64.b64encode(MARK.encode()), MARK.encode().hex().encode())
KEYS = {"minio_access_key": "marked-access-key", "minio_secret_key": f"key-{MARK}"}


def secret(name: str, **content: Any) -> Item:
    metadata = {"name": name, "namespace": "default", "annotations": annotations()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **content}


def annotations() -> dict[str, str]:
    """Copies that tools keep of what they applied."""
    copy = f'{{"data":{{"password":"{encoded(MARK)}"}}}}'
    return {"kubectl.kubernetes.io/last-applied-configuration": copy, "kapp.k14s.io/original": copy}


def encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def marked(out: bytes) -> list[bytes]:
    """Where the mark is in what came out, with what stands around it."""
    around = (re.search(b".{0,60}" + re.escape(form) + b".{0,20}", out) for form in FORMS)
    return [found[0] for found in around if found]


def everything_out(rig: Rig) -> Iterator[bytes]:
    yield rig.logged.getvalue().encode()
    yield rig.metrics.render()[0]
    yield render(rig.status(), refresh=None).encode()
    for key, body in rig.store.objects().items():
        yield key.encode() + body
    for key in rig.store.objects():
        yield repr(rig.store._objects[key].metadata).encode()


@pytest.mark.parametrize("fingerprint_key", ["", "a-key-that-is-long-enough-for-this"])
async def test_what_a_secret_holds_stays_in_the_cluster(
    fingerprint_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(**KEYS, fingerprint_key=fingerprint_key, log_level="debug")
    rig.cluster.create(secret("good", data={"password": encoded(MARK)}, type="Opaque"))
    rig.cluster.create(secret("odd", data={"password": f"{MARK}, no base64!"}))
    apply = SecretPolicy.apply

    def stumbling(policy: SecretPolicy, found: Item) -> None:
        if found["metadata"]["name"] == "stumbled-over":
            raise ValueError("cannot be read")
        apply(policy, found)

    monkeypatch.setattr(SecretPolicy, "apply", stumbling)
    rig.cluster.create(secret("stumbled-over", data={"password": encoded(MARK)}))
    async with rig.running():
        rig.store.choose_fault = lambda operation, key: (
            Fault.REJECTED if operation == "PUT" and "/secret/" in key else Fault.NONE
        )
        changed = secret("good", data={"password": encoded(f"{MARK}2")}, type="changed")
        rig.cluster.update(changed)
        await rig.until(lambda: rig.metric("bucket_retries_total", reason="rejected") > 0)
        rig.store.choose_fault = lambda operation, key: Fault.NONE
        await rig.until(lambda: "default/secret/good.yaml" in rig.files())
        for out in everything_out(rig):
            assert marked(out) == []
            assert not (fingerprint_key and fingerprint_key.encode() in out)
    assert rig.logged.getvalue().count("cannot be made sense of") == 2
    assert "Traceback" in rig.logged.getvalue()


async def test_our_own_keys_are_in_no_refusal_no_settings_and_no_log() -> None:
    given = {name.replace("_", "-"): value for name, value in KEYS.items()}
    gathered = gather(given, {})
    for out in (as_table(gathered), as_json(gathered)):
        assert "minio-secret-key" in out
        assert MARK not in out
    rig = Rig(**KEYS)
    assert MARK not in repr(rig.settings)
    async with following(rig) as task:
        await rig.until(lambda: rig.ready() is None)
        rig.cluster._tables = Cluster(rig.clock, seed=99)._tables
        rig.cluster.faults.drop_watches()
        await rig.until(task.done, 90)
        assert MARK not in f"{refusal(task)!r} {task.exception()!r} {rig.logged.getvalue()}"
