"""A reconcile finds exactly what differs and repairs exactly that, on some 5,000 real objects.

Nothing happens in the cluster by itself, so each request to the bucket can be accounted for; each
test has a bucket of its own. Judges are the oracle, which lists the cluster itself, and the proxy
on the way to the bucket.
"""

import json
import math
import random
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b, md5
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.api import API
from tests.e2e.changes import Restless, path, send
from tests.e2e.conftest import StartWatcher
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fill import fill
from tests.e2e.minio import Bucket, Minio
from tests.e2e.oracle import differences, expected, wait_until_equal
from tests.e2e.process import until
from tests.e2e.proxy import Proxy
from tests.e2e.scene import QUICK
from tests.e2e.watcher_process import PREFIX, command

EACH = 20  # of each kind of damage
PAGE = 1000  # keys that one LIST tells
META = f"{PREFIX}_meta/"
CHANGEABLE = {"ConfigMap", "Secret", "Service", "ServiceAccount", "Role", "NetworkPolicy"}
NOTHING: dict[str, list[str]] = {"missing": [], "changed": [], "orphaned": []}


@pytest.fixture(scope="module")
def plane(scratch: Path) -> Iterator[ControlPlane]:
    """Some 5,200 objects that rest."""
    started = ControlPlane(scratch / "reconcile")
    try:
        fill(started, namespaces=120)
        yield started
    finally:
        started.close()


@pytest.fixture
def api(plane: ControlPlane) -> API:
    return plane.api()


@dataclass(slots=True)
class Damage:
    """What was done to a bucket and its cluster behind everybody's back. Keys are relative."""

    removed: set[str] = field(default_factory=set)
    corrupted: set[str] = field(default_factory=set)
    strange: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)  # in the cluster

    @property
    def drift(self) -> dict[str, list[str]]:
        """As a report has to tell it."""
        return {
            "missing": sorted(self.removed),
            "changed": sorted(self.corrupted | self.changed),
            "orphaned": sorted(self.strange),
        }

    @property
    def to_write(self) -> set[str]:
        return self.removed | self.corrupted | self.changed


def damage(api: API, bucket: Bucket, *, changed_too: bool) -> Damage:
    """Remove, corrupt and add so many files each, of any kind there is, and change as many objects
    in the cluster."""
    wanted = expected(api)
    changeable = sorted(key for key, one in wanted.items() if one.live["kind"] in CHANGEABLE)
    changed = random.sample(changeable, EACH if changed_too else 0)
    others = random.sample(sorted(wanted.keys() - set(changed)), 2 * EACH)
    removed, corrupted = others[:EACH], others[EACH:]
    strange = [f"{PREFIX}default/configmap/stranger-{number}.yaml" for number in range(EACH)]
    for key in removed:
        bucket.remove(key)
    for key in corrupted:
        bucket.write(key, wanted[key].file + b"# and more\n")
    for key in strange:
        bucket.write(key, b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: stranger\n")
    annotation = {"metadata": {"annotations": {"example.com/changed": uuid4().hex}}}
    send(api, [("PATCH", path(wanted[key].live), annotation) for key in changed])
    return Damage(*(set(map(_relative, keys)) for keys in (removed, corrupted, strange, changed)))


def _relative(key: str) -> str:
    return key.removeprefix(PREFIX)


class Bill:
    """What was asked of the bucket through a proxy, by what it was about."""

    def __init__(self, proxy: Proxy, bucket: Bucket) -> None:
        self._seen = [
            (seen.method, seen.path.removeprefix(f"/{bucket.name}"))
            for seen in proxy.requests
            if 200 <= seen.status < 300
        ]

    def keys(self, method: str) -> Counter[str]:
        """Objects' keys, relative, and how many requests with this method each took."""
        objects = re.compile(rf"/{re.escape(PREFIX)}(?!_meta/)([^?]+)")
        found = (objects.match(path) for asked, path in self._seen if asked == method)
        return Counter(match[1] for match in found if match)

    @property
    def trash(self) -> set[str]:
        """Objects' keys that were copied into the trash."""
        copies = re.compile(rf"/{re.escape(META)}trash/[^/]+/([^?]+)")
        found = (copies.match(path) for asked, path in self._seen if asked == "PUT")
        return {match[1] for match in found if match}

    @property
    def lists(self) -> int:
        """LISTs of all objects, page by page; not of `_meta`, and not for one key alone."""
        whole = re.compile(rf"/?\?.*\bprefix={re.escape(PREFIX)}(&|$)")
        return sum(
            asked == "GET" and bool(whole.match(path)) and "max-keys=1&" not in path + "&"
            for asked, path in self._seen
        )

    @property
    def writes(self) -> list[tuple[str, str]]:
        """All requests that change something."""
        return [(asked, path) for asked, path in self._seen if asked not in ("GET", "HEAD")]


def told(done: "subprocess.CompletedProcess[str]", *, code: int = 0) -> Any:
    """The report that `watcher reconcile --output json` printed."""
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def pages(bucket: Bucket) -> int:
    """LISTs that one look at all objects may take: the listing goes round `_meta`."""
    keys = [key for key in bucket.keys(PREFIX) if not key.startswith(META)]
    return math.ceil(len(keys) / PAGE) + 1


def root(api: API) -> str:
    """The hash root of what has to be in the bucket, by FORMAT.md section 5."""
    lines = sorted(
        key.removeprefix(PREFIX).encode() + b"\0" + md5(one.file).hexdigest().encode()
        for key, one in expected(api).items()
    )
    return blake2b(b"".join(line + b"\n" for line in lines), digest_size=32).hexdigest()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("versioned", [True, False], ids=["versioned", "unversioned"])
def test_exactly_what_differs_is_found_and_repaired(
    plane: ControlPlane, api: API, minio: Minio, s3_proxy: Proxy, versioned: bool
) -> None:
    bucket = minio.new_bucket(versioned=versioned)
    kubeconfig, through = plane.kubeconfig(), bucket.at(s3_proxy.url)
    first = command(kubeconfig, bucket, "run", "--once")
    assert first.returncode == 0, first.stderr
    done = damage(api, bucket, changed_too=True)
    before = bucket.etags()
    assert len(before) > 5000

    s3_proxy.forget()
    dry = command(kubeconfig, through, "reconcile", "--dry-run", "--output=json")
    report = told(dry, code=1)
    assert report["drift"] == done.drift
    assert (report["dry_run"], report["repaired"]) == (True, 0)
    assert Bill(s3_proxy, bucket).writes == []
    assert bucket.etags() == before

    s3_proxy.forget()
    report = told(command(kubeconfig, through, "reconcile", "--output=json"))
    bill = Bill(s3_proxy, bucket)
    assert report["drift"] == done.drift
    assert (report["repaired"], report["held"]) == (4 * EACH, 0)
    assert bill.keys("PUT") == Counter(dict.fromkeys(done.to_write, 1))
    assert bill.keys("DELETE") == Counter(dict.fromkeys(done.strange, 1))
    assert bill.trash == (set() if versioned else done.strange)
    assert bill.keys("GET").total() == report["read_back"]["files"]
    assert report["requests"]["LIST"] <= pages(bucket)
    assert bill.lists == 2 * report["requests"]["LIST"]  # once to know what there is, as any start
    assert differences(api, bucket) == []
    assert {key.split("/", 5)[5] for key in bucket.keys(f"{META}trash/")} == bill.trash
    if versioned:
        assert bucket.deleted(PREFIX) == {PREFIX + key for key in done.strange | done.removed}

    s3_proxy.forget()
    report = told(command(kubeconfig, through, "reconcile", "--output=json"))
    bill = Bill(s3_proxy, bucket)
    assert report["drift"] == NOTHING
    assert bill.keys("PUT") + bill.keys("DELETE") == Counter()
    assert report["moving"] == []
    assert report["hash_root"]["cluster"] == report["hash_root"]["bucket"] == root(api)
    assert report["hash_root"]["objects"] == len(expected(api))


@pytest.mark.timeout(300)
def test_a_running_service_is_asked_and_what_changes_meanwhile_is_no_drift(
    plane: ControlPlane, api: API, minio: Minio, start_watcher: StartWatcher
) -> None:
    bucket = minio.new_bucket(versioned=True)
    watcher = start_watcher(plane.kubeconfig(), bucket, **QUICK)
    watcher.wait_ready()
    restless = Restless(api, "default")
    done = damage(api, bucket, changed_too=False)
    with restless:
        asked = command(plane.kubeconfig(), bucket, "reconcile", "--output=json")
    report = told(asked)
    assert report["drift"] == done.drift
    assert (report["trigger"], report["repaired"]) == ("request", 3 * EACH)
    assert report["hash_root"]["objects"] > 5000
    (request,) = bucket.keys(f"{META}requests/")
    answer = json.loads(bucket.read(request))
    assert answer["state"] == "done"
    assert json.loads(bucket.read(META + answer["report"])) == report
    assert watcher.metric("watcher_reconcile_drift_objects") == 3 * EACH
    wait_until_equal(api, bucket)
    gone = {key for key in bucket.deleted(PREFIX) if not restless.owns(key)}
    assert gone == {PREFIX + key for key in done.strange | done.removed}


@pytest.mark.timeout(300)
def test_a_running_service_reconciles_at_its_time_at_the_price_of_lists_and_a_slice(
    plane: ControlPlane, api: API, minio: Minio, s3_proxy: Proxy, start_watcher: StartWatcher
) -> None:
    """The time is each minute, looked at twice a minute."""
    bucket = minio.new_bucket()
    each_minute = {"reconcile_schedule": "* * * * *", "reconcile_window": "1s"}
    watcher = start_watcher(plane.kubeconfig(), bucket.at(s3_proxy.url), **each_minute)
    watcher.wait_ready()
    s3_proxy.forget()
    assert watcher.metric("watcher_reconcile_last_success_timestamp_seconds") == 0
    until(
        lambda: watcher.metric("watcher_reconcile_last_success_timestamp_seconds") > 0,
        "a reconcile",
        timeout=200,
    )
    bill = Bill(s3_proxy, bucket)
    (name,) = bucket.keys(f"{META}reports/")
    report = json.loads(bucket.read(name))
    assert (report["trigger"], report["drift"]) == ("schedule", NOTHING)
    proof = report["hash_root"]
    assert proof["cluster"] == proof["bucket"] == root(api)
    assert bill.keys("PUT") + bill.keys("DELETE") + bill.keys("HEAD") == Counter()
    assert bill.keys("GET").total() == report["read_back"]["files"]
    assert len(bill.keys("GET")) > 5000 / 30 / 2
    assert bill.lists == report["requests"]["LIST"] <= pages(bucket)

    metrics = watcher.metrics()
    assert metrics["watcher_reconcile_duration_seconds"] > 0
    assert metrics["watcher_reconcile_next_timestamp_seconds"] > 0
    for drift in NOTHING:
        assert metrics[f'watcher_reconcile_drift_objects{{type="{drift}"}}'] == 0
    page = watcher.page()
    assert "same hash root on both sides" in page
    assert proof["bucket"][:32] in page
    assert f"by {report['trigger']}" in page
