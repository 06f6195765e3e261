"""Both sides of a reconcile, as columns beside the keys of the ledger."""

from hypothesis import given
from hypothesis import strategies as st

from watcher.capture.drift.comparison import Comparison, Drift

KEYS = ["a/pod/1.yaml", "a/pod/2.yaml", "a/pod/3.yaml"]
ONE, TWO = b"1" * 16, b"2" * 16


def differences(sides: Comparison, *unread: str) -> list[tuple[Drift, str]]:
    return list(sides.differences(unread))


def test_equal_sides_do_not_differ() -> None:
    sides = Comparison(KEYS)
    for key in KEYS:
        sides.cluster.set(key, ONE)
        sides.bucket.set(key, ONE)
    assert differences(sides) == []


def test_each_difference_has_its_name_whether_the_ledger_knows_the_key_or_not() -> None:
    sides = Comparison(KEYS)
    sides.cluster.set(KEYS[0], ONE)
    sides.bucket.set(KEYS[1], ONE)
    sides.cluster.set(KEYS[2], ONE)
    sides.bucket.set(KEYS[2], TWO)
    sides.cluster.set("a/pod/new.yaml", ONE)
    sides.bucket.set("a/pod/0.yaml", ONE)
    assert differences(sides) == [
        (Drift.ORPHANED, "a/pod/0.yaml"),
        (Drift.MISSING, KEYS[0]),
        (Drift.ORPHANED, KEYS[1]),
        (Drift.CHANGED, KEYS[2]),
        (Drift.MISSING, "a/pod/new.yaml"),
    ]


def test_what_cannot_be_told_is_no_difference() -> None:
    sides = Comparison(KEYS)
    sides.cluster.set(KEYS[0], ONE)
    sides.bucket.set(KEYS[0], None)
    assert differences(sides) == []


def test_a_kind_that_was_not_listed_is_not_judged() -> None:
    sides = Comparison([*KEYS, "a/secret/1.yaml"])
    for key in (*KEYS, "a/secret/1.yaml"):
        sides.bucket.set(key, ONE)
    assert differences(sides, "pod") == [(Drift.ORPHANED, "a/secret/1.yaml")]


@given(
    st.sets(st.sampled_from("abcdef")),
    st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([ONE, TWO])),
    st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([ONE, TWO])),
)
def test_it_says_what_two_plain_maps_would(
    known: set[str], cluster: dict[str, bytes], bucket: dict[str, bytes]
) -> None:
    def key(letter: str) -> str:
        return f"{letter}/pod/{letter}.yaml"

    sides = Comparison(sorted(map(key, known)))
    for letter, digest in cluster.items():
        sides.cluster.set(key(letter), digest)
    for letter, digest in bucket.items():
        sides.bucket.set(key(letter), digest)
    found = {k: d for d, k in sides.differences(())}
    assert found == {
        **{key(n): Drift.MISSING for n in cluster.keys() - bucket.keys()},
        **{key(n): Drift.ORPHANED for n in bucket.keys() - cluster.keys()},
        **{
            key(n): Drift.CHANGED for n in cluster.keys() & bucket.keys() if cluster[n] != bucket[n]
        },
    }
