"""One ranking on the page: its table, and below it a section for each model."""

import re
from collections.abc import Sequence

from robeval.reports import leaderboard
from robeval.reports.page import charts
from robeval.reports.page.content import Board, Profile
from robeval.reports.page.markup import Markup, join, tag
from robeval.reports.page.picture import Picture, data_uri
from robeval.values.table import Table

SHOWN_NOTES = 5
_VALUE = re.compile(r"([\d.]+) \[([\d.]+),([\d.]+)\]")


def board(about: Board, key: str) -> Markup:
    """The table with buttons to sort by, a filter for each column, the notes, and the models.

    Args:
        key: begins the ids of its elements.
    """
    table = about.table
    places = _places(table)
    rows = [
        tag("tr", *(_cell(table, row, place, f"{key}--{line}") for place in places), data_model=row[1])
        for line, row in enumerate(table.rows)
    ]
    head = tag("tr", *(_heading(table, place) for place in places))
    filters = tag("tr", *(_filter(table, place) for place in places), class_="filters", hidden=True)
    switches = _switch("every attack", "attacks"), _switch("column filters", "filters")
    caption = tag("p", table.caption, class_="note", id=f"{key}--about")
    grid = tag("table", tag("thead", head, filters), tag("tbody", *rows), aria_labelledby=f"{key}--about")
    models = [_model(profile, f"{key}--{line}") for line, profile in enumerate(about.profiles)]
    return tag(
        "article",
        tag("h4", about.suite),
        caption,
        tag("div", *switches, class_="tools", hidden=True),
        tag("div", grid, class_="wide", tabindex=0, role="region", aria_label=f"{about.suite}: table"),
        tag("p", "no model fits the filter", class_="empty", hidden=True),
        _notes(table.notes),
        *models,
    )


def _notes(notes: Sequence[str]) -> Markup:
    """A list, closed at first if it is long."""
    listed = tag("ul", *(tag("li", note) for note in notes), class_="notes") if notes else join()
    if len(notes) <= SHOWN_NOTES:
        return listed
    return tag("details", tag("summary", f"{len(notes)} notes"), tag("div", listed, class_="inside"))


def _places(table: Table) -> list[int]:
    """The columns in the page's order: the attacks come last, as there may be many."""
    worst = table.header.index(leaderboard.WORST)
    first, last = [0, 1, 2, worst], list(range(worst + 1, len(table.header)))
    return [*first, *last, *range(3, worst)]


def _kind(table: Table, place: int) -> str:
    """What a column is called in links and in the style sheet."""
    worst = table.header.index(leaderboard.WORST)
    names = {0: "rank", 1: "model", 2: "natural", worst: "worst"}
    return names.get(place) or ("attack" if place < worst else table.header[place].replace(" ", "-"))


def _column(table: Table, place: int) -> str:
    kind = _kind(table, place)
    return table.header[place] if kind == "attack" else kind


def _heading(table: Table, place: int) -> Markup:
    name = table.header[place].removesuffix(" [95 % CI]")
    shown = {"#": "rank", "made with": "date"}.get(name, name)
    button = tag("button", shown, tag("i", aria_hidden="true"), type="button")
    kind = "number" if table.is_number(place) else None
    return tag(
        "th", button, scope="col", aria_sort="none", class_=_classes(table, place), data_column=_column(table, place),
        data_kind=kind,
    )  # fmt: skip


def _filter(table: Table, place: int) -> Markup:
    hint = "≥ 50" if table.is_number(place) else "has …"
    label = f"filter {_column(table, place)}"
    field = tag("input", type="search", placeholder=hint, aria_label=label, data_column=_column(table, place))
    return tag("td", field, class_=_classes(table, place))


def _classes(table: Table, place: int) -> str:
    kind = _kind(table, place)
    return f"{kind} number" if table.is_number(place) else kind


def _cell(table: Table, row: Sequence[str], place: int, key: str) -> Markup:
    text, kind = row[place], _kind(table, place)
    about = {"class_": _classes(table, place), "data_value": text}
    if kind == "model":
        return tag("th", tag("a", _breakable(text), href=f"#{key}", data_open=key), scope="row", **about)
    if kind == "made-with":
        dates = re.findall(r"\d{4}-\d\d-\d\d", text)
        shown = dates[-1] if dates else text
        return tag("td", shown, class_=about["class_"], data_value=f"{shown} {text}" if dates else text, title=text)
    if match := _VALUE.fullmatch(text):
        value, low, high = match.groups()
        inside = join(tag("b", value), " ", tag("small", f"{low}–{high}"))
        return tag("td", join(inside, _meter(value)) if kind == "worst" else inside, **(about | {"data_value": value}))
    return tag("td", text, **about)


def _breakable(name: str) -> Markup:
    """A name that may go on in the next line after an underscore."""
    first, *rest = name.split("_")
    return join(first, *(part for each in rest for part in ("_", Markup("<wbr>"), each)))


def _meter(value: str) -> Markup:
    filled = tag("rect", width=value, height=4)
    return tag("svg", filled, class_="meter", viewBox="0 0 100 4", preserveAspectRatio="none", aria_hidden="true")


def _switch(text: str, what: str) -> Markup:
    return tag("button", text, type="button", aria_pressed="false", data_switch=what)


def _model(profile: Profile, key: str) -> Markup:
    """A model's section, closed at first."""
    title = tag(
        "summary", tag("span", profile.rank, class_="place"), tag("b", profile.model), " ", tag("span", profile.worst)
    )
    facts = [join(tag("dt", name), tag("dd", _linked(text))) for name, text in profile.facts]
    parts = [_part("Robust accuracy in %, attack by attack", charts.bars(profile.bars))]
    parts.append(_part("Robust accuracy in % against eps", _curve(profile)))
    if profile.classes:
        caption = "Accuracy in % of each class: under all attacks, of that on clean images"
        parts.append(_part(caption, charts.classes(profile.classes)))
    images = _part("Images that were broken", _pictures(profile))
    inside = tag("div", tag("dl", *facts), tag("div", *parts, class_="charts"), images, class_="inside")
    return tag("details", title, inside, id=key, data_model=profile.model)


def _part(title: str, inside: Markup) -> Markup:
    return tag("section", tag("h5", title), inside)


def _linked(text: str) -> Markup:
    """`arXiv:1901.08573` as a link; anything else as it is."""
    if re.fullmatch(r"arXiv:[\w./-]+", text):
        address = f"https://arxiv.org/abs/{text.removeprefix('arXiv:')}"
        return tag("a", text, href=address, rel="noreferrer")
    return join(text)


def _curve(profile: Profile) -> Markup:
    if not profile.curves:
        said = "The ledger has results at one radius only, and attacks inside one ball say nothing of smaller ones."
        command = tag("code", profile.curve_command), " makes a curve: it looks for the nearest images."
        return tag("p", said, *((" ", *command) if profile.curve_command else ()), class_="note")
    note = "What attacks find is an upper bound; a stronger one may lower it. Dashed: the eps of this ranking."
    return join(charts.curve(profile.curves, profile.eps, profile.norm), tag("p", note, class_="note"))


def _pictures(profile: Profile) -> Markup:
    if profile.pictures is None:
        said = ("A ledger keeps verdicts, not images: ", tag("code", "--pictures 6"), " makes the first six again.")
        return tag("p", *said, class_="note")
    if not profile.pictures:
        return tag(
            "p", "None could be made again here: no sample was broken, or the weights are not at hand.", class_="note"
        )
    return tag("div", *(_picture(each) for each in profile.pictures), class_="pictures")


def _picture(each: Picture) -> Markup:
    difference, times = each.difference()
    shown = (
        (each.clean, "clean", f"says {each.before}"),
        (each.adversarial, each.attack, f"says {each.after}"),
        (difference, "difference", f"× {times:.2g}"),
    )
    figures = [
        tag(
            "figure",
            tag("img", src=data_uri(image), alt=f"sample {each.sample}, {name}", width=96, height=96),
            tag("figcaption", name, " ", tag("b", said)),
        )
        for image, name, said in shown
    ]
    return tag("div", tag("p", f"sample {each.sample}, class {each.label}"), *figures, class_="sample")
