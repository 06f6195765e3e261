"""A part of the files is the same part whoever asks, and the parts are all of them."""

import pytest

from watcher.verify.sampling import ALL, Share, parse

KEYS = [f"ns-{number % 7}/pod/p{number}.yaml" for number in range(5000)]


def drawn(text: str, seed: str = "") -> set[str]:
    subset = parse(text, seed=seed)
    return {key for key in KEYS if key in subset}


def test_the_parts_are_all_files_and_each_once() -> None:
    parts = [drawn(f"{n}/30") for n in range(1, 31)]
    assert sum(map(len, parts)) == len(KEYS)
    assert set.union(*parts) == set(KEYS)
    assert all(100 < len(part) < 240 for part in parts)  # 167 on average


def test_a_percentage_is_about_that_and_the_same_for_the_same_seed() -> None:
    assert 150 < len(drawn("5%", "2026-07-01")) < 350
    assert drawn("5%", "2026-07-01") == drawn("5%@2026-07-01", "another day")
    assert drawn("5%", "2026-07-01") != drawn("5%", "2026-07-02")
    assert drawn("5%@x") <= drawn("10%@x") <= drawn("100%@x") == set(KEYS)


@pytest.mark.parametrize("text", ["1/1", "7/30", "5%@2026-07-01", "0.5%@a seed"])
def test_it_is_shown_as_it_is_written(text: str) -> None:
    assert str(parse(text, seed="")) == text


def test_all_is_all() -> None:
    assert parse("1/1", seed="") == ALL
    assert all(key in ALL for key in KEYS)
    assert parse("5%", seed="day") == Share(5.0, "day")


@pytest.mark.parametrize(
    "text", ["", "5", "0/3", "4/3", "1/0", "-1/3", "0%", "101%", "5 %", "5%@", "%", "1/3/5", "½"]
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text, seed="day")
