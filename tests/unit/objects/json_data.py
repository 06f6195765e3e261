"""Strategies: anything that JSON can hold, leaning towards what YAML readers misread."""

from typing import Any

from hypothesis import strategies as st

SUSPICIOUS = (
    *("", "~", "null", "Null", "NULL", "true", "True", "FALSE", "yes", "No", "y", "N", "on", "OFF"),
    *("0", "-0", "+1", "00", "0777", "08", "0o17", "0O7", "0x1F", "0X_f", "0b11", "0B1", "1_000"),
    *("1.0", ".5", "5.", "1.", "-.5", "1e3", "1E3", "1e+3", "1.5e-7", "+1.5", "1.2.3", "10.0.0.1"),
    *(".inf", "-.Inf", "+.INF", ".nan", ".NaN", "inf", "nan", "Infinity", ".", "..", "...", "._"),
    *("12:30", "12:30:45", "1:2.5", "190:20:30", "2001-01-01", "2001-1-1", "2001-01-01 00:00:00"),
    *("2001-12-14t21:59:43.10-05:00", "2024-01-01T00:00:00Z", "1_", "_1", "_", "0_1", "1e", "e3"),
    *("=", "<<", "<", "!", "!!str a", "&a", "*a", "|", ">", "%", "@", "`", "'", '"', "{}", "[]"),
    *("{a: b}", "[a]", "- a", "-", "--", "---", "--- a", "? a", "?", ": a", ":", "a:", "a: b"),
    *("a #b", "#", "a#b", "a :b", "a:b", " a", "a ", "a  b", "a\tb", "\ta", "\\", '\\"', "a\\nb"),
    *(
        "\n",
        "\n\n",
        "a\n",
        "a\n\n",
        "\na",
        "\n a",
        "\n\ta",
        " a\nb",
        "  a\n b\n",
        "a\n \n",
        "a\n  ",
    ),
    *(
        " \n",
        " \na",
        "\n \na",
        "\t\na",
        "a\n\tb",
        "a\nb ",
        "a\r\nb",
        "a\rb",
        "a\n\rb",
        "a\n\n\nb\n",
    ),
    *("---\na", "a\n---\n", "a\n...\n", "#a\nb", "a\n#b\n", "\x00", "\x07", "\x1b", "\x7f", "\x80"),
    *(
        "\x85",
        "a\x85b\n",
        "\xa0",
        "\u2028",
        "a\u2029\nb",
        "\ufeff",
        "a\n\ufeffb",
        "\ufffe",
        "\uffff",
    ),
    *(
        "ä",
        "ä\nö\n",
        "日本",
        "😀",
        "😀\n😀",
        "\U0010ffff",
        "\ue000",
        "--flag=a b",
        "-a",
        "-1",
        "--1",
    ),
    *(
        "$(A)",
        "/a/b",
        "a,b",
        "k8s.io/a:b",
        "100m",
        "5Gi",
        "1e3m",
        "0.5",
        "7c9f",
        "5e4",
        "12e",
        "0xg",
    ),
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
YAML_TEXT = st.text(
    st.sampled_from("a1 \n\t:#-?|>%'\"\\.,~[]{}&*!=<0xeo_+\r\x85\u2028é"), max_size=12
)
STRINGS = st.one_of(st.sampled_from(SUSPICIOUS), TEXT, YAML_TEXT)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-10, 10),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from((0.0, -0.0, 1.0, 1e21, 1.5e21, 1e-7, 5e-324, 1.7976931348623157e308)),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, STRINGS)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(STRINGS, VALUES, max_size=5)
