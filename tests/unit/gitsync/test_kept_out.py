"""What may not be mirrored, and what nobody wants mirrored."""

from pathlib import Path

import pytest

from tests.unit.gitsync.rig import EAST, WEST, Rig
from watcher.gitsync.selection import PLAIN_SECRET, UNREADABLE, Selection

GOLDEN = Path(__file__).parents[2] / "golden" / "secrets"
SECRET = "myapp/secret/db.yaml"
WEB = "default/deployment/web.yaml"
OWNED = '# ownerReferences: [{"kind":"ReplicaSet"}]\nkind: Pod\n'


def secret(policy: str) -> str:
    return (GOLDEN / f"opaque.{policy}.yaml").read_text("utf-8")


@pytest.mark.parametrize("policy", ["redact", "redact-with-key"])
async def test_redacted_secrets_are_mirrored(rig: Rig, policy: str) -> None:
    await rig.put(EAST, SECRET, secret(policy))
    summary = await rig.sync()
    assert rig.mirrored() == rig.expected()
    assert not summary.left_out


async def test_plain_secrets_are_in_no_object_of_the_repository(rig: Rig) -> None:
    await rig.put(EAST, SECRET, secret("plain"))
    await rig.put(EAST, WEB, "replicas: 1\n")
    summary = await rig.sync()
    assert summary.left_out == {EAST.prefix + SECRET: PLAIN_SECRET}
    assert list(rig.mirrored()) == [EAST.prefix + WEB]
    assert f"Not mirrored:\n{EAST.prefix}{SECRET} (plain-secret)" in rig.host.message()
    everything = rig.host.git("cat-file", "--batch-all-objects", "--batch")
    assert b"aHVudGVyMg" not in everything
    assert secret("plain").count("aHVudGVyMg")


async def test_what_is_left_out_is_told_of_until_it_is_looked_at_again(rig: Rig) -> None:
    await rig.put(EAST, SECRET, secret("plain"))
    async with rig.started(git_sync_schedule="continuous") as mirror:
        told = [(await mirror.round()).left_out]
        await rig.put(EAST, WEB, "replicas: 1\n")
        await rig.flush_journals()
        told += [(await mirror.round(full=False)).left_out, (await mirror.round()).left_out]
        assert told == 3 * [{EAST.prefix + SECRET: PLAIN_SECRET}]
        await rig.put(EAST, SECRET, secret("redact"))
        await rig.flush_journals()
        assert (await mirror.round(full=False)).left_out == {}


async def test_a_plain_secret_is_told_of_each_time_also_without_owned_objects(rig: Rig) -> None:
    await rig.put(EAST, SECRET, secret("plain"))
    await rig.sync(git_exclude_owned="true")
    summary = await rig.sync(git_exclude_owned="true")
    assert summary.left_out == {EAST.prefix + SECRET: PLAIN_SECRET}


async def test_a_secret_that_became_plain_leaves_the_mirror(rig: Rig) -> None:
    await rig.put(EAST, SECRET, secret("redact"))
    await rig.sync()
    await rig.put(EAST, SECRET, secret("plain"))
    await rig.sync()
    assert rig.mirrored() == {}


async def test_a_secret_whose_file_cannot_be_read_is_left_out(rig: Rig) -> None:
    await rig.put(EAST, SECRET, "data: {password: hunter2}\n")
    summary = await rig.sync()
    assert summary.left_out == {EAST.prefix + SECRET: UNREADABLE}


async def test_plain_secrets_are_mirrored_where_somebody_allowed_it(rig: Rig) -> None:
    await rig.put(EAST, SECRET, secret("plain"))
    await rig.sync()
    await rig.sync(git_allow_plain_secrets="true")
    assert rig.mirrored() == rig.expected()
    await rig.sync()
    assert rig.mirrored() == {}


async def test_clusters_and_kinds_can_be_left_out(rig: Rig) -> None:
    for layout in (EAST, WEST):
        await rig.put(layout, WEB, "replicas: 1\n")
        await rig.put(layout, "default/configmap/conf.yaml", "data: {}\n")
        await rig.put(layout, "default/certificate.cert-manager.io/tls.yaml", "spec: {}\n")
    await rig.sync(
        git_exclude_clusters="*/west",
        git_include_kinds="deployment,*.cert-manager.io",
    )
    assert rig.mirrored().keys() == {
        EAST.prefix + WEB,
        EAST.prefix + "default/certificate.cert-manager.io/tls.yaml",
    }
    assert b"west" not in rig.host.files()["README.md"]


async def test_another_selection_is_compared_with_everything(rig: Rig) -> None:
    for layout in (EAST, WEST):
        await rig.put(layout, WEB, "replicas: 1\n")
        await rig.put(layout, "default/configmap/conf.yaml", "data: {}\n")
    await rig.sync(git_include_clusters="*/east", git_exclude_kinds="configmap")
    await rig.sync()
    assert rig.mirrored() == rig.expected()
    await rig.sync(git_exclude_kinds="deployment")
    assert all("configmap" in path for path in rig.mirrored())


async def test_owned_objects_can_be_left_out_and_are_not_read_each_time(rig: Rig) -> None:
    pod = "default/pod/web-1.yaml"
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.put(EAST, pod, OWNED)
    await rig.sync(git_exclude_owned="true")
    assert list(rig.mirrored()) == [EAST.prefix + WEB]
    rig.forget_requests()
    await rig.sync(git_exclude_owned="true")
    assert rig.read() == []
    await rig.put(EAST, pod, "kind: Pod\n")  # nobody owns it any more
    await rig.sync(git_exclude_owned="true")
    assert rig.mirrored() == rig.expected()


async def test_another_selection_that_makes_no_difference_is_compared_once(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    rig.clock.tick(minutes=5)
    async with rig.started(git_exclude_kinds="lease") as mirror:
        await mirror.round()
        rig.forget_requests()
        rig.clock.tick(minutes=5)
        await mirror.round()
    assert rig.read() == []
    assert len(rig.host.commits()) == 1


def test_another_bucket_or_selection_has_another_digest() -> None:
    digests = {
        Selection("a", "").digest,
        Selection("b", "").digest,
        Selection("a", "x/").digest,
        Selection("a", "", exclude_owned=True).digest,
        Selection("a", "", plain_secrets=True).digest,
        Selection("a", "", include_clusters=("x/y",)).digest,
    }
    assert len(digests) == 6
    assert Selection("a", "").digest == Selection("a", "").digest
