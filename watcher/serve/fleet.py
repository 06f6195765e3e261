"""The page /fleet for people: are all clusters backed up, and if not, which are not, since when.

Exists because who looks after many clusters wants one answer, on a phone too. Promises: a pure
function from a look at all clusters to one HTML page, like the status page in all else; a thousand
clusters fit: what is wrong comes first, what is well is folded; what could not be read is never
shown as none.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from watcher.bucket.retired import Retired
from watcher.fleet.clusters import Cluster, Fleet
from watcher.fleet.judgement import Severity, Trouble
from watcher.fleet.look import Unread
from watcher.serve.frame import MARKS, document, facts, footer, section, tiles, verdict
from watcher.serve.words import ago, count, full, moment, path, text

_OLD = timedelta(minutes=15)  # from then on a look is not the state of things
_TOLD = 100  # clusters with which something is wrong, with all there is to say
_TROUBLES = 5  # of one cluster
_LENGTH = 300  # characters of one trouble
_KINDS = 5  # of one cluster: those with most objects
_SHOWN = 20  # clusters that are well; the others are folded
_COLUMNS = (
    *("cluster", "objects", "heard of", "changed", "reconciled", "hash roots"),
    "watcher, Kubernetes",
)
_HIDDEN = "?"  # it is there, and could not be read
_NONE = "–"


def render(fleet: Fleet | None, *, now: datetime, version: str, refresh: int | None) -> str:
    """fleet: the last look; None: none is done yet. version: of this program. refresh: seconds
    after which the browser asks again; None: it does not."""
    tone, headline, more = _verdict(fleet, now)
    at = fleet.at if fleet else now
    shown = {"bucket": f"<code>{text(fleet.bucket)}</code>"} if fleet else {}
    body = f"<header><h1>All clusters</h1>{facts({**shown, 'version': text(version)})}</header>"
    body += verdict(tone, headline, more, at=at, refresh=refresh)
    if fleet:
        body += _numbers(fleet) + _wrong(fleet) + _well(fleet) + _retired(fleet)
    body += footer("is the bucket mirrored into git")
    return document(f"clusters: {headline}", body, tone=tone, refresh=refresh)


def _verdict(fleet: Fleet | None, now: datetime) -> tuple[str, str, str]:
    """Tone, headline, and what else is to be said."""
    if fleet is None:
        return "wait", "Looking at the clusters", "This is the first look since the start."
    if now - fleet.at > _OLD:
        when = f"What is below was so {ago(fleet.at, now)} ago. The log says why."
        return "wait", "The bucket cannot be looked at", when
    expected = [it for it in fleet.clusters if not it.retired]
    retired = len(fleet.clusters) - len(expected)
    also = f" {count(retired, 'cluster is', 'clusters are')} retired." if retired else ""
    if not expected:
        return "wait", "No cluster is backed up here", also.strip()
    if not fleet.wrong:
        return "good", f"{count(len(expected), 'cluster')}, nothing is wrong", also.strip()
    headline = f"Something is wrong with {len(fleet.wrong):,} of {count(len(expected), 'cluster')}"
    critical = sum(it.troubles[0].severity == Severity.CRITICAL for it in fleet.wrong)
    return "bad", headline, f"With {critical or 'none'} of them it is critical.{also}"


def _numbers(fleet: Fleet) -> str:
    beats = [it.heartbeat for it in fleet.clusters]
    reports = [it.report for it in fleet.clusters if not it.retired]
    oldest = min((report.finished_at for report in reports if report), default=None)
    return tiles(
        {
            "clusters": count(len(fleet.clusters)),
            "something is wrong": count(len(fleet.wrong)),
            "objects": count(sum(beat.objects for beat in beats if beat)),
            "deletes held": count(sum(it.held or 0 for it in fleet.clusters)),
            "differences found": count(sum(report.drift for report in reports if report)),
            "oldest reconcile": ago(oldest, fleet.at),
        }
    )


def _wrong(fleet: Fleet) -> str:
    told, others = fleet.wrong[:_TOLD], fleet.wrong[_TOLD:]
    if not told:
        return ""
    rows = "".join(_told(it, fleet.at) for it in told)
    content = f'<ul class="promises">{rows}</ul>'
    if others:
        summary = f"{count(len(others), 'other cluster')} with which something is wrong"
        content += f"<details><summary>{summary}</summary>{_table(others, fleet.at)}</details>"
    return section("Something is wrong", content)


def _told(it: Cluster, now: datetime) -> str:
    tone = "bad" if it.troubles[0].severity == Severity.CRITICAL else "warn"
    said = [f"<p>{_trouble(each, now)}</p>" for each in it.troubles[:_TROUBLES]]
    if (more := len(it.troubles) - _TROUBLES) > 0:
        said.append(f"<p>and {count(more)} more</p>")
    return (
        f'<li class="{tone}"><i aria-hidden="true">{MARKS["bad"]}</i><div>'
        f"<h3>{path(it.name)}</h3>{''.join(said)}<small>{_about(it, now)}</small></div>"
        f"<span>{it.troubles[0].severity}</span></li>"
    )


def _trouble(trouble: Trouble, now: datetime) -> str:
    words = str(trouble)
    words = words if len(words) <= _LENGTH else words[:_LENGTH] + "…"
    since = trouble.untold_since
    when = f" <small>since {moment(since, now)}</small>" if since else ""
    return text(words) + when


def _about(it: Cluster, now: datetime) -> str:
    """What else is known of a cluster."""
    last, report = it.heartbeat, it.report
    parts = []
    if last:
        parts.append(f"{count(last.objects, 'object')}, heard of {ago(last.at, now)} ago")
        parts.append(_versions(it))
    if report:
        proof = f"hash roots: {_proof(it)}"
        parts.append(f"reconciled {ago(report.finished_at, now)} ago, {proof}")
        largest = sorted(report.resources.items(), key=lambda kind: -kind[1].bucket)[:_KINDS]
        kinds = ", ".join(f"{path(label)} {count(tally.bucket)}" for label, tally in largest)
        parts.append(kinds)
    return " · ".join(part for part in parts if part)


def _well(fleet: Fleet) -> str:
    well = [it for it in fleet.clusters if it.ok and not it.retired]
    if not well:
        return ""
    table = _table(well[:_SHOWN], fleet.at)
    if folded := well[_SHOWN:]:
        summary = f"{count(len(folded), 'other cluster')}"
        table += f"<details><summary>{summary}</summary>{_table(folded, fleet.at)}</details>"
    return section("Nothing is wrong", table, note=count(len(well), "cluster"))


def _table(clusters: Iterable[Cluster], now: datetime) -> str:
    rows = "".join(f"<tr>{''.join(f'<td>{cell}' for cell in _cells(it, now))}" for it in clusters)
    head = f"<tr>{''.join(f'<th>{name}' for name in _COLUMNS)}"
    return f'<table class="clusters"><thead>{head}</thead><tbody>{rows}</tbody></table>'


def _cells(it: Cluster, now: datetime) -> Sequence[str]:
    last, report = it.heartbeat, it.report
    unheard = _HIDDEN if isinstance(it.seen.heartbeat, Unread) else _NONE
    unproven = _HIDDEN if isinstance(it.seen.report, Unread) else _NONE
    stopped = " stopped" if last and last.released else ""
    return (
        path(it.name),
        count(last.objects) if last else unheard,
        _ago(last.at, now) + stopped if last else unheard,
        _ago(last.last_change, now) if last else unheard,
        _ago(report.finished_at, now) if report else unproven,
        _proof(it) if report else unproven,
        _versions(it) or unheard,
    )


def _ago(then: datetime | None, now: datetime) -> str:
    return f'<span title="{full(then)}">{ago(then, now)}</span>' if then else _NONE


def _proof(it: Cluster) -> str:
    root = it.report.hash_root if it.report else None
    if root is None:
        return "none"
    return "the same" if root.same else "they differ"


def _versions(it: Cluster) -> str:
    last = it.heartbeat
    return (
        " · ".join(
            text(version) for version in (last.watcher_version, last.kubernetes_version) if version
        )
        if last
        else ""
    )


def _retired(fleet: Fleet) -> str:
    retired = [it for it in fleet.clusters if it.retired]
    if not retired:
        return ""
    rows = "".join(
        f"<li>{path(it.name)}<span>{_mark(it.seen.retired, fleet.at)}</span></li>" for it in retired
    )
    summary = count(len(retired), "cluster")
    folded = f'<details><summary>{summary}</summary><ul class="held">{rows}</ul></details>'
    return section("Retired", folded)


def _mark(mark: object, now: datetime) -> str:
    if not isinstance(mark, Retired):
        return ""
    reason = text(mark.reason[:_LENGTH])
    return f" since {moment(mark.at, now)}{f': {reason}' if reason else ''}"
