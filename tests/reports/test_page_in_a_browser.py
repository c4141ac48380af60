"""The leaderboard page in a headless Chromium: one browser and one page for all tests."""

import chromium
import pytest
from boards import HOSTILE, filled

from robeval.reports import measure
from robeval.reports.page import content, html

SHOWN = "[...document.querySelectorAll('section[role=tabpanel]')].filter(e => e.offsetParent).map(e => e.id)"
ROWS = """[...document.querySelectorAll('section[role=tabpanel]:not([hidden]) article')].map(board =>
    [...board.querySelectorAll('tbody tr')].filter(row => row.offsetParent).map(row => row.dataset.model))"""
SORTED = """[...document.querySelectorAll('article')].at(-2).querySelectorAll('thead tr:first-child th')"""
FIRST, SECOND = "digits-test-l2-0.5", "digits-test-linf-0.1"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = chromium.find()
    if program is None:
        pytest.skip("no Chromium: none on the path, and ROBEVAL_CHROMIUM names none")
    made = chromium.Browser(program, tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    ledger = filled(folder / "runs")
    results = measure.results(ledger, ledger.plans())
    page = folder / "board.html"
    page.write_text(html.page("Board", content.panels(ledger, results, content.Asked({}))), encoding="utf-8")
    return page


@pytest.fixture
def page(browser, path):
    """The page at its second tab; afterwards nobody may have complained, or asked anyone but the file."""
    browser.open(path, f"#tab={SECOND}")
    yield browser
    assert browser.complaints == []
    assert {url for url in browser.requests if not url.startswith(("file:", "about:"))} == set()


def click(page, selector):
    page.ask(f"document.querySelector({selector!r}).click()")


def write(page, selector, text):
    page.ask(f"(field => {{ field.value = {text!r}; field.dispatchEvent(new Event('input')) }})"
             f"(document.querySelector({selector!r}))")  # fmt: skip


def head(column):
    return f"#{SECOND.replace('.', chr(92) * 2 + '.')} th[data-column={column}] button"


def test_tabs_show_one_threat_model_at_a_time(page, path):
    assert page.ask(SHOWN) == [SECOND]
    page.open(path)
    assert page.ask(SHOWN) == [FIRST]
    page.ask(f"document.getElementById('tab-{FIRST}').focus()")
    page.press("ArrowRight")
    assert page.ask(SHOWN) == [SECOND]
    assert page.ask("document.activeElement.getAttribute('aria-selected')") == "true"
    assert page.ask("location.hash") == f"#tab={SECOND}"
    page.press("ArrowRight")
    assert page.ask(SHOWN) == [FIRST], "after the last comes the first"


def test_columns_sort_both_ways_and_the_other_boards_follow(page):
    ranked = ["strong", "middle", HOSTILE, "weak"]
    assert page.ask(ROWS) == [ranked, ["brief"]]
    click(page, "article table thead th[data-column=model] button")
    assert page.ask(ROWS)[0] == [HOSTILE, "middle", "strong", "weak"]
    worst = "article table thead th[data-column=worst] button"
    click(page, worst)
    assert page.ask(ROWS)[0] == ranked, "numbers begin with the largest"
    click(page, worst)
    assert page.ask(ROWS)[0] == ranked[::-1]
    assert page.ask(f"[...{SORTED}].filter(e => e.ariaSort !== 'none').map(e => e.dataset.column + e.ariaSort)") == [
        "worstascending"
    ]


def test_filters_take_texts_and_bounds(page):
    write(page, "#filter", "MID")
    assert page.ask(ROWS) == [["middle"], []]
    assert page.ask("[...document.querySelectorAll('.empty')].filter(e => e.offsetParent).length") == 1
    assert page.ask("[...document.querySelectorAll('details')].filter(e => e.offsetParent).length") == 1
    write(page, "#filter", "")
    click(page, "[data-switch=filters]")
    write(page, ".filters input[data-column=worst]", "≥ 52.5")
    assert page.ask(ROWS) == [["strong", "middle"], ["brief"]]
    write(page, ".filters input[data-column=worst]", "<52.5")
    assert page.ask(ROWS) == [[HOSTILE, "weak"], []]


def test_a_link_leads_to_what_was_chosen(page, path):
    page.open(path, f"#tab={SECOND}&sort=natural&dir=ascending&filter=e&where.n=%3E30&show=attacks,filters")
    assert page.ask(ROWS) == [["strong", "middle", HOSTILE, "weak"], []]
    assert page.ask("document.getElementById('filter').value") == "e"
    assert page.ask("[...document.querySelectorAll('[aria-pressed=true]')].length") == 6
    assert page.ask("[...document.querySelectorAll('th.attack')].filter(e => e.offsetParent).length") == 6
    page.open(path, f"#model={SECOND}--1--0")
    assert page.ask(SHOWN) == [SECOND]
    assert page.ask("[...document.querySelectorAll('details')].filter(e => e.open).map(e => e.dataset.model)") == [
        "brief"
    ]


def test_the_name_of_a_model_opens_its_section(page):
    click(page, f"[data-open='{SECOND}--0--2']")
    assert page.ask("[...document.querySelectorAll('details')].filter(e => e.open).map(e => e.dataset.model)") == [
        HOSTILE
    ]
    assert page.ask("document.activeElement.tagName") == "SUMMARY"


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_nothing_but_the_table_scrolls_sideways(page, path, width):
    page.open(path, f"#model={SECOND}--0--0&show=attacks,filters", width=width, height=800, is_phone=True)
    assert page.ask("document.documentElement.scrollWidth") == width
    assert page.ask("[...document.querySelectorAll('.wide')].some(e => e.scrollWidth > e.clientWidth)")
    assert page.ask("""[...document.querySelectorAll('button')].filter(e => e.offsetParent)
        .every(e => e.offsetHeight >= 28)""")


def test_colours_follow_the_system(page, path):
    colours = []
    for scheme in ("light", "dark"):
        page("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        colours.append(page.ask("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(255, 255, 255)", "rgb(15, 19, 24)"]
