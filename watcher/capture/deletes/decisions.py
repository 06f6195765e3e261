"""What is held, kept on record; what operators decide about it, carried out.

Exists so that a restart holds what was held, and that allowing a deletion takes nothing but the
right to write a file. Promises: `held.json` follows what is held within seconds and at the end;
`allow.json` is looked at each minute, at the price of one listing; a file of orders that cannot be
read is said once and orders nothing; until the first sync is over `held.json` stays as it was
found, and what a prefix held before us is on record before later starts believe in it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

from watcher.bucket import held, owner
from watcher.bucket.held import HELD, ORDERS, UNKNOWN, Book, DamagedError, Loaded, Orders
from watcher.bucket.layout import Layout
from watcher.bucket.ledger import Ledger
from watcher.bucket.owner import Claim
from watcher.bucket.store import Store
from watcher.capture.deletes.absence import Absence
from watcher.capture.deletes.holds import Holds
from watcher.errors import BucketError, PreconditionError, RefusedError
from watcher.logs import Log, Outage

_LOOK = 60.0  # seconds between two looks for orders
_SAVE = 10.0  # seconds from a change until it is saved
_POLL = 1.0  # seconds


def known_holds(loaded: Loaded, ledger: Ledger, clock: Callable[[], datetime]) -> Holds:
    """What was held before, of files that are still there."""
    return Holds(clock, still_there(loaded.book, ledger), loaded.orders.newest)


def still_there(book: Book, ledger: Ledger) -> Book:
    """The same, without what has no file any more."""

    def there(holds: Mapping[str, held.Hold]) -> dict[str, held.Hold]:
        return {key: hold for key, hold in holds.items() if not ledger.get(key).holds(None)}

    return Book(there(book.held), there(book.kept))


class Decisions:
    def __init__(
        self,
        store: Store,
        layout: Layout,
        claim: Claim,
        ledger: Ledger,
        loaded: Loaded,
        holds: Holds,
        absence: Absence,
        *,
        synced: Callable[[], bool],
        log: Log,
        clock: Callable[[], datetime],
    ) -> None:
        """synced: whether the first sync is over."""
        self._store = store
        self._layout = layout
        self._claim = claim
        self._ledger = ledger
        self._holds = holds
        self._absence = absence
        self._synced = synced
        self._log = log
        self._clock = clock
        self._time = asyncio.get_running_loop().time
        self._outage = Outage(log, "keeping the record of held deletes", self._time)
        self._etag = loaded.etag  # of held.json
        self._orders_etag = loaded.orders_etag
        self._next_save = self._time()
        self._next_look = self._time() + _LOOK
        self._saved = 0  # Holds.changes
        self._trusting = False  # the first sync is over
        self._orphans = claim.hold_orphans
        self._superseded = False  # a later start keeps the record
        self._said: set[str] = set()  # reasons of which it was said that something is held
        why = claim.hold_orphans
        if loaded.damaged:
            log.warning("it is not known what was held: nothing is deleted", why=loaded.damaged)
            why = why or UNKNOWN
            self._saved = -1
        if loaded.damaged_orders:
            self._disobey(loaded.damaged_orders)
        if why:
            absence.distrust((k for kind in ledger.kinds() for k in ledger.keys_of(kind)), why)
        absence.obey(loaded.orders)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_POLL)
            self._step()
            try:
                if self._time() >= self._next_look:
                    await self._look()
                    self._next_look = self._time() + _LOOK
                if self._time() >= self._next_save:
                    await self._save()
            except BucketError as error:
                self._outage.began(str(error))
                later = self._time() + _SAVE
                self._next_save, self._next_look = later, max(later, self._next_look)
            else:
                self._outage.ended()

    async def finish(self, seconds: float) -> None:
        """Save what is not saved, within so many seconds."""
        self._step()
        self._holds.done(lambda key: self._ledger.get(key).holds(None))
        try:
            async with asyncio.timeout(seconds):
                await self._save()
        except (BucketError, TimeoutError) as error:
            reason = str(error) or f"no answer within {seconds:.0f} s"
            self._log.warning("which deletes are held could not be written", reason=reason)

    def _step(self) -> None:
        if not self._trusting and self._synced():
            self._trusting = True
            self._absence.trust()

    async def _look(self) -> None:
        """Obey what was ordered since the last look."""
        etag = (await held.etags(self._store, self._layout)).get(ORDERS, "")
        if etag == self._orders_etag:
            return
        key = self._layout.prefix + self._layout.meta(ORDERS)
        orders = Orders()
        try:
            if etag:
                body, _ = await self._store.get(key)
                orders = held.read_orders(body, key)
        except (DamagedError, RefusedError) as error:
            self._disobey(str(error))
        self._orders_etag = etag
        self._absence.obey(orders)

    def _disobey(self, reason: str) -> None:
        self._log.warning("orders about held deletes are not obeyed", reason=reason)

    async def _save(self) -> None:
        self._holds.done(lambda key: self._ledger.get(key).holds(None))
        if not self._trusting:
            return
        if self._saved != self._holds.changes and not self._superseded:
            self._say_what_is_held()
            await self._write()
            self._next_save = self._time() + _SAVE
        if self._orphans:
            try:
                await owner.release_orphans(self._store, self._layout, self._claim)
            except RefusedError as error:  # somebody damaged it: the next start will say so, too
                self._log.error("the claim cannot be read any more", reason=str(error))
            self._orphans = ""

    async def _write(self) -> None:
        changes, book = self._holds.changes, self._holds.book(self._claim.epoch)
        if book or self._etag:
            try:
                self._etag = await held.save(
                    self._store,
                    self._layout,
                    book,
                    etag=self._etag,
                    conditional=self._claim.conditional,
                    at=self._clock(),
                )
            except PreconditionError:
                await self._learn()
                raise
        self._saved = changes

    async def _learn(self) -> None:
        """Somebody wrote the record: we, and the answer was lost, or who claimed the prefix."""
        found = await held.fetch(self._store, self._layout, HELD)
        self._etag = found.etag
        try:
            epoch = held.read_book(found.body).epoch if found.etag else 0
        except (DamagedError, RefusedError):
            epoch = 0
        if epoch > self._claim.epoch:
            self._superseded = True
            self._log.warning("a later start keeps the record of held deletes", epoch=epoch)

    def _say_what_is_held(self) -> None:
        held_now = self._holds.book().held
        counts = Counter(hold.why for hold in held_now.values())
        for why in counts.keys() - self._said:
            first = min(key for key, hold in held_now.items() if hold.why == why)
            self._log.warning(
                "deletes are held: look with `watcher deletes list`",
                why=why,
                count=counts[why],
                first=first,
            )
        for why in self._said - counts.keys():
            self._log.info("no deletes are held any more", why=why)
        self._said = set(counts)
