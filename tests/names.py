"""Names that a folder, a table, a card or a record may bring, and what a page makes of them."""
from html.parser import HTMLParser

NASTY = ["<img src=x onerror=alert(1)>", "</td><script>alert(1)</script>", "A & B &lt;i&gt;", "$a$ $b", "one $ alone",
         "a_b^c", "_under_", r"\alpha \$", r"\(x\)", "| pipe |", "# head", "*star* `code` ~~no~~", "[a](http://b)",
         "two\nlines", "tab\tbed", "\x1b[31mred", "'quoted' \"twice\"", "青蛙 🐸", "n" * 300, "m" * 300]
NO_UTF8 = "fr\udcffg"  # how Python reads a byte of a file's name that is no UTF-8


class Page(HTMLParser):
    """What a reader of some HTML gets: its tags with their attributes, the texts of its cells, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.cells, self.text, self.open = [], [], "", False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("td", "th"):
            self.open = True
            self.cells.append("")

    def handle_endtag(self, tag):
        self.open &= tag not in ("td", "th")

    def handle_data(self, text):
        self.text += text
        if self.open:
            self.cells[-1] += text

    def only(self, *names: str) -> bool:
        """Whether there are no other tags, and no attribute that runs."""
        return all(tag in names and not any(name.startswith("on") for name in given) for tag, given in self.tags)
