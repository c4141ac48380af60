"""The page: one file that loads nothing from anywhere, and says so to the browser."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from robeval.reports.page.board import board
from robeval.reports.page.content import Panel
from robeval.reports.page.markup import Markup, tag
from robeval.version import VERSION

ABOUT = (
    "Robust accuracy is the share of all samples that are right after every attack, counted per sample. Intervals are "
    "Wilson's at 95 %. Models share a rank if they do not differ significantly (exact McNemar test, Holm's correction)."
)


@dataclass(frozen=True, slots=True)
class _Tab:
    """One threat model of a data set, and its name in links."""

    key: str
    panel: Panel


def page(title: str, panels: Sequence[Panel]) -> str:
    """A whole page. Without scripts it shows everything, one part below the other."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = f"default-src 'none'; img-src data:; style-src {_allowed(style)}; script-src {_allowed(script)}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    body = tag("body", _header(title, panels), _main(panels), _footer(), tag("script", Markup(script)))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _header(title: str, panels: Sequence[Panel]) -> Markup:
    models = {profile.model for panel in panels for each in panel.boards for profile in each.profiles}
    suites = {each.suite for panel in panels for each in panel.boards}
    counts = f"{_count(len(models), 'model')}, {_count(len(suites), 'suite')}"
    search = tag("label", tag("span", "Filter"), tag("input", type="search", id="filter", placeholder="model, date …"))
    said = tag("p", tag("b", counts), ". ", ABOUT)
    return tag("header", tag("h1", title), said, tag("div", search, class_="tools", hidden=True))


def _main(panels: Sequence[Panel]) -> Markup:
    tabs = _tabs(panels)
    datasets = list(dict.fromkeys(tab.panel.dataset for tab in tabs))
    tops = [
        tag("button", name, type="button", role="tab", id=f"data-{place}", aria_controls=f"of-data-{place}")
        for place, name in enumerate(datasets)
    ]
    parts = []
    for place, name in enumerate(datasets):
        inside = [tab for tab in tabs if tab.panel.dataset == name]
        buttons = [
            tag("button", tab.panel.threat, type="button", role="tab", id=f"tab-{tab.key}", aria_controls=tab.key)
            for tab in inside
        ]
        parts.append(
            tag(
                "div",
                tag("h2", name),
                tag("div", *buttons, role="tablist", aria_label=f"threat models of {name}", hidden=True),
                *map(_panel, inside),
                role="tabpanel",
                id=f"of-data-{place}",
                aria_labelledby=f"data-{place}",
            )
        )
    return tag("main", tag("div", *tops, role="tablist", aria_label="data sets", hidden=True), *parts)


def _panel(tab: _Tab) -> Markup:
    several = len(tab.panel.boards) > 1
    note = (
        "Models of different suites or on different samples stand in tables of their own and are not ranked together."
    )
    boards = [board(each, f"{tab.key}--{place}") for place, each in enumerate(tab.panel.boards)]
    return tag(
        "section",
        tag("h3", f"{tab.panel.dataset}, {tab.panel.threat}"),
        *((tag("p", note, class_="note"),) if several else ()),
        *boards,
        role="tabpanel",
        id=tab.key,
        aria_labelledby=f"tab-{tab.key}",
    )


def _footer() -> Markup:
    return tag("footer", f"Made by robeval {VERSION}. This file needs no network.")


def _tabs(panels: Sequence[Panel]) -> list[_Tab]:
    """Each panel with a name of its own that an address can hold."""
    tabs: dict[str, _Tab] = {}
    for panel in panels:
        key = re.sub(r"[^A-Za-z0-9.]+", "-", f"{panel.dataset} {panel.threat}").strip("-")
        key = key if key not in tabs else f"{key}-{len(tabs)}"
        tabs[key] = _Tab(key, panel)
    return list(tabs.values())


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _asset(name: str) -> str:
    return files("robeval.reports.page").joinpath(name).read_text(encoding="utf-8")


def _allowed(text: str) -> str:
    """How the policy of the page names the one style or script that it lets the browser use."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
