"""Tables as LaTeX and HTML: compared with texts in `golden/`, and with what a parser makes of them."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from golden import same

from robeval.reports.render import html, latex
from robeval.values.table import Table

TABLE = Table(
    "own: robust_accuracy, 95 % intervals & more",
    ("row", "measured", "diff.", ""),
    (
        ("R-MC_LA #1", "60.00 [53.1,66.5]", "+0.12", "agrees"),
        ("", "–", "–", "published only"),
        ("eps < 8/255 {a\\b}", "1.50", "-7.00", "[1] ±"),
    ),
    ("[1] 50 % of x^2 ~ $y",),
)
GOLDEN = Path(__file__).parent / "golden"
HOSTILE = "".join(map(chr, range(32, 127))) + "–±…"


def test_latex():
    same(GOLDEN / "table.tex", latex.render(TABLE))


def test_html():
    same(GOLDEN / "table.html", html.page("Tables <1>", [TABLE, TABLE]))


def test_latex_has_nothing_that_it_takes_for_its_own():
    text = latex.escape(HOSTILE)
    commands = r"\\(?:textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|dots)\{\}|\\[&%$#_{}]"
    rest = re.sub(commands, "", text.replace(r"$\pm$", ""))
    assert not set(rest) & set("\\&%$#_{}~^<>|–±…")
    assert set(rest) == set(HOSTILE) - set("\\&%$#_{}~^<>|–±…") | {"-"}


def test_a_line_that_begins_with_a_bracket_is_no_argument_of_the_one_before():
    text = latex.render(Table("c", ("a", "b"), (("x", "y"), ("[1]", "z"))))
    assert "{[1]} & z \\\\" in text


class Cells(HTMLParser):
    """The texts of a page, by tag."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.notes, self.classes = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.classes.append(dict(attrs).get("class"))
        assert not {"src", "href"} & {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        if self.open and self.open[-1] == "p":
            self.notes.append(data)


@pytest.mark.parametrize("text", ["<b>x</b>", "a & b", '"', HOSTILE])
def test_html_shows_texts_as_they_are_and_loads_nothing(text):
    page = Cells(html.page(text, [Table(text, ("a", text), ((text, "1.5"), ("y", "–")), (text,))]))
    assert page.rows == [["a", text], [text, "1.5"], ["y", "–"]]
    assert page.notes == [text]
    assert page.classes == [None, "number"] * 3


def test_numbers_with_a_sign_are_numbers():
    signed = Table("c", ("a",), (("+0.12",), ("-7.00",), ("–",)))
    assert signed.is_number(0)
    assert not Table("c", ("a",), (("-x",),)).is_number(0)
