"""`watcher reconcile`: compare cluster and bucket anew, now, and repair what differs."""

from typing import TYPE_CHECKING, Any

import click

from watcher.cli.bucket import columns
from watcher.cli.options import CAPTURE, EPILOG, SettingsCommand, load_settings, output_option
from watcher.cli.process import log_of, run_until_done, version_of_program
from watcher.errors import WatcherError

if TYPE_CHECKING:
    from watcher.bucket.reports import Report

_SHOWN = 20  # keys a type of drift


@click.command(
    "reconcile",
    cls=SettingsCommand,
    groups=CAPTURE,
    short_help="Compare cluster and bucket anew.",
    epilog=EPILOG,
)
@click.option("--dry-run", is_flag=True, help="Find, and write nothing.")
@output_option("How to print what was found.")
def command(dry_run: bool, output: str, **flags: Any) -> None:
    """Compare every object of the cluster with its file in the bucket, and repair what differs.

    A running service does so each night. Where one runs (its heartbeat is fresh) it is asked to do
    it now, and its report is printed; where none runs it is done here. With --dry-run it is done
    here in any case, beside a running service too, and nothing is written.

    Exits with 1 if something is, or stays, different, or a kind could not be read.
    """
    from watcher.capture import byhand
    from watcher.capture.context import opened
    from watcher.metrics import Metrics

    settings = load_settings(flags)
    log = log_of(settings, level="warning")

    async def run() -> "Report":
        async with opened(settings, Metrics(version_of_program()), log) as context:
            return await byhand.reconcile(context, dry_run=dry_run, say=_say)

    report = run_until_done(run(), log)
    click.echo(report.encode() if output == "json" else _as_table(report), nl=False)
    if report.drift > report.repaired or report.unread:
        raise WatcherError(_what_is_wrong(report))


def _say(what: str) -> None:
    click.echo(f"watcher: {what}", err=True)


def _what_is_wrong(report: "Report") -> str:
    lines = [f"{kind} could not be read: {why}" for kind, why in report.unread.items()]
    if left := report.drift - report.repaired:
        lines.insert(0, f"{left} of {report.drift} differences are not repaired")
    return "\n".join(lines)


def _as_table(report: "Report") -> str:
    rows = [["KIND", "CLUSTER", "BUCKET", "LEFT OUT"]]
    for kind, tally in sorted(report.resources.items()):
        if tally.cluster or tally.bucket or tally.left_out or tally.unread:
            left_out = ", ".join(f"{n} {why}" for why, n in sorted(tally.left_out.items()))
            counted = "?" if tally.unread else str(tally.cluster)
            rows.append([kind, counted, str(tally.bucket), left_out])
    lines = [columns(rows), ""]
    drift = (
        ("missing", report.missing),
        ("changed", report.changed),
        ("orphaned", report.orphaned),
    )
    for name, keys in drift:
        lines += [f"{name}  {key}" for key in keys[:_SHOWN]]
        if len(keys) > _SHOWN:
            lines.append(f"{name}  … and {len(keys) - _SHOWN} more")
    lines.append(
        f"{len(report.missing)} missing, {len(report.changed)} changed,"
        f" {len(report.orphaned)} orphaned; {report.repaired} repaired, {report.held} held,"
        f" {report.foreign} foreign; in {report.seconds:.1f} s"
    )
    if report.read_back:
        back = report.read_back
        lines.append(f"read back: {back.files} files (slice {back.slice})")
    if root := report.hash_root:
        equal = "the same on both sides" if root.same else "NOT the same"
        lines.append(f"hash root of {root.objects} files: {root.bucket} ({equal})")
    return "\n".join(lines) + "\n"
