"""Everything that may go wrong between the cluster and whoever asks it, on demand.

Exists so that faults are named methods, never patches of the code under test. Promises: a fault
touches answers and open watches only, never an object; those with an `n` are used up, the others
last until `Cluster.heal`. label: the kind in kubectl's words, "" for any. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.watch import Ending, Watch


class Failure(Exception):
    """The API server says no. `plain`: as text, where the real one sends no Status."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
        continue_token: str = "",
        plain: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details or {}
        self.retry_after = retry_after
        self.continue_token = continue_token
        self.plain = plain


class ConnectionLost(Exception):
    """There is no answer, or no more of it."""


class NoAnswer(Exception):
    """The request is taken and never answered."""


@dataclass(slots=True)
class _Refusal:
    error: Callable[[], Exception]
    left: int  # requests
    label: str  # "": of any kind


class Faults:
    def __init__(self) -> None:
        self.watches: dict[Watch, None] = {}  # the open ones, oldest first
        self.forbidden: set[str] = set()
        self.emptied: dict[str, bool] = {}  # kind -> whether single objects are hidden too
        self.stale_groups: set[str] = set()
        self.stopped = False
        self._refusals: list[_Refusal] = []
        self._cuts = 0  # lists
        self._expiring = 0  # continue tokens

    def open_watches(self, label: str = "") -> list[Watch]:
        return [watch for watch in self.watches if label in ("", watch.kind.label)]

    def drop_watches(self, label: str = "") -> None:
        """The connections of open watches (of a kind) break."""
        for watch in self.open_watches(label):
            watch.end(Ending.BROKEN)

    def end_watches(self, label: str = "") -> None:
        """The server closes open watches early, but cleanly."""
        for watch in self.open_watches(label):
            watch.end(Ending.CLEAN)

    def silence_watches(self, label: str = "") -> None:
        """Open watches stay open and nothing comes, not even their end."""
        for watch in self.open_watches(label):
            watch.silent = True

    def cut_mid_line(self, label: str = "") -> None:
        """The next line of each open watch is cut in half and its connection breaks."""
        for watch in self.open_watches(label):
            watch.cut = True

    def cut_lists(self, n: int = 1) -> None:
        """The next n lists break in the middle of their last page, however many they have."""
        self._cuts += n

    def expire_tokens(self, n: int = 1) -> None:
        """410 to the next n requests for a further page, with a token for an inconsistent rest."""
        self._expiring += n

    def empty_list(self, label: str, *, alone: bool = True) -> None:
        """Lists of a kind succeed and hold nothing; watches go on. alone: also those for a single
        object, as of a server that has not filled its storage yet."""
        self.emptied[label] = alone

    def fill_list(self, label: str) -> None:
        self.emptied.pop(label, None)

    def hides(self, label: str, *, alone: bool) -> bool:
        """Asked for each list, `alone` for one of a single object: whether to hold nothing."""
        return label in self.emptied and (self.emptied[label] or not alone)

    def forbid(self, label: str) -> None:
        """403 to new lists and watches of a kind; open watches go on."""
        self.forbidden.add(label)

    def allow(self, label: str) -> None:
        self.forbidden.discard(label)

    def throttle(self, n: int = 1, *, retry_after: int = 1, label: str = "") -> None:
        """429 to the next n requests."""
        message = "Too many requests, please try again later."
        self._refuse(
            lambda: Failure(429, "TooManyRequests", message, retry_after=retry_after, plain=True),
            n,
            label,
        )

    def unavailable(self, n: int = 1, *, label: str = "") -> None:
        """503 to the next n requests."""
        message = "apiserver is shutting down"
        self._refuse(lambda: Failure(503, "ServiceUnavailable", message), n, label)

    def unauthorized(self, n: int = 1, *, label: str = "") -> None:
        """401 to the next n requests: the token has expired."""
        self._refuse(lambda: Failure(401, "Unauthorized", "Unauthorized"), n, label)

    def unreachable(self, n: int = 1, *, label: str = "") -> None:
        """The connections of the next n requests break without an answer."""
        self._refuse(ConnectionLost, n, label)

    def no_answer(self, n: int = 1, *, label: str = "") -> None:
        """The next n requests are taken and never answered."""
        self._refuse(NoAnswer, n, label)

    def stop(self) -> None:
        """The API server goes away, its watches with it; `start` brings it back."""
        self.stopped = True
        self.drop_watches()

    def start(self) -> None:
        self.stopped = False

    def stale_group(self, group: str) -> None:
        """The backend of a group is down: discovery calls it stale, the rest of it is 503, its
        open watches break."""
        self.stale_groups.add(group)
        for watch in self.open_watches():
            if watch.kind.resource.group == group:
                watch.end(Ending.BROKEN)

    def fresh_group(self, group: str) -> None:
        """Its backend is back. Namespaces that wait for it go on waiting until `Cluster.heal`."""
        self.stale_groups.discard(group)

    def end(self) -> None:
        """All of them; what they have broken stays broken. Called by `Cluster.heal`."""
        self.forbidden.clear()
        self.emptied.clear()
        self.stale_groups.clear()
        self._refusals.clear()
        self._cuts = self._expiring = 0
        self.stopped = False

    def admit(self, label: str = "", group: str = "") -> None:
        """For each request that arrives. Raises what it meets instead of an answer: Failure,
        ConnectionLost or NoAnswer."""
        if self.stopped:
            raise ConnectionLost
        for refusal in self._refusals:
            if refusal.label in ("", label):
                refusal.left -= 1
                if not refusal.left:
                    self._refusals.remove(refusal)
                raise refusal.error()
        if group in self.stale_groups:
            raise Failure(503, "ServiceUnavailable", "service unavailable", plain=True)

    def cuts_list(self) -> bool:
        """Asked for each last page of a list: whether it is to break off."""
        self._cuts, cut = max(self._cuts - 1, 0), bool(self._cuts)
        return cut

    def expires_token(self) -> bool:
        """Asked for each continue token: whether it is too old."""
        self._expiring, expired = max(self._expiring - 1, 0), bool(self._expiring)
        return expired

    def _refuse(self, error: Callable[[], Exception], n: int, label: str) -> None:
        self._refusals.append(_Refusal(error, n, label))
