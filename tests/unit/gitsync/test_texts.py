"""What people read in the repository, and what git-sync itself reads there again."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.gitsync import position, readme
from watcher.gitsync.message import message, summary
from watcher.gitsync.position import Mark, Position
from watcher.gitsync.repository import Change

TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
AT = datetime(2026, 11, 26, 3, 58, 1, tzinfo=UTC)
MARK = Mark(Position(AT), "1f3a", TREE)

times = st.none() | st.datetimes(
    datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)
).map(lambda it: it.replace(microsecond=0))
clusters = st.from_regex(r"[a-z0-9]{1,5}\.[a-z]{2,3}/[a-z0-9-]{1,9}", fullmatch=True)


def text(*changes: Change, **given: dict[str, str]) -> str:
    told = {"managers": {}, "left_out": {}, **given}
    return message(changes, prefix="", mark=MARK, **told)


@given(st.builds(Position, times, st.dictionaries(clusters, times)), st.text())
def test_a_position_that_was_written_is_read(where: Position, before: str) -> None:
    mark = Mark(where, "1f3a", TREE)
    assert position.read(f"{before}\n\n{mark.trailers()}\n", TREE) == mark


@pytest.mark.parametrize(
    "changed",
    [
        MARK.trailers().replace("2026", "20x6"),
        MARK.trailers().replace("Z", ""),
        MARK.trailers().replace("Bucket-Position", "Position"),
        MARK.trailers().replace("Bucket-Tree", "Tree"),
        MARK.trailers() + "\n\nSigned-off-by: a human",
        "",
    ],
)
def test_a_message_that_was_changed_tells_nothing(changed: str) -> None:
    assert position.read(changed, TREE) is None


def test_trailers_of_another_tree_tell_nothing() -> None:
    assert position.read(MARK.trailers(), "0" * 40) is None


def test_no_manager_can_write_a_trailer() -> None:
    path = "example.com/east/default/configmap/a.yaml"
    evil = "x\n\nBucket-Position: 2099-01-01T00:00:00Z"
    made = text(Change("A", path), managers={path: evil})
    assert position.read(made, TREE) == MARK
    assert "\nBucket-Position: 2099" not in made


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], ""),
        ([("A", "e.com/a/ns/pod/x.yaml")], "e.com/a, 1 added"),
        (
            [("M", "e.com/a/ns/pod/x.yaml"), ("D", "e.com/b/ns/pod/x.yaml")],
            "2 clusters, 1 changed, 1 deleted",
        ),
        ([("A", f"e.com/a/ns/pod/{n}.yaml") for n in range(1234)], "e.com/a, 1,234 added"),
    ],
)
def test_the_first_line_counts(changes: list[tuple[str, str]], expected: str) -> None:
    assert summary([Change(*it) for it in changes], "") == expected


def test_a_message_has_a_table_and_who_changed_it_and_what_is_missing() -> None:
    web, gone = "e.com/a/ns/deployment/web.yaml", "e.com/b/_cluster/node/n1.yaml"
    made = text(
        *(Change("M", web), Change("D", gone), Change("M", "README.md")),
        managers={web: "helm", gone: ""},
        left_out={"e.com/b/ns/secret/db.yaml": "plain-secret"},
    )
    assert made == (
        "2 clusters, 1 changed, 1 deleted\n\n"
        "cluster  kind        changed  added  deleted\n"
        "e.com/a  deployment        1\n"
        "e.com/b  node                              1\n\n"
        "Changed by helm 1, others or not known 1.\n\n"
        "Not mirrored:\ne.com/b/ns/secret/db.yaml (plain-secret)\n\n"
        f"Bucket-Position: 2026-11-26T03:58:01Z\nBucket-Selection: 1f3a\nBucket-Tree: {TREE}\n"
    )


def test_a_message_stays_short_whatever_changed() -> None:
    changes = [Change("A", f"e.com/c{n}/ns/pod/x.yaml") for n in range(5000)]
    made = text(
        *changes,
        managers={it.path: f"manager-{n}" for n, it in enumerate(changes)},
        left_out={it.path: "rejected" for it in changes},
    )
    assert len(made.splitlines()) < 150
    assert "and 4,900 more" in made


@given(st.sets(clusters))
def test_the_clusters_that_the_readme_lists_are_read_from_it(named: set[str]) -> None:
    assert readme.clusters(readme.render(named)) == named


def test_a_readme_of_somebody_elses_lists_no_cluster() -> None:
    assert readme.clusters("# Ours\n\n- [docs](docs/)\n- [a/b](c/d/)\n") == set()
