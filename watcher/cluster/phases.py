"""Where an informer stands, and what each answer of the API server makes of it.

Exists so that all of Kubernetes' list-and-watch rules are one table that a person can check:
`step(phase, outcome)` is pure, waits for nothing, and consumes the old phase. Promises:

- A list judges absence only if one chain of pages, begun without a token, came to its end.
- The resourceVersion of a watch only moves to versions that were handed over.
- History is given up (`Listing` anew) exactly when the server says that it lost it (410, as a
  status or as an ERROR event), or when it turns out to have gone back in time; then absence says
  nothing about deletion (`trusted` is False). A list that is older than what was handed over before
  shows that too, whatever led to it: 410 is also what a server answers that was put back.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from dataclasses import dataclass, replace
from enum import Enum

from watcher.errors import ClusterError, StatusError

SHORT_WATCH = 1.0  # seconds: a watch that ends sooner with nothing said would make us spin


@dataclass(frozen=True, slots=True)
class Listing:
    """Read a list page by page. `token` "" is the first page."""

    token: str = ""
    paged: bool = True  # False: all at once, after a continue token expired under us
    trusted: bool = True  # False: etcd may have lost history, so absence proves nothing
    known: str = ""  # the resourceVersion that was handed over before; "" at the very beginning


FIRST = Listing()


@dataclass(frozen=True, slots=True)
class Watching:
    """Follow changes after this resourceVersion."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Probing:
    """A watch was silent to its end. Has the server's history gone back behind ours?"""

    resource_version: str


Phase = Listing | Watching | Probing


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page was handed over."""

    resource_version: str
    token: str


@dataclass(frozen=True, slots=True)
class Watched:
    """A watch is over; all up to `resource_version` was handed over."""

    resource_version: str
    events: int
    seconds: float
    error: ClusterError | None = None  # None: the server ended it in order
    bookmarks: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """No page came."""

    error: ClusterError


class Pause(Enum):
    """How long to wait before the next request."""

    NONE = "none"
    BACKOFF = "backoff"  # longer each time, until it has worked for a while
    PARK = "park"  # minutes: only a person can change a missing right


@dataclass(frozen=True, slots=True)
class Step:
    phase: Phase
    pause: Pause = Pause.NONE
    at_least: float = 0.0  # seconds that the server told us to stay away
    complete: bool = False  # a list came to its end: what it did not show is absent
    trusted: bool = True  # and that says something about deletion
    restart: str = ""  # why the watch or list begins again, for metrics and log; "" it does not
    rediscover: bool = False  # the kind itself may be gone


def step(phase: Phase, outcome: Page | Watched | Failed) -> Step:
    """The next phase. `outcome` answers the request that `phase` stands for."""
    match phase, outcome:
        case Listing(trusted=trusted, known=known), Page(resource_version, token):
            trusted = trusted and not is_older(resource_version, known)
            if token:
                return Step(replace(phase, token=token, trusted=trusted))
            return Step(Watching(resource_version), complete=True, trusted=trusted)
        case Probing(ours), Page(theirs, _):
            if is_older(theirs, ours):
                return Step(Listing(trusted=False, known=ours), restart="history-lost")
            return Step(Watching(ours))
        case Watching(), Watched(resource_version, events, seconds, None, bookmarks):
            spins = not events and seconds < SHORT_WATCH
            pause = Pause.BACKOFF if spins else Pause.NONE
            if events or bookmarks:
                return Step(Watching(resource_version), pause, restart="ended")
            return Step(Probing(resource_version), pause, restart="silent")
        case Watching(), Watched(resource_version, events, seconds, ClusterError() as error):
            spins = not events and seconds < SHORT_WATCH
            return _after_error(Watching(resource_version), error, spins=spins)
        case ((Listing() | Probing()), Failed(error)):
            spins = isinstance(phase, Listing) and not phase.paged
            return _after_error(phase, error, spins=spins)
    raise AssertionError(f"{outcome} does not answer {phase}")


def _after_error(phase: Phase, error: ClusterError, *, spins: bool) -> Step:
    """spins: beginning anew at once would only meet the same error again."""
    if isinstance(phase, Watching) and _may_have_lost_history(error):
        # A watch from a version of the future is not refused, it is silent until its end.
        phase = Probing(phase.resource_version)
    if not isinstance(error, StatusError):
        return Step(phase, Pause.BACKOFF, restart="connection")
    again = anew(phase)
    wait = error.retry_after or 0.0
    at_once = Pause.BACKOFF if spins else Pause.NONE
    match error.status:
        case 410 if isinstance(phase, Listing):
            # As client-go does: a list too long for its tokens is read in one piece.
            return Step(replace(again, paged=False), at_once, restart="token-expired")
        case 410:
            return Step(again, at_once, restart="expired")
        case 504 if error.reason == "ResourceVersionTooLarge":
            lost = replace(again, trusted=False)
            return Step(lost, Pause.BACKOFF, wait, restart="history-lost")
        case 429:
            return Step(phase, Pause.BACKOFF, wait, restart="throttled")
        case 403:
            return Step(phase, Pause.PARK, wait, restart="forbidden")
        case 404:
            # A server that starts answers so until it knows its CRDs: what we doubt stays in doubt.
            if not isinstance(phase, Probing):
                phase = again
            return Step(phase, Pause.BACKOFF, wait, restart="not-found", rediscover=True)
        case 400 if isinstance(phase, Listing) and phase.token:
            return Step(replace(again, paged=False), restart="token-refused")
        case 401:
            return Step(phase, Pause.BACKOFF, wait, restart="unauthorized")
        case _:
            return Step(phase, Pause.BACKOFF, wait, restart="server-error")


def anew(phase: Phase) -> Listing:
    """A list from its first page on, with what is known and what is doubted so far."""
    if isinstance(phase, Listing):
        return Listing(trusted=phase.trusted, known=phase.known)
    return Listing(known=phase.resource_version)


def _may_have_lost_history(error: ClusterError) -> bool:
    """Whether the server behind this error may come back from an older backup of etcd."""
    return not isinstance(error, StatusError) or error.status >= 500


def is_older(theirs: str, ours: str) -> bool:
    """Whether their version is behind ours. Versions are numbers (KEP-5504), those of some
    aggregated APIs are not: nothing can be said of these."""
    return theirs.isdigit() and ours.isdigit() and int(theirs) < int(ours)
