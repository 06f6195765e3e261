"""Other people's commits, and other git-syncs: the branch equals the bucket, nobody's work is lost,
and no history that was published is rewritten."""

import asyncio
from typing import Any

import pytest

from tests.memory_store import Fault
from tests.unit.gitsync.rig import BRANCH, EAST, WEST, Rig
from watcher.gitsync import draft
from watcher.gitsync.publish import publish

WEB = "default/deployment/web.yaml"
CONF = "default/configmap/conf.yaml"


async def ten_mirrored(rig: Rig) -> None:
    await rig.put_many(EAST, 10)
    await rig.sync()


async def test_somebody_elses_files_stay(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    with rig.host.by_hand() as clone:
        (clone / "docs").mkdir()
        (clone / "docs" / "how.md").write_text("How\n")
    theirs = rig.host.commits()[0]
    await rig.put(EAST, WEB, "replicas: 2\n")
    await rig.sync()
    assert rig.mirrored() == rig.expected()
    assert rig.host.files()["docs/how.md"] == b"How\n"
    assert rig.host.commits()[1] == theirs
    assert rig.host.is_sound()


@pytest.mark.parametrize("cache", ["kept", "lost"])
async def test_what_somebody_changed_in_our_folders_is_put_back(rig: Rig, cache: str) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.put(WEST, WEB, "replicas: 1\n")
    await rig.put(WEST, CONF, "data: {}\n")
    await rig.sync()
    with rig.host.by_hand() as clone:
        (clone / EAST.prefix / WEB).write_text("replicas: 99\n")
        (clone / EAST.prefix / "notes.md").write_text("Mine\n")
        (clone / WEST.prefix / CONF).unlink()
        (clone / "README.md").write_text("Ours now\n")
    if cache == "lost":
        rig.lose_cache()
    rig.forget_requests()
    summary = await rig.sync()
    assert rig.mirrored() == rig.expected()
    assert dict(summary.made) == {"M": 1, "A": 1, "D": 1}
    assert b"example.com/east" in rig.host.files()["README.md"]
    assert rig.read() == []


async def test_somebodys_commit_costs_no_second_reading_of_the_bucket(rig: Rig) -> None:
    await ten_mirrored(rig)
    with rig.host.by_hand() as clone:
        (clone / "notes.md").write_text("Mine\n")
    rig.forget_requests()
    await rig.put(EAST, WEB, "replicas: 2\n")
    await rig.sync()
    assert rig.read() == [EAST.prefix + WEB]


async def test_a_lost_copy_costs_no_second_reading_of_the_bucket(rig: Rig) -> None:
    await ten_mirrored(rig)
    rig.lose_cache()
    rig.forget_requests()
    await rig.put(EAST, WEB, "replicas: 2\n")
    await rig.sync()
    assert rig.read() == [EAST.prefix + WEB]
    assert rig.mirrored() == rig.expected()


async def test_ours_is_found_below_many_commits_of_others(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.put(EAST, CONF, "data: {}\n")
    await rig.sync()
    rig.host.commit_often(60)
    rig.lose_cache()
    rig.forget_requests()
    await rig.put(EAST, WEB, "replicas: 2\n")
    await rig.sync()
    assert rig.read() == [EAST.prefix + WEB]
    assert rig.mirrored() == rig.expected()


async def test_a_branch_put_back_to_an_older_commit_is_brought_up_to_date(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    older = rig.host.commits()[0]
    await rig.put(EAST, WEB, "replicas: 2\n")
    await rig.put(EAST, CONF, "data: {}\n")
    await rig.sync()
    await rig.delete(EAST, CONF)
    await rig.sync()
    rig.host.git("update-ref", f"refs/heads/{BRANCH}", older)
    await rig.sync()
    assert rig.mirrored() == rig.expected()
    assert rig.host.commits()[1] == older


@pytest.mark.parametrize("cache", ["kept", "lost"])
async def test_a_branch_that_was_deleted_is_made_anew(rig: Rig, cache: str) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    rig.host.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    if cache == "lost":
        rig.lose_cache()
    await rig.sync()
    assert rig.mirrored() == rig.expected()
    assert rig.host.subjects() == ["example.com/east, 1 added"]


async def test_a_history_that_is_not_ours_is_built_upon(rig: Rig) -> None:
    with rig.host.by_hand() as clone:
        (clone / "LICENSE").write_text("Free\n")
    theirs = rig.host.commits()
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    assert rig.host.commits()[1:] == theirs
    assert rig.mirrored() == rig.expected()
    assert rig.host.files()["LICENSE"] == b"Free\n"


async def test_a_commit_that_was_rewritten_tells_no_position(rig: Rig) -> None:
    """As `git commit --amend` does: its trailers are there, its files are others."""
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    with rig.host.by_hand() as clone:
        (clone / EAST.prefix / WEB).write_text("replicas: 99\n")
    amended = rig.host.git(
        "commit-tree", f"{BRANCH}^{{tree}}", input=rig.host.message(f"{BRANCH}^").encode()
    )
    rig.host.git("update-ref", f"refs/heads/{BRANCH}", amended.decode().strip())
    await rig.sync()
    assert rig.mirrored() == rig.expected()


async def test_two_at_once_both_end_well(rig: Rig) -> None:
    other = rig.another()
    await rig.put_many(EAST, 5)
    await asyncio.gather(rig.sync(), other.sync())
    assert rig.mirrored() == rig.expected()
    assert len(rig.host.commits()) == 1


async def test_overtaken_in_a_quick_round_nothing_is_lost(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.flush_journals()
    async with rig.started(git_sync_schedule="continuous") as mirror:
        await mirror.round()
        await rig.put(EAST, WEB, "replicas: 2\n")
        await rig.flush_journals()
        with rig.host.by_hand() as clone:
            (clone / "notes.md").write_text("Mine\n")
        summary = await mirror.round(full=False)
        assert dict(summary.made) == {"M": 1}
        await rig.put(EAST, CONF, "data: {}\n")
        await rig.flush_journals()
        await mirror.round(full=False)
    assert rig.mirrored() == rig.expected()
    assert rig.host.files()["notes.md"] == b"Mine\n"
    assert rig.host.is_sound()


async def test_overtaken_between_two_parts(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draft, "_PART", 3)
    await rig.put_many(EAST, 10)
    rig.clock.tick(minutes=5)
    async with rig.started() as mirror:
        overtaken = False

        async def overtake(*given: Any, **more: Any) -> Any:
            nonlocal overtaken
            if not overtaken:
                overtaken = True
                with rig.host.by_hand() as clone:
                    (clone / "notes.md").write_text("Mine\n")
            return await publish(*given, **more)

        monkeypatch.setattr("watcher.gitsync.mirror.publish", overtake)
        await mirror.round()
    assert rig.mirrored() == rig.expected()
    assert "notes.md" in rig.host.files()


async def test_overtaken_between_the_look_at_the_host_and_the_push(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    await rig.put(EAST, WEB, "replicas: 2\n")
    pushed: list[str] = []

    def push_meanwhile(operation: str, key: str) -> Fault:
        if operation == "GET" and key == EAST.prefix + WEB and not pushed:
            with rig.host.by_hand() as clone:
                (clone / "notes.md").write_text("Mine\n")
            pushed.append(key)
        return Fault.NONE

    rig.store.choose_fault = push_meanwhile
    summary = await rig.sync()
    assert rig.mirrored() == rig.expected()
    assert rig.host.files()["notes.md"] == b"Mine\n"
    assert dict(summary.made) == {"M": 1}
    assert rig.host.subjects()[:2] == ["example.com/east, 1 changed", "By hand"]
