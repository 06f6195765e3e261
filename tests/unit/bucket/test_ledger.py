"""The ledger vouches only for what the bucket has answered."""

import pytest

from watcher.bucket.ledger import UNKNOWN, Entry, Ledger, Stored, after_conflict, etag_of
from watcher.bucket.store import CREATE, Update

A, B = b"a" * 16, b"b" * 16
STORED_A = Entry(Stored('"etag-a"', A))
LISTED = Entry(Stored('"etag-a"', UNKNOWN))
ABSENT = Entry()


def test_a_settled_entry_holds_exactly_what_is_stored() -> None:
    assert STORED_A.holds(A)
    assert not STORED_A.holds(B)
    assert not STORED_A.holds(None)


def test_an_absent_key_holds_a_deletion_only() -> None:
    assert ABSENT.holds(None)
    assert not ABSENT.holds(A)


def test_a_listed_key_holds_nothing_before_its_content_is_known() -> None:
    assert not LISTED.holds(A)
    assert not LISTED.holds(None)
    assert not LISTED.holds(UNKNOWN)


@pytest.mark.parametrize("entry", [STORED_A, ABSENT, LISTED])
def test_in_doubt_nothing_may_be_dropped(entry: Entry) -> None:
    for content in (A, B, None):
        assert not entry.sent().holds(content)


def test_sending_again_changes_nothing() -> None:
    assert STORED_A.sent().sent() == STORED_A.sent()


@pytest.mark.parametrize("entry", [STORED_A, STORED_A.sent(), LISTED])
def test_the_next_put_names_the_version_we_believe_in_also_in_doubt(entry: Entry) -> None:
    assert entry.precondition() == Update('"etag-a"')


def test_where_nothing_is_believed_the_next_put_creates() -> None:
    assert ABSENT.precondition() == CREATE
    assert ABSENT.sent().precondition() == CREATE


def test_after_a_conflict_our_own_lost_write_is_taken_over() -> None:
    assert after_conflict(Stored('"b"', B), ours=True) == Entry(Stored('"b"', B))


def test_after_a_conflict_an_absent_key_is_created_next() -> None:
    assert after_conflict(None, ours=False) == ABSENT


def test_after_a_conflict_with_a_stranger_there_is_no_entry_to_go_on_from() -> None:
    assert after_conflict(Stored('"b"', B), ours=False) is None


def test_a_listed_version_is_recognised_by_the_md5_of_what_we_would_write() -> None:
    listed = Stored(etag_of(b"kind: Pod\n"), UNKNOWN)
    assert listed.recognised(b"kind: Pod\n", A) == Stored(listed.etag, A)
    assert listed.recognised(b"kind: Job\n", A) == listed


KEY, OTHER = "ns/pod/a.yaml", "ns/certificate.cert-manager.io/a.yaml"


@pytest.mark.parametrize("entry", [STORED_A, STORED_A.sent(), LISTED, LISTED.sent(), ABSENT.sent()])
def test_the_ledger_gives_back_every_entry_it_was_given(entry: Entry) -> None:
    ledger = Ledger()
    ledger.put(KEY, entry)
    assert ledger.get(KEY) == entry
    assert (ledger.keys_of("pod"), len(ledger)) == ([KEY], 1)


def test_a_key_that_was_never_recorded_is_absent() -> None:
    assert Ledger().get(KEY) == ABSENT
    assert Ledger().keys_of("pod") == []


def test_a_key_known_to_be_absent_takes_no_room() -> None:
    ledger = Ledger()
    ledger.put(KEY, ABSENT)
    ledger.put(OTHER, STORED_A)
    ledger.put(OTHER, ABSENT)
    assert (len(ledger), ledger.kinds()) == (0, [])


def test_keys_are_found_by_their_kind() -> None:
    ledger = Ledger()
    ledger.put(KEY, STORED_A)
    ledger.put(OTHER, STORED_A)
    ledger.put("_cluster/pod/odd.yaml", STORED_A)
    assert ledger.keys_of("pod") == [KEY, "_cluster/pod/odd.yaml"]
    assert ledger.keys_of("certificate.cert-manager.io") == [OTHER]
    assert sorted(ledger.kinds()) == ["certificate.cert-manager.io", "pod"]


def test_keys_can_be_walked_while_the_ledger_changes() -> None:
    ledger = Ledger()
    for number in range(3):
        ledger.put(f"ns/pod/{number}.yaml", STORED_A)
    for key in ledger.keys_of("pod"):
        ledger.put(key, ABSENT)
    assert len(ledger) == 0
