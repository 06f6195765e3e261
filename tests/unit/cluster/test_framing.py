"""Watch lines and list items come out the same wherever the network cut the bytes."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.cluster import framing
from watcher.cluster.framing import Items, Lines
from watcher.errors import ClusterError

LINES = b'{"type":"ADDED"}\n\n{"type":"BOOKMARK"}\r\n{"type":"DELETED"}\n'


def _cut(data: bytes, *places: int) -> list[bytes]:
    ends = [0, *sorted(places), len(data)]
    return [data[a:b] for a, b in pairwise(ends)]


@pytest.mark.parametrize("at", range(len(LINES)))
def test_lines_are_the_same_wherever_they_are_cut(at: int) -> None:
    lines = Lines()
    found = [line.strip() for piece in _cut(LINES, at) for line in lines.feed(piece)]
    assert found == [b'{"type":"ADDED"}', b'{"type":"BOOKMARK"}', b'{"type":"DELETED"}']


def test_a_line_without_its_end_is_not_a_line_yet() -> None:
    lines = Lines()
    assert lines.feed(b'{"type"') == []
    assert lines.feed(b':"ADDED"}') == []
    assert lines.feed(b"\n") == [b'{"type":"ADDED"}']


def test_a_line_beyond_all_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_LINE", 10)
    with pytest.raises(ClusterError, match="longer than 10 bytes"):
        Lines().feed(b"x" * 11)


def _read(page: bytes, *places: int) -> tuple[list[object], dict[str, object]]:
    items = Items()
    found = [item for piece in _cut(page, *places) for item in items.feed(piece)]
    rest, envelope = items.finish()
    return [*found, *rest], envelope


def _objects(count: int) -> list[dict[str, object]]:
    """Objects with things in them that look like seams between items."""
    tricky = [{"metadata": {"name": "inner"}}, {"metadata": {"name": '"},{"metadata":{'}}]
    return [{"metadata": {"name": f"n{i}"}, "spec": {"list": tricky}} for i in range(count)]


BUILT_IN = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}}


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "BATCH", 1)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("at", range(0, 700, 7))
def test_items_are_the_same_wherever_the_page_is_cut(at: int) -> None:
    objects = _objects(4)
    page = orjson.dumps({**BUILT_IN, "items": objects})
    found, envelope = _read(page, min(at, len(page)), min(2 * at, len(page)))
    assert found == objects
    assert envelope == BUILT_IN


@pytest.mark.usefixtures("small_batches")
def test_lists_of_custom_resources_name_their_metadata_last() -> None:
    objects = [{"apiVersion": "v1", "kind": "A", "metadata": {"name": f"n{i}"}} for i in range(9)]
    page = orjson.dumps({"apiVersion": "v1", "items": objects, "metadata": {"continue": "x"}})
    found, envelope = _read(page, *range(0, len(page), 50))
    assert found == objects
    assert envelope["metadata"] == {"continue": "x"}


@pytest.mark.usefixtures("small_batches")
def test_pages_with_spaces_are_read_too() -> None:
    page = orjson.dumps({**BUILT_IN, "items": _objects(3)}, option=orjson.OPT_INDENT_2)
    assert _read(page, 100, 200)[0] == _objects(3)


@pytest.mark.parametrize("items", [b"[]", b"null"])
def test_an_empty_list_has_no_items(items: bytes) -> None:
    found, envelope = _read(b'{"metadata":{"resourceVersion":"7"},"items":' + items + b"}")
    assert found == []
    assert envelope == {"metadata": {"resourceVersion": "7"}}


@pytest.mark.parametrize("page", [b"", b"[]", b'{"items":[', b'{"metadata":{},"items":[{"a":1}'])
def test_a_page_that_is_not_whole_is_an_error(page: bytes) -> None:
    with pytest.raises(ClusterError):
        _read(page)


def test_a_list_without_an_end_to_its_items_hands_on_what_came() -> None:
    items = Items()
    page = orjson.dumps({**BUILT_IN, "items": [{"metadata": {"name": "n"}}] * 9000})
    assert items.feed(page[:-500])
    with pytest.raises(ClusterError, match="not whole"):
        items.finish()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@pytest.mark.usefixtures("small_batches")
@given(
    items=st.lists(st.fixed_dictionaries({"metadata": st.dictionaries(st.text(), _JSON)})),
    cuts=st.lists(st.integers(0, 300), max_size=8),
)
def test_any_items_cut_anywhere_come_out_as_they_went_in(
    items: list[dict[str, object]], cuts: list[int]
) -> None:
    page = orjson.dumps({**BUILT_IN, "items": items})
    assert _read(page, *(min(cut, len(page)) for cut in cuts)) == (items, BUILT_IN)
