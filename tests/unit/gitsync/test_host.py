"""A host that refuses, or is away: what it does not want is named and left out, the rest gets
there, and what could not be pushed waits."""

import pytest

from tests.unit.gitsync.rig import EAST, WEST, Rig
from watcher.gitsync import mirror as mirror_module
from watcher.gitsync.remote import RemoteError

WEB = "default/deployment/web.yaml"
BIG = "default/configmap/big.yaml"


def conf(number: int) -> str:
    return f"default/configmap/conf-{number}.yaml"


@pytest.mark.parametrize("named", [True, False])
async def test_a_file_that_is_refused_is_named_and_the_others_get_there(
    rig: Rig, named: bool
) -> None:
    await rig.put_many(EAST, 7)
    await rig.put(EAST, BIG, "data: too big\n")
    rig.host.refuse(EAST.prefix + BIG, named=named)
    summary = await rig.sync()
    assert rig.mirrored() == rig.expected_without(EAST.prefix + BIG)
    assert list(summary.rejected) == [EAST.prefix + BIG]
    assert ("policy violation 7" in summary.rejected[EAST.prefix + BIG]) is not named
    assert dict(summary.made) == {"A": 7}
    assert rig.host.is_sound()


async def test_two_files_that_are_refused_are_both_found(rig: Rig) -> None:
    await rig.put_many(EAST, 12)
    rig.host.refuse_content("data: [37]")
    summary = await rig.sync()
    refused = {EAST.prefix + conf(3), EAST.prefix + conf(7)}
    assert summary.rejected.keys() == refused
    assert rig.mirrored() == rig.expected_without(*refused)


async def test_what_a_refused_file_was_before_does_not_stay(rig: Rig) -> None:
    await rig.put(EAST, BIG, "data: small\n")
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    await rig.put(EAST, BIG, "data: too big\n")
    await rig.put(EAST, WEB, "replicas: 2\n")
    rig.host.refuse_content("too big")
    await rig.sync()
    assert rig.mirrored() == rig.expected_without(EAST.prefix + BIG)


async def test_a_refused_file_is_tried_again_and_reported_again(rig: Rig) -> None:
    await rig.put(EAST, BIG, "data: too big\n")
    await rig.put(EAST, WEB, "replicas: 1\n")
    rig.host.refuse(EAST.prefix + BIG, named=False)
    async with rig.started() as mirror:
        for _ in range(2):
            rig.clock.tick(days=1)
            summary = await mirror.round()
            assert list(summary.rejected) == [EAST.prefix + BIG]
        rig.host.unhook("pre-receive")
        rig.clock.tick(days=1)
        summary = await mirror.round()
    assert not summary.rejected
    assert rig.mirrored() == rig.expected()
    assert rig.host.is_sound()


@pytest.mark.parametrize("exclude", ["true", "false"])
async def test_a_refused_file_is_tried_again_by_another_process(rig: Rig, exclude: str) -> None:
    await rig.put_many(EAST, 4)
    await rig.put(WEST, WEB, "replicas: 1\n")
    rig.host.refuse_content("data: 0")
    for number in range(3):
        await rig.put(WEST, WEB, f"replicas: {number}\n")
        summary = await rig.sync(git_exclude_owned=exclude)
        assert list(summary.rejected) == [EAST.prefix + conf(0)]
    rig.host.unhook("pre-receive")
    summary = await rig.sync(git_exclude_owned=exclude)
    assert not summary.rejected
    assert rig.mirrored() == rig.expected()


async def test_a_host_that_refuses_everything_is_reported_as_such(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    rig.host.hook("pre-receive", "echo 'GitLab: You are not allowed to push code' >&2; exit 1")
    await rig.put(EAST, WEB, "replicas: 2\n")
    summary = await rig.sync()
    assert "we may read, but not write" in summary.unpublished
    assert not summary.rejected
    assert list(rig.mirrored().values()) == [b"replicas: 1\n"]
    rig.host.unhook("pre-receive")
    await rig.sync()
    assert rig.mirrored() == rig.expected()
    assert len(rig.host.commits()) == 2


async def test_what_was_refused_of_a_cluster_that_is_gone_is_told_of_no_more(rig: Rig) -> None:
    await rig.put(WEST, WEB, "replicas: 1\n")
    await rig.put(EAST, conf(1), "data: 1\n")
    await rig.put(EAST, BIG, "data: too big\n")
    rig.host.refuse(EAST.prefix + BIG, named=True)
    async with rig.started() as mirror:
        assert list((await mirror.round()).rejected) == [EAST.prefix + BIG]
        for key in (conf(1), BIG):
            await rig.delete(EAST, key)
        rig.store.removed_by_a_stranger(EAST.prefix + "_meta/owner.json")
        assert not (await mirror.round()).rejected
    assert rig.mirrored() == rig.expected()


async def test_a_host_that_takes_nothing_at_all_refuses_no_file(rig: Rig) -> None:
    await rig.put_many(EAST, 5)
    await rig.sync()
    rig.host.hook("pre-receive", "echo 'Changes must be made by a pull request.' >&2; exit 1")
    for number in range(5):
        await rig.put(EAST, conf(number), "data: new\n")
    summary = await rig.sync()
    assert "by a pull request" in summary.unpublished
    assert not summary.rejected
    rig.host.unhook("pre-receive")
    await rig.sync()
    assert rig.mirrored() == rig.expected()


async def test_a_ref_that_ends_like_the_branch_is_not_the_branch(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    rig.host.git("update-ref", "refs/backup/refs/heads/main", rig.host.commits()[0])
    for number in (2, 3):
        await rig.put(EAST, WEB, f"replicas: {number}\n")
        await rig.sync()
    assert rig.mirrored() == rig.expected()


async def test_while_the_host_is_away_commits_wait(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    async with rig.started() as mirror:
        await mirror.round()
        rig.host.away()
        for replicas in (2, 3):
            await rig.put(EAST, WEB, f"replicas: {replicas}\n")
            rig.clock.tick(minutes=5)
            summary = await mirror.round()
            assert "there is no such repository" in summary.unpublished
        rig.host.back()
        summary = await mirror.round()
        assert not summary.unpublished
    assert rig.mirrored() == rig.expected()
    assert len(rig.host.commits()) == 3


async def test_commits_that_wait_survive_the_process(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.sync()
    rig.host.away()
    await rig.put(EAST, WEB, "replicas: 2\n")
    await rig.sync()
    rig.host.back()
    rig.forget_requests()
    await rig.sync()
    assert rig.mirrored() == rig.expected()
    assert rig.read() == []


async def test_no_more_commits_wait_than_fit(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "_MOST_UNPUBLISHED", 2)
    await rig.put(EAST, WEB, "replicas: 0\n")
    async with rig.started() as mirror:
        await mirror.round()
        rig.host.away()
        for replicas in range(1, 5):
            await rig.put(EAST, WEB, f"replicas: {replicas}\n")
            rig.clock.tick(minutes=5)
            assert (await mirror.round()).unpublished
        rig.host.back()
        await mirror.round()
    assert rig.mirrored() == rig.expected()
    assert len(rig.host.commits()) == 4  # the last three changes are one


async def test_a_first_round_needs_the_host(rig: Rig) -> None:
    await rig.put(EAST, WEB, "replicas: 1\n")
    rig.host.away()
    with pytest.raises(RemoteError, match="there is no such repository, or we may not see it"):
        await rig.sync()


async def test_pushed_while_the_host_was_away_for_us(rig: Rig) -> None:
    """Commits of ours that wait are made anew on top of theirs."""
    await rig.put(EAST, WEB, "replicas: 1\n")
    await rig.put(WEST, WEB, "replicas: 1\n")
    await rig.sync()
    rig.host.away()
    await rig.put(EAST, WEB, "replicas: 2\n")
    await rig.sync()
    rig.host.back()
    with rig.host.by_hand() as clone:
        (clone / "notes.md").write_text("Mine\n")
    theirs = rig.host.commits()[0]
    await rig.put(WEST, WEB, "replicas: 2\n")
    await rig.sync()
    assert rig.mirrored() == rig.expected()
    assert rig.host.commits()[1] == theirs
