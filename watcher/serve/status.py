"""The page / for people: is the backup safe, and if not, what is wrong since when.

Exists because whoever is called at night opens this first, on a phone. Promises: a pure function
from a `Status` to one HTML page that needs no other file, no JavaScript and no colour to be
understood; text of others (names of objects, reasons) goes through `words.text`, always; a thousand
kinds fit: what is in trouble comes first, what is well is folded.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from watcher.serve.frame import MARKS, document, facts, footer, section, tiles, verdict
from watcher.serve.words import ago, count, duration, full, moment, path, text
from watcher.status import Kind, Promise, Recent, Reconcile, Standing, Status

_KINDS_SHOWN = 20  # that are well; the others are folded
_RECENT_SHOWN = 15
_REASONS_SHOWN = 5  # of one promise
_REASON_LENGTH = 200  # characters in a row of the table of kinds,
_ALL_REASONS = 40_000  # and in all of its rows: a phone has to load them

_PROMISES = {
    Promise.CAPTURED: "Every change is in the bucket in time",
    Promise.WATCHED: "Every kind is watched",
    Promise.KINDS_KNOWN: "All kinds of the cluster are known",
    Promise.REACHABLE: "The API server can be reached",
    Promise.RECONCILED: "Reconcile is recent and found no drift",
    Promise.NOTHING_HELD: "No delete is held",
    Promise.VERIFIED: "Files read back are what was written",
    Promise.ONE_WRITER: "Nobody else writes to this prefix",
}
_HELD_WHY = {
    "many": "too many deletes at once",
    "history-lost": "the API server lost history",
    "settings": "settings leave it out now",
    "adopted": "it was here before the first claim",
    "take-over": "not in the cluster that took over",
    "unknown": "the record of held deletes was damaged",
}
_STATES = {"waiting": "retrying"}  # an informer's word, where people need another
_NO_ROOT = "no hash root: ETags of this bucket are no MD5s"


def render(status: Status, *, refresh: int | None) -> str:
    """The page. refresh: seconds after which the browser asks again; None: it does not."""
    tone, headline, _ = _verdict(status)
    known = _columns(status) if status.promises else ""
    foot = footer("can the backup be relied on")
    body = _header(status) + _banner(status, refresh) + _numbers(status) + known + foot
    return document(f"{status.about.cluster}: {headline}", body, tone=tone, refresh=refresh)


def _columns(status: Status) -> str:
    """Side by side where there is room; the classes give the order where there is none."""
    left = section("Promises", _promises(status), "first") + _kinds(status)
    right = section("Last reconcile", _reconcile(status), "second")
    right += section("Held deletes", _held(status), "third") + _recent(status)
    return f"<main><div>{left}</div><div>{right}</div></main>"


def _header(status: Status) -> str:
    about = status.about
    shown = {
        "bucket": f"<code>{text(about.bucket)}</code>",
        "epoch": "–" if status.epoch is None else count(status.epoch),
        "writer": text(about.instance),
        "version": text(about.version),
        "up": f'<span title="since {full(about.started)}">{ago(about.started, status.at)}</span>',
    }
    name = f"<span>{text(about.domain)}/</span><wbr><b>{text(about.cluster)}</b>"
    return f"<header><h1>{name}</h1>{facts(shown)}</header>"


def _verdict(status: Status) -> tuple[str, str, str]:
    """Tone, headline, and what else is to be said."""
    failing = [_PROMISES[each.promise] for each in status.promises if each.failing]
    if status.leader is not None:
        return "wait", f"Standing by: {status.leader or 'nobody'} writes", status.doing
    if status.doing:
        return "wait", "Starting", status.doing
    if sync := status.first_sync:
        headline = f"First sync: {sync.kinds_listed:,} of {sync.kinds:,} kinds listed"
        done = f"{count(sync.written)} written, {count(sync.pending)} to write"
        others = [each for each in status.promises if each.failing][1:]
        also = f" {count(len(others), 'other promise')} at risk." if others else ""
        return "wait", headline, f"{done}. Until then the backup cannot be relied on.{also}"
    if failing:
        headline = f"{len(failing)} of {count(len(status.promises), 'promise')} at risk"
        if status.last_healthy is None:
            return "bad", headline, "All was well at no time since the start."
        well = f"{ago(status.last_healthy, status.at)} ago ({full(status.last_healthy)})"
        return "bad", headline, f"All was last well {well}."
    more = ""
    unproven = sum(bool(each.unknown) for each in status.promises)
    if unproven:
        return "good", "No promise at risk", f"{count(unproven)} not known yet."
    if last := status.reconcile:
        same = f"{count(last.objects, 'object')} the same in cluster and bucket"
        more = f"Reconciled {ago(last.finished, status.at)} ago: {same}."
    return "good", "All promises hold", more


def _banner(status: Status, refresh: int | None) -> str:
    tone, headline, more = _verdict(status)
    bar = ""
    if sync := status.first_sync:
        bar = f'<progress max="{max(1, sync.kinds)}" value="{sync.kinds_listed}"></progress>'
    return verdict(tone, headline, more, at=status.at, refresh=refresh, below=bar)


def _numbers(status: Status) -> str:
    numbers = status.numbers
    if numbers is None:
        return ""
    return tiles(
        {
            "objects in cluster": count(numbers.in_cluster),
            "files in bucket": count(numbers.in_bucket),
            "pending": count(numbers.pending),
            "oldest pending": duration(numbers.oldest_pending),
            "half stored within": duration(numbers.lag_p50),
            "99 % stored within": duration(numbers.lag_p99),
        }
    )


def _promises(status: Status) -> str:
    return f'<ul class="promises">{"".join(_promise(p, status) for p in status.promises)}</ul>'


def _promise(standing: Standing, status: Status) -> str:
    tone = "bad" if standing.failing else "wait" if standing.unknown else "good"
    state = {"bad": "at risk", "wait": "not known yet", "good": "holds"}[tone]
    since = "" if standing.unknown else f" since {moment(standing.since, status.at)}"
    several = len(standing.failing) > 1
    reasons = [
        f"<p>{f'<b>{text(each.kind)}</b> ' if each.kind else ''}{text(each.reason)}"
        f"{f' <small>since {moment(each.since, status.at)}</small>' if several else ''}</p>"
        for each in standing.failing[:_REASONS_SHOWN]
    ]
    if (more := len(standing.failing) - _REASONS_SHOWN) > 0:
        reasons.append(f"<p>and {count(more)} more</p>")
    if standing.unknown:
        reasons.append(f"<p>{text(standing.unknown)}</p>")
    return (
        f'<li class="{tone}"><i aria-hidden="true">{MARKS[tone]}</i><div>'
        f"<h3>{_PROMISES[standing.promise]}</h3>{''.join(reasons)}</div><span>{state}{since}</span></li>"
    )


def _reconcile(status: Status) -> str:
    last = status.reconcile
    upcoming = (
        f"<div><dt>next</dt><dd>{moment(status.next_reconcile, status.at)}</dd></div>"
        if status.next_reconcile
        else ""
    )
    if last is None:
        none = '<p class="none">None has run yet.</p>'
        return none + (f'<dl class="rows">{upcoming}</dl>' if upcoming else "")
    rows = {
        "finished": f"{moment(last.finished, status.at)} · {ago(last.finished, status.at)} ago",
        "took": f"{duration((last.finished - last.started).total_seconds())}, "
        f"{count(last.objects, 'object')}, by {text(last.trigger)}",
        "drift": _drift(last),
        **_unread(last),
        "proof": _proof(last),
        "read back": _read_back(last),
        "report": f"<code>{path(last.report)}</code>",
    }
    shown = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows.items())
    return f'<dl class="rows">{shown}{upcoming}</dl>'


def _drift(last: Reconcile) -> str:
    if not last.drift:
        return "none"
    parts = {"missing": last.missing, "changed": last.changed, "orphaned": last.orphaned}
    found = ", ".join(f"{count(number)} {name}" for name, number in parts.items() if number)
    return f'<b class="bad">{found}</b>; {count(last.repaired)} repaired'


def _unread(last: Reconcile) -> dict[str, str]:
    return {"unread": f'<b class="bad">{count(last.unread, "kind")}</b>'} if last.unread else {}


def _proof(last: Reconcile) -> str:
    cluster, bucket = _root(last.root_cluster), _root(last.root_bucket)
    if last.root_cluster == last.root_bucket:
        return f'<b class="good">same hash root on both sides</b>{cluster}' if cluster else _NO_ROOT
    sides = f"<span>cluster</span>{cluster}<span>bucket</span>{bucket}"
    return f'<b class="bad">the hash roots differ</b>{sides}'


def _root(hexadecimal: str) -> str:
    half = len(hexadecimal) // 2
    return f"<code>{text(hexadecimal[:half])}<wbr>{text(hexadecimal[half:])}</code>" if half else ""


def _read_back(last: Reconcile) -> str:
    if not last.read_back:
        return "–"
    read = f"{count(last.read_back, 'file')}, slice {text(last.read_back_slice)}: "
    if not last.differing:
        return read + "every byte as written"
    return f'{read}<b class="bad">{count(len(last.differing))} differ</b>' + "".join(
        f"<code>{path(key)}</code>" for key in last.differing[:_REASONS_SHOWN]
    )


def _held(status: Status) -> str:
    if not status.held_count:
        return '<p class="none">None.</p>'
    rows = "".join(
        f"<li><code>{path(each.key)}</code><span>{text(_HELD_WHY.get(each.why, each.why))}"
        f" · {moment(each.since, status.at)}</span></li>"
        for each in status.held
    )
    more = status.held_count - len(status.held)
    rest = f"<li><span>and {count(more)} more</span></li>" if status.held and more else ""
    files = count(status.held_count, "file is", "files are")
    return (
        f"<p>{files} kept until an operator decides.</p>"
        f'<ul class="held">{rows}{rest}</ul>'
        "<pre>watcher deletes list\nwatcher deletes allow KEY…   delete them\n"
        "watcher deletes keep KEY…    keep them for good</pre>"
    )


def _kinds(status: Status) -> str:
    ordered = sorted(status.kinds, key=lambda kind: (not kind.trouble, kind.label))
    shown = sum(bool(kind.trouble) for kind in ordered) + _KINDS_SHOWN
    table = _kind_table(ordered[:shown], status)
    if folded := ordered[shown:]:
        summary = f"{count(len(folded), 'more kind')}, all well"
        table += f"<details><summary>{summary}</summary>{_kind_table(folded, status)}</details>"
    states = Counter(_STATES.get(kind.state, kind.state) for kind in status.kinds)
    note = ", ".join(f"{count(number)} {text(state)}" for state, number in sorted(states.items()))
    return section("Kinds", table, "fifth", note)


def _kind_table(kinds: Sequence[Kind], status: Status) -> str:
    troubled = sum(bool(kind.trouble) for kind in kinds)
    longest = min(_REASON_LENGTH, _ALL_REASONS // max(1, troubled))
    rows = "".join(_kind_row(kind, longest, status) for kind in kinds)
    return (
        '<table class="kinds"><thead><tr><th>kind<th>objects<th>last event<th>last write<th>state'
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _kind_row(kind: Kind, longest: int, status: Status) -> str:
    cells = []
    for then in (kind.last_event, kind.last_write):
        title = f' title="{full(then)}"' if then else ""
        cells.append(f"<td{title}>{ago(then, status.at)}")
    resource, dot, group = kind.label.partition(".")
    where = f"<s>{path(dot + group)}</s>" if dot else ""
    state = text(_STATES.get(kind.state, kind.state))
    row = f"<td>{text(resource)}{where}<td>{count(kind.objects)}{''.join(cells)}<td>"
    if not kind.trouble:
        return f"<tr>{row}{state}"
    why = kind.trouble[:longest] + ("…" if len(kind.trouble) > longest else "")
    return f'<tr class="bad">{row}! {state}<tr class="why"><td colspan="5">{text(why)}'


def _recent(status: Status) -> str:
    if status.recent is None:
        return ""
    shown, folded = status.recent[:_RECENT_SHOWN], status.recent[_RECENT_SHOWN:]
    table = _recent_table(shown, status) if shown else '<p class="none">None since the start.</p>'
    if folded:
        summary = f"the {count(len(folded), 'change')} before"
        table += f"<details><summary>{summary}</summary>{_recent_table(folded, status)}</details>"
    return section("Recent changes", table, "fourth")


def _recent_table(changes: Iterable[Recent], status: Status) -> str:
    rows = "".join(
        f'<tr><td title="{full(each.at)}">{ago(each.at, status.at)}'
        f"<td>{text(each.action)}<td>{path(each.key)}<td>{text(each.who) or '–'}"
        for each in changes
    )
    head = "<thead><tr><th>ago<th>what<th>file<th>who</thead>"
    return f'<table class="recent">{head}<tbody>{rows}</tbody></table>'
