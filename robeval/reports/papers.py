"""reports/papers/<id>.toml -> PaperTable."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from robeval import shelf
from robeval.errors import Problems, UserError, nearest, raise_together
from robeval.reports import miniature
from robeval.values.paper import SCALES, Ask, PaperCell, PaperTable, Recipe
from robeval.values.parameters import NotNegative, resolve

PAPERS = "reports/papers"

Section = dict[str, Any]


def load(name: str, option: str = "TABLE") -> PaperTable:
    """The table of that name on the shelf, or in that TOML file.

    Raises:
        UserError: no such table (names the nearest), or a key that is missing, unknown or of the wrong type; all are
            named together.
    """
    path = shelf.find(PAPERS, name, option)
    return _Reader(path).table(shelf.read_toml(path))


def catalog() -> dict[str, PaperTable]:
    """Every table on the shelf by name.

    Raises:
        UserError: something in one of them is wrong; all that is wrong is said at once.
    """
    problems = Problems()
    tables = {name: problems.attempt(load, str(path)) for name, path in shelf.names(PAPERS).items()}
    raise_together(problems)
    return tables


# What each section may hold: the keywords are its keys, as `resolve` reads them. `_ask` and `_about` have those that
# every level has, from the whole table to one cell; where two levels say different things, the narrower one counts:
# cell before column before row before table.


def _ask(
    *,
    model: str = "",
    suite: str = "",
    attack: str = "",
    source: str = "",
    metric: str = "",
    data: str = "",
    eps: str = "",
    finding: dict[str, Any] | None = None,
    minus: dict[str, Any] | None = None,
) -> None:
    """Where the number is. `{data}` and `{eps}` in a text stand for the values of `data` and `eps`."""


def _about(
    *,
    unit: str = "",
    tolerance: NotNegative | None = None,
    needs: str = "",
    quoted: str = "",
    method: str = "",
    left_out: str = "",
    notes: tuple[str, ...] = (),
    reading: dict[str, Any] | None = None,
    digits: dict[str, Any] | None = None,
) -> None:
    """What is known of the number; `reading` and `digits` hold the keys of `_ask` where they differ there."""


def _top(
    *,
    title: str,
    cite: str,
    column: tuple[dict[str, Any], ...],
    row: tuple[dict[str, Any], ...],
    readings: dict[str, Any] | None = None,
    note: dict[str, Any] | None = None,
    trained: dict[str, Any] | None = None,
    about: tuple[str, ...] = (),
) -> None:
    """The table. `note` has texts by the names that lists of `notes` use, `about` the names of those about it all;
    `trained` has models of its own miniature, beside those of reports/miniature.
    """


def _column(*, id: str, title: str = "") -> None:
    """One column."""


def _row(*, label: str, values: dict[str, Any]) -> None:
    """One row; `values` has by column what is printed there: a text, or a section."""


def _cell(*, value: str, spread: str = "") -> None:
    """One number as printed; a cell that prints none has an empty text."""


def _trained(*, like: str, training: dict[str, Any], network: dict[str, Any] | None = None) -> Recipe:
    return Recipe(like, training, network or {})


_ASK = ("model", "suite", "attack", "source", "metric", "data", "eps", "finding", "minus")
_ABOUT = ("unit", "tolerance", "needs", "quoted", "method", "left_out", "notes", "reading", "digits")


class _Reader:
    """Reads one file and collects what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[UserError] = []
        self.texts: Mapping[str, Any] = {}
        self.readings: Mapping[str, str] = {"": ""}

    def table(self, text: Mapping[str, Any]) -> PaperTable:
        self.texts, self.readings = _section(text.get("note")), _section(text.get("readings")) or {"": ""}
        keys, level = self.split(_top, text, "")
        raise_together(self.problems)
        columns = [self.split(_column, each, f"[[column]] {place}") for place, each in enumerate(keys["column"], 1)]
        known = {str(column.get("id")): (column, inner) for column, inner in columns}
        cells: list[PaperCell] = []
        for place, each in enumerate(keys["row"], 1):
            row, outer = self.split(_row, each, f"[[row]] {place}")
            at = f"row '{row.get('label')}'"
            values = row.get("values")
            for name, value in values.items() if isinstance(values, dict) else ():
                if name not in known:
                    self.wrong(f"'values' has a column '{name}'", at, nearest(name, known))
                    continue
                column, inner = known[name]
                cell, own = self.split(_cell, {"value": value} if isinstance(value, str) else value, f"{at}: {name}")
                title = column["title"] or name
                cells.append(self.cell(str(row.get("label")), title, cell, (level, outer, inner, own), at))
        about = tuple(self.note(name, "") for name in keys["about"])
        recipes = {**miniature.load().recipes, **self.trained(keys["trained"] or {})}
        raise_together(self.problems)
        where = str(self.path)
        return PaperTable(
            self.path.stem, keys["title"], keys["cite"], tuple(cells), self.readings, about, recipes, where
        )

    def split(self, keys: Any, section: object, at: str) -> tuple[Section, Section]:
        """The keys that only this section has, and those that every level has and this one gives."""
        where = f"{self.path}: {at}" if at else str(self.path)
        if not isinstance(section, dict):
            self.problems.append(UserError(f"it is {section!r}, expected a text or a section", where=where))
            return {}, {}
        shared = {key: value for key, value in section.items() if key in (*_ASK, *_ABOUT)}
        own, wrong = resolve(keys, {key: value for key, value in section.items() if key not in shared}, where)
        self.problems += wrong + self.check(shared, where)
        return own, shared

    def check(self, shared: Section, where: str) -> list[UserError]:
        """What is wrong with the keys that every level has."""
        _, wrong = resolve(_ask, _only(shared, _ASK), where)
        _, more = resolve(_about, _only(shared, _ABOUT), where)
        wrong += more
        mini = shared.get("digits")
        places = [("reading", shared.get("reading"))]
        if isinstance(mini, dict):
            wrong += resolve(_ask, {key: each for key, each in mini.items() if key != "reading"}, f"{where}: digits")[1]
            places.append(("digits: reading", mini.get("reading")))
        for at, readings in places:
            for name, section in readings.items() if isinstance(readings, dict) else ():
                if name not in self.readings:
                    wrong.append(UserError(f"unknown reading '{name}'", where=where, fix=nearest(name, self.readings)))
                wrong += resolve(_ask, section if isinstance(section, dict) else {"?": 0}, f"{where}: {at}")[1]
        return wrong

    def cell(self, row: str, column: str, printed: Section, levels: tuple[Section, ...], at: str) -> PaperCell:
        """One cell, of what the levels say from the table to itself."""
        merged: Section = {}
        for level in levels:
            merged |= _only(level, _ABOUT)
        names = [name for level in levels for name in level.get("notes", ())]
        asks = {
            scale: {name: ask for name in self.readings if (ask := self.ask(levels, scale, name))} for scale in SCALES
        }
        return PaperCell(
            row=row,
            column=column,
            published=str(printed.get("value", "")),
            spread=str(printed.get("spread", "")),
            unit=merged.get("unit", "%"),
            tolerance=merged.get("tolerance", 0.0),
            notes=tuple(dict.fromkeys(self.note(name, at) for name in names)),
            needs=merged.get("needs", ""),
            quoted=merged.get("quoted", ""),
            method=merged.get("method", ""),
            left_out=merged.get("left_out", ""),
            asks={scale: found for scale, found in asks.items() if found},
        )

    def ask(self, levels: Sequence[Section], scale: str, reading: str) -> Ask | None:
        """Where the number is at one scale in one reading; None if that is not said."""
        said = _merged(levels, reading)
        if scale == "digits":
            mini = _merged([level.get("digits") or {} for level in levels], reading)
            if any(key in said and key not in mini for key in ("model", "source")):
                return None
            said |= {"data": "digits"} | mini
        said = _filled(said, {f"{{{name}}}": str(said.pop(name, "")) for name in ("data", "eps")})
        minus = said.pop("minus", None)
        ask = Ask(**said) if "metric" in said else None
        if ask is None or not (ask.finding or (ask.model and ask.suite and ask.attack)):
            return None
        return Ask(**said, minus=Ask(**(said | minus))) if minus else ask

    def trained(self, sections: Section) -> dict[str, Recipe]:
        """How the models of the miniature are trained that are not on the shelf."""
        found: dict[str, Recipe] = {}
        for name, section in sections.items():
            keys, wrong = resolve(_trained, _section(section), f"{self.path}: [trained.{name}]")
            self.problems += wrong
            found |= {} if wrong else {name: _trained(**keys)}
        return found

    def note(self, name: str, at: str) -> str:
        if name not in self.texts:
            self.wrong(f"there is no note '{name}'", at, nearest(name, self.texts))
        return str(self.texts.get(name, ""))

    def wrong(self, found: str, at: str, fix: str) -> None:
        self.problems.append(UserError(found, where=f"{self.path}: {at}" if at else str(self.path), fix=fix))


def _only(section: Mapping[str, Any], names: tuple[str, ...]) -> Section:
    return {key: value for key, value in section.items() if key in names}


def _section(given: object) -> Section:
    return given if isinstance(given, dict) else {}


def _merged(levels: Iterable[Section], reading: str) -> Section:
    """The keys of `_ask` that the levels give, the narrower ones last."""
    said: Section = {}
    for level in levels:
        said |= _only(level, _ASK)
        said |= (level.get("reading") or {}).get(reading, {})
    return said


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    """The value with `{data}` and `{eps}` in its texts filled in."""
    if isinstance(value, dict):
        return {key: _filled(each, known) for key, each in value.items()}
    if isinstance(value, str):
        for name, text in known.items():
            value = value.replace(name, text)
    return value
