"""`watcher verify`: is what lies in the bucket the backup that it should be?"""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from watcher.cli.options import BUCKET_ONLY, EPILOG, SettingsCommand, load_settings, output_option
from watcher.cli.process import log_of, run_until_done
from watcher.errors import BucketError, RefusedError, UsageError, WatcherError
from watcher.settings import Settings
from watcher.settings.forms import DURATION, duration

if TYPE_CHECKING:
    from watcher.bucket.layout import Layout
    from watcher.bucket.store import Store
    from watcher.cli.outcome import Outcome
    from watcher.verify.verify import Demands

_OPTIONAL = ("cluster-domain", "cluster-name")
_CLUSTERS_AT_ONCE = 4  # whose listings are in memory

Show = Callable[[Sequence["Outcome"], int], None]


@click.command(
    "verify",
    cls=SettingsCommand,
    groups=BUCKET_ONLY,
    optional=_OPTIONAL,
    short_help="Check what lies in the bucket.",
    epilog=EPILOG,
)
@click.option("--all-clusters", is_flag=True, help="All clusters of the bucket.")
@click.option(
    "--read-data-subset",
    metavar="n/t|PERCENT",
    default="1/1",
    help="Read only the n-th of t parts of the files (7/30), or some by chance (5%, other ones"
    " each day; 5%@seed draws the same again).  [all]",
)
@click.option(
    "--max-report-age",
    metavar="DURATION",
    default="26h",
    help="How long ago the last reconcile may have ended.  [26h]",
)
@click.option(
    "--retired",
    metavar="DOMAIN/NAME",
    multiple=True,
    help="A cluster that is no more: its backup may be old. * matches any text; may be repeated.",
)
@output_option("How to print what was found.")
def command(
    all_clusters: bool,
    read_data_subset: str,
    max_report_age: str,
    retired: tuple[str, ...],
    output: str,
    **flags: Any,
) -> None:
    """Check what lies in the bucket: that nothing is missing, damaged or out of date.

    Needs no cluster, and of the bucket no more than the right to list and read. Checks one cluster,
    with --cluster-domain alone all clusters of that domain, with --all-clusters the whole bucket.
    Exits 1 if anything is found.

    \b
    Example, for an auditor who may read everything:
      watcher verify --all-clusters --read-data-subset 5% \\
        --minio-endpoint https://minio.example.com --minio-bucket cluster-backups
    """
    settings = load_settings(flags, optional=_OPTIONAL)
    if not all_clusters:
        _check_one_is_meant(settings)
    now = datetime.now(UTC)
    demands = _demands(read_data_subset, max_report_age, retired, seed=f"{now:%Y-%m-%d}")

    from watcher.cli import outcome

    with _progress(settings) as show:
        log = log_of(settings)
        bucket, outcomes = run_until_done(_verify(settings, all_clusters, demands, show), log)
    now = datetime.now(UTC)
    if output == "json":
        subset = str(demands.read)
        click.echo(outcome.as_json(outcomes, bucket=bucket, subset=subset, at=now))
    else:
        from rich.console import Console

        # As kubectl's tables: never cut, whatever the terminal's width.
        outcome.print_table(outcomes, Console(width=240, highlight=False), at=now)
    wrong = [it for it in outcomes if not it.ok]
    if wrong:
        count = sum(len(it.findings) for it in wrong)
        raise WatcherError(
            f"{count:,} finding{'' if count == 1 else 's'} in {len(wrong)} of"
            f" {len(outcomes)} cluster{'' if len(outcomes) == 1 else 's'}"
        )


def _check_one_is_meant(settings: Settings) -> None:
    if not settings.cluster_domain:
        raise UsageError(
            "verify: expected cluster-domain and cluster-name, cluster-domain alone, or"
            " --all-clusters"
        )


def _demands(subset: str, max_report_age: str, retired: tuple[str, ...], *, seed: str) -> "Demands":
    from watcher.verify import sampling
    from watcher.verify.verify import Demands

    try:
        read = sampling.parse(subset, seed=seed)
    except ValueError:
        raise UsageError(
            f"read-data-subset {subset!r} from flag --read-data-subset: expected"
            f" {sampling.EXPECTED}"
        ) from None
    try:
        limit = timedelta(seconds=duration(max_report_age))
    except ValueError:
        raise UsageError(
            f"max-report-age {max_report_age!r} from flag --max-report-age: expected"
            f" {DURATION.expected}"
        ) from None
    return Demands(read, limit, retired)


async def _verify(
    settings: Settings, all_clusters: bool, demands: "Demands", show: Show | None
) -> tuple[str, list["Outcome"]]:
    """The bucket's name, and what was found of each cluster."""
    from watcher.bucket import fleet
    from watcher.bucket.layout import Layout
    from watcher.bucket.opening import open_store
    from watcher.cli.outcome import Outcome

    async with open_store(settings, lambda *_: None, lambda: datetime.now(UTC)) as store:
        if settings.cluster_name and not all_clusters:
            layouts = [Layout(settings.cluster_domain, settings.cluster_name)]
        else:
            found = await fleet.clusters(store, "" if all_clusters else settings.cluster_domain)
            layouts = await fleet.not_emptied(store, found)
            if not layouts:
                where = "" if all_clusters else f" below {settings.cluster_domain}/"
                raise WatcherError(f"there is no cluster in {store.name}{where}")
        outcomes = [Outcome(it.name) for it in layouts]
        await _look_at_all(store, layouts, outcomes, demands, settings.concurrency, show)
        return store.name, outcomes


async def _look_at_all(
    store: "Store",
    layouts: Sequence["Layout"],
    outcomes: Sequence["Outcome"],
    demands: "Demands",
    concurrency: int,
    show: Show | None,
) -> None:
    from watcher.verify.findings import Broken
    from watcher.verify.verify import verify

    turns, clusters = asyncio.Semaphore(concurrency), asyncio.Semaphore(_CLUSTERS_AT_ONCE)
    done = 0

    async def look_at(layout: "Layout", outcome: "Outcome") -> None:
        nonlocal done
        events = verify(
            store,
            layout,
            demands,
            turns=turns,
            clusters=clusters,
            clock=lambda: datetime.now(UTC),
        )
        try:
            async with aclosing(events):
                async for event in events:
                    outcome.take(event)
                    if show is not None:
                        show(outcomes, done)
        except (RefusedError, BucketError) as error:
            if len(layouts) == 1:
                raise
            outcome.take(Broken(str(error)))  # the other clusters may well be fine
        done += 1

    async with asyncio.TaskGroup() as group:
        for layout, outcome in zip(layouts, outcomes, strict=True):
            group.create_task(look_at(layout, outcome))


@contextmanager
def _progress(settings: Settings) -> Iterator[Show | None]:
    """On a terminal, a last line that is kept up to date."""
    if not sys.stderr.isatty() or settings.log_format != "auto":
        yield None
        return
    from rich.console import Console

    from watcher.cli import outcome

    with Console(stderr=True).status("looking for clusters") as status:
        yield lambda outcomes, done: status.update(outcome.progress(outcomes, done))
