"""Requests of a mirror by what they are for."""

from bench.git_mirror import by_kind
from tests.e2e.proxy import Seen
from tests.e2e.watcher_process import PREFIX


def test_listings_of_objects_of_folders_and_of_book_keeping_are_told_apart() -> None:
    list_ = "/bucket?list-type=2"
    asked = [
        Seen("GET", f"{list_}&prefix=&delimiter=/", 200),
        Seen("GET", f"{list_}&prefix={PREFIX}", 200),
        Seen("GET", f"{list_}&prefix={PREFIX}_meta/journal/", 200),
        Seen("GET", f"/bucket/{PREFIX}_meta/owner.json", 200),
        Seen("GET", f"/bucket/{PREFIX}shop/pod/web.yaml", 200),
        Seen("GET", f"/bucket/{PREFIX}shop/pod/list-type=2.yaml", 200),
    ]
    assert by_kind(asked) == {
        "requests_GET": 2,
        "requests_GET_meta": 1,
        "requests_LIST": 1,
        "requests_LIST_folders": 1,
        "requests_LIST_meta": 1,
    }
