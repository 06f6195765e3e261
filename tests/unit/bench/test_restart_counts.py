"""Which requests of a start are about objects, and which are book-keeping."""

from bench.measure.scenarios.restart import counted
from tests.e2e.proxy import Seen
from tests.e2e.watcher_process import PREFIX


def listing(**query: object) -> Seen:
    words = "&".join(f"{name.replace('_', '-')}={value}" for name, value in query.items())
    return Seen("GET", f"/bucket?list-type=2&{words}", 200)


BOOK_KEEPING = [
    listing(prefix=PREFIX, max_keys=1),
    listing(prefix=f"{PREFIX}_meta/journal/"),
    listing(prefix=f"{PREFIX}_meta/index.ndjson.gz"),
    Seen("GET", f"/bucket/{PREFIX}_meta/index.ndjson.gz", 200),
    Seen("PUT", f"/bucket/{PREFIX}_meta/owner.json", 200),
]
PAGES = [listing(prefix=PREFIX), listing(prefix=PREFIX, start_after=f"{PREFIX}_meta0")]


def test_a_good_start_asks_for_pages_of_keys_and_the_checkpoint() -> None:
    assert counted([*BOOK_KEEPING, *PAGES], 1500) == {
        "restart.requests": 7,
        "restart.puts_of_objects": 0,
        "restart.gets_of_objects": 0,
        "restart.gets_of_checkpoint": 1,
        "restart.lists": 2,
        "restart.lists_beyond_pages": 0,
    }


def test_what_is_asked_of_an_object_is_counted() -> None:
    place = f"/bucket/{PREFIX}shop/pod/web.yaml"
    asked = [Seen("HEAD", place, 200), Seen("GET", place, 200), Seen("PUT", place, 200)]
    told = counted([*BOOK_KEEPING, *PAGES, *asked], 10)
    assert (told["restart.gets_of_objects"], told["restart.puts_of_objects"]) == (2, 1)
    assert told["restart.lists_beyond_pages"] == 1
