"""A page as a person sees it, for whoever tests one; and names that nobody should have."""

from html.parser import HTMLParser

HOSTILE = "<script>alert(1)</script>\"'&\u202egnp.exe\x00\ud800"

_WITHIN = ("wbr", "b", "s", "time")  # tags within a word or a sentence


class Page(HTMLParser):
    """A page as a person sees it: its words, without what only programs read."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.html = page
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._words: list[str] = []
        self._hidden = 0
        self.feed(self.html)
        self.words = " ".join("".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag == "style"
        self._words.append("" if tag in _WITHIN else " ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag == "style"
        self._words.append("" if tag in _WITHIN else " ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._words.append(data)

    def sources(self) -> list[str]:
        return [v or "" for _, given in self.tags for k, v in given.items() if k in ("src", "href")]
