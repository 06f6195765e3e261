"""What a round does: the branch equals the bucket afterwards, for what changed and no more."""

import os
import shutil
from pathlib import Path

import pytest

from tests.memory_store import Fault
from tests.unit.gitsync.rig import EAST, WEST, Rig
from watcher.errors import RefusedError
from watcher.gitsync import draft
from watcher.gitsync.git import GitError

WEB = "default/deployment/web.yaml"
CONF = "default/configmap/conf.yaml"
NODE = "_cluster/clusterrole/system%3Anode.yaml"


class Killed(Exception):
    """Whatever ends a process at once."""


async def test_the_first_round_mirrors_everything(rig: Rig) -> None:
    await rig.put(EAST, WEB, "kind: Deployment\n")
    await rig.put(EAST, NODE, "kind: ClusterRole\n")
    await rig.put(WEST, CONF, "kind: ConfigMap\n")
    await rig.flush_journals()
    summary = await rig.sync()
    assert rig.mirrored() == rig.expected()
    assert rig.host.subjects() == ["2 clusters, 3 added"]
    assert (summary.clusters, summary.commits, dict(summary.made)) == (2, 1, {"A": 3})
    assert rig.host.is_sound()


async def test_no_hook_of_the_machine_gets_into_the_copy(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    async with rig.started() as mirror:
        await mirror.round()
        assert (rig.cache / "repository.git" / "config").exists()
        assert not (rig.cache / "repository.git" / "hooks").exists()


async def test_the_generated_files_name_the_clusters_and_keep_bytes_as_they_are(rig: Rig) -> None:
    await rig.put(EAST, WEB, "kind: Deployment\r\n")
    await rig.sync()
    files = rig.host.files()
    assert b"- [example.com/east](example.com/east/)\n" in files["README.md"]
    assert files[".gitattributes"] == b"*.yaml -text\n"
    with rig.host.by_hand() as clone:
        assert (clone / EAST.prefix / WEB).read_bytes() == b"kind: Deployment\r\n"
        (clone / "notes").write_text("by hand")


async def test_a_round_reads_what_changed_and_nothing_else(rig: Rig) -> None:
    await rig.put_many(EAST, 20)
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    rig.forget_requests()
    await rig.put(EAST, WEB, "replicas: 2\n")
    await rig.delete(EAST, "default/configmap/conf-7.yaml")
    await rig.put(WEST, CONF, "data: {}\n")
    await rig.sync()
    assert rig.read() == [EAST.prefix + WEB, WEST.prefix + CONF]
    assert rig.mirrored() == rig.expected()
    assert rig.host.subjects()[0] == "2 clusters, 1 changed, 1 added, 1 deleted"


async def test_where_nothing_changed_there_is_no_commit(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    before = rig.host.commits()
    summary = await rig.sync()
    assert rig.host.commits() == before
    assert (summary.commits, summary.made.total()) == (0, 0)


async def test_a_file_written_again_with_the_same_bytes_makes_no_commit(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    assert len(rig.host.commits()) == 1


async def test_what_was_written_while_a_round_ran_is_found_by_the_next(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    async with rig.started() as mirror:
        rig.clock.tick(minutes=5)
        await mirror.round()
        # Listed as of a moment before that round's beginning: servers' clocks differ.
        rig.clock.tick(seconds=-30)
        await rig.store.put(EAST.prefix + WEB, b"replicas: 2\n")
        rig.clock.tick(hours=1)
        await mirror.round()
    assert rig.mirrored() == rig.expected()


async def test_files_that_are_no_objects_are_not_mirrored(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    for key in ("_meta/owner.txt", "README.md", ".git/config", "a/b/c/d.yaml", "../x/y/z.yaml"):
        rig.store.written_by_a_stranger(EAST.prefix + key, b"{}")
    rig.store.written_by_a_stranger("top.yaml", b"{}")
    await rig.sync()
    assert rig.mirrored() == {EAST.prefix + WEB: b"replicas: 1\n"}


async def test_a_cluster_that_is_gone_from_the_bucket_is_removed(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.put(WEST, CONF, "data: {}\n")
    await rig.sync()
    await rig.delete(WEST, CONF)
    await rig.sync()
    assert rig.mirrored() == rig.expected()
    assert b"west" not in rig.host.files()["README.md"]


async def test_an_empty_bucket_does_not_empty_the_mirror(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    await rig.delete(EAST, WEB)
    with pytest.raises(RefusedError, match=r"memory holds no cluster, the mirror 1"):
        await rig.sync()
    assert list(rig.mirrored()) == [EAST.prefix + WEB]


async def test_nor_is_a_mirror_of_nothing_begun(rig: Rig) -> None:
    with pytest.raises(RefusedError, match="is it the right bucket"):
        await rig.sync()
    assert not rig.host.has_branch()


@pytest.mark.parametrize("name", ["README.md", ".gitattributes"])
async def test_a_file_of_others_with_a_generated_ones_name_is_not_replaced(
    rig: Rig, name: str
) -> None:
    with rig.host.by_hand() as clone:
        (clone / name).write_text("ours since 2019\n")
    await rig.put(EAST, WEB, "replicas: 1\n")
    with pytest.raises(RefusedError, match=r"of its own.*git-path-prefix"):
        await rig.sync()
    await rig.sync(git_path_prefix="clusters")
    assert rig.host.files()[name] == b"ours since 2019\n"


async def test_the_message_names_who_changed_what(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n", by="helm")
    await rig.put(EAST, CONF, "data: {}\n", by="kubectl")
    await rig.put(WEST, CONF, "data: {}\n", by="kubectl")
    await rig.sync()
    body = rig.host.message().split("\n\n")
    assert body[1].splitlines() == [
        "cluster           kind        changed  added  deleted",
        "example.com/east  configmap                1",
        "example.com/east  deployment               1",
        "example.com/west  configmap                1",
    ]
    assert body[2] == "Changed by kubectl 2, helm 1."


async def test_a_big_first_mirror_is_pushed_in_parts(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft, "_PART", 4)
    await rig.put_many(EAST, 10)
    summary = await rig.sync()
    assert rig.mirrored() == rig.expected()
    assert summary.commits == len(rig.host.commits()) == 3
    assert dict(summary.made) == {"A": 10}
    assert rig.host.is_sound()


async def test_where_little_is_new_one_commit_tells_how_far_all_of_it_goes(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft, "_PART", 4)
    await rig.put_many(EAST, 10)
    await rig.sync()
    before = len(rig.host.commits())
    await rig.put(EAST, "default/configmap/conf-0.yaml", "data: new\n")
    other = {"git_exclude_kinds": "lease"}  # so that all of it has to be compared
    await rig.sync(**other)
    assert rig.mirrored() == rig.expected()
    assert len(rig.host.commits()) == before + 1
    rig.forget_requests()
    await rig.sync(**other)
    assert rig.read() == []


async def test_a_first_mirror_that_was_killed_between_its_parts_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft, "_PART", 4)
    await rig.put_many(EAST, 10)

    def die_after_the_first_part(operation: str, key: str) -> Fault:
        if rig.host.has_branch():
            raise Killed
        return Fault.NONE

    rig.store.page = 4
    rig.store.choose_fault = die_after_the_first_part
    with pytest.raises(Killed):
        await rig.sync()
    rig.store.recover()
    assert len(rig.host.commits()) == 1
    await rig.sync()
    assert rig.mirrored() == rig.expected()


async def test_git_that_ends_amid_the_files_is_a_fault_of_the_copy(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full" / "git"
    full.parent.mkdir()
    full.write_text(
        "#!/bin/sh\n"
        'case "$*" in *fast-import*)'
        " head -c 300000 > /dev/null; echo 'fatal: No space left on device' >&2; exit 128;; esac\n"
        f'exec {shutil.which("git")} "$@"\n'
    )
    full.chmod(0o755)
    for number in range(20):
        await rig.put(EAST, f"default/configmap/conf-{number}.yaml", "data: x\n" * 10_000)
    monkeypatch.setenv("PATH", f"{full.parent}:{os.environ['PATH']}")
    with pytest.raises(GitError, match="No space left on device"):
        await rig.sync()


async def test_a_commit_for_each_cluster_if_asked_for(rig: Rig) -> None:
    for layout in (EAST, WEST):
        await rig.put(layout, WEB, "replicas: 1\n")
        await rig.put(layout, CONF, "data: {}\n")
    await rig.sync(git_commit_per_cluster="true")
    await rig.delete(EAST, WEB)
    await rig.put(WEST, WEB, "replicas: 2\n")
    summary = await rig.sync(git_commit_per_cluster="true")
    assert rig.host.subjects() == [
        "example.com/west, 1 changed",
        "example.com/east, 1 deleted",
        "example.com/west, 2 added",
        "example.com/east, 2 added",
    ]
    assert summary.commits == 2
    assert rig.mirrored() == rig.expected()


async def test_a_cluster_that_cannot_be_read_is_behind_and_the_others_are_not(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.put(WEST, WEB, "replicas: 1\n")
    await rig.sync()
    await rig.put(EAST, WEB, "replicas: 2\n")
    await rig.put(WEST, WEB, "replicas: 2\n")
    rig.store.written_by_a_stranger(WEST.prefix + "_meta/owner.json", b'{"format": 9}')
    summary = await rig.sync()
    assert rig.mirrored()[EAST.prefix + WEB] == b"replicas: 2\n"
    assert rig.mirrored()[WEST.prefix + WEB] == b"replicas: 1\n"
    assert list(summary.behind) == ["example.com/west"]
    assert "format 9" in summary.behind["example.com/west"]
    rig.store.removed_by_a_stranger(WEST.prefix + "_meta/owner.json")
    await rig.sync()
    assert rig.mirrored() == rig.expected()


async def test_the_mirror_may_lie_in_a_folder_of_a_repository(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync(git_path_prefix="clusters/all")
    await rig.put(EAST, CONF, "data: {}\n")
    await rig.sync(git_path_prefix="clusters/all")
    prefix = "clusters/all/"
    assert rig.host.files().keys() == {
        *(prefix + path for path in rig.expected()),
        f"{prefix}README.md",
        f"{prefix}.gitattributes",
    }
    assert rig.host.subjects()[0] == "example.com/east, 1 added"
