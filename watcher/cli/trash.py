"""`watcher trash`: what was deleted from a bucket that keeps no old versions."""

import asyncio
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from watcher.cli.bucket import columns, in_bucket
from watcher.cli.options import BUCKET_ONLY, EPILOG, SettingsCommand, output_option
from watcher.errors import UsageError, WatcherError
from watcher.settings.forms import duration

if TYPE_CHECKING:
    from watcher.bucket.layout import Layout
    from watcher.bucket.store import Store
    from watcher.bucket.trash import Thrown

_REQUESTS = 16  # at the same time


@click.group("trash", short_help="Get deleted files back, or empty the trash.")
def command() -> None:
    """See, get back or throw away what was deleted from a bucket that keeps no old versions.

    Files are kept for `trash-days`. A versioned bucket has no trash: its old versions are one.
    """


@command.command("list", cls=SettingsCommand, groups=BUCKET_ONLY, epilog=EPILOG)
@click.argument("patterns", nargs=-1, metavar="[PATTERN…]")
@output_option()
def list_(patterns: tuple[str, ...], output: str, **flags: Any) -> None:
    """Print what is in the trash; a PATTERN is a key, in which * stands for any text."""
    found = in_bucket(flags, _files(patterns))
    if output == "json":
        lines = [{"key": each.key, "deleted": _shown(each.at)} for each in found]
        click.echo(orjson.dumps(lines, option=orjson.OPT_INDENT_2))
    elif found:
        rows = [[each.key, _shown(each.at)] for each in found]
        click.echo(columns([["KEY", "DELETED"], *rows]))
    else:
        click.echo("Nothing is in the trash." if not patterns else "Nothing of this is in it.")


@command.command(cls=SettingsCommand, groups=BUCKET_ONLY, epilog=EPILOG)
@click.argument("patterns", nargs=-1, required=True, metavar="PATTERN…")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write them into this folder instead of the bucket.",
)
def restore(patterns: tuple[str, ...], folder: Path | None, **flags: Any) -> None:
    """Get files back, of each the one that was deleted last. The trash keeps them too.

    To have the OBJECTS back in the cluster, write the files into a folder and apply them; the
    service then backs them up again by itself:

    \b
      watcher trash restore 'shop/*' --to restored
      kubectl apply --server-side --recursive -f restored

    Without --to they are put back into the bucket, where there is no file of that name now. While
    the cluster has no such object they are orphans there: the next reconcile, or the next start of
    the service, moves them into the trash again.
    """

    async def get_back(store: "Store", layout: "Layout") -> tuple[list[str], list[str]]:
        found = await _files(patterns)(store, layout)
        newest = {each.key: each for each in reversed(found)}
        for pattern in patterns:
            if not any(map(_matcher([pattern]), newest)):
                raise UsageError(f"nothing in the trash matches {pattern!r}")
        back: dict[bool, list[str]] = {True: [], False: []}
        for key, file in sorted(newest.items()):
            back[await _restore(store, layout, file, folder)].append(key)
        return back[True], back[False]

    restored, there = in_bucket(flags, get_back)
    for key in restored:
        click.echo(f"restored {key}")
    if restored and folder is None:
        click.echo(
            "watcher: without their objects these files go again at the next reconcile: to have"
            " the objects back, restore --to a folder and apply it",
            err=True,
        )
    if there:
        raise WatcherError("\n".join(f"{key}: there is such a file now" for key in there))


@command.command(cls=SettingsCommand, groups=BUCKET_ONLY, epilog=EPILOG)
@click.option("--older-than", "age", metavar="AGE", help="Only what was deleted longer ago: 7d.")
@click.option("--all", "everything", is_flag=True, help="Everything.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def empty(age: str | None, everything: bool, yes: bool, **flags: Any) -> None:
    """Throw away what is in the trash, for good."""
    if (age is None) != everything:
        raise UsageError("trash empty: expected either --older-than or --all")
    before = datetime.now(UTC) if age is None else _so_long_ago(age)

    async def throw_away(store: "Store", layout: "Layout") -> int:
        found = [each for each in await _files(())(store, layout) if each.at <= before]
        if found and not yes and sys.stdin.isatty():
            click.confirm(f"Throw away {len(found)} files?", abort=True, err=True)
        queue = iter(found)

        async def delete_in_turn() -> None:
            for each in queue:
                await store.delete(each.trash)

        async with asyncio.TaskGroup() as group:
            for _ in range(_REQUESTS):
                group.create_task(delete_in_turn())
        return len(found)

    click.echo(f"{in_bucket(flags, throw_away)} files thrown away")


def _files(patterns: Iterable[str]) -> "Callable[[Store, Layout], Any]":
    async def find(store: "Store", layout: "Layout") -> "list[Thrown]":
        from watcher.bucket import trash

        wanted = _matcher(patterns)
        return [each for each in await trash.thrown(store, layout) if wanted(each.key)]

    return find


def _matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a key matches any of them, or there is none."""
    from watcher.bucket.patterns import compiled

    wanted = [compiled(pattern) for pattern in patterns]
    return lambda key: not wanted or any(one.fullmatch(key) for one in wanted)


async def _restore(store: "Store", layout: "Layout", file: "Thrown", folder: Path | None) -> bool:
    from watcher.bucket import trash

    if folder is None:
        return await trash.put_back(store, layout, file)
    body, _ = await store.get(file.trash)
    path = folder / file.key
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as out:
            out.write(body)
    except FileExistsError:
        return False
    except OSError as error:
        raise WatcherError(f"{path}: {error.strerror}") from error
    return True


def _so_long_ago(text: str) -> datetime:
    try:
        return datetime.now(UTC) - timedelta(seconds=duration(text))
    except (ValueError, OverflowError):
        raise UsageError(f"--older-than {text!r}: expected an age such as 7d or 12h") from None


def _shown(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
