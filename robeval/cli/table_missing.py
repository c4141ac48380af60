"""Why a cell of a published table has no measured number, and what would make it."""

from robeval import shelf
from robeval.cli.table_options import Options
from robeval.cli.table_work import Models, in_one_line
from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.reports.compare import Entry
from robeval.suites import load as suites
from robeval.values.paper import Ask, PaperCell, PaperTable


class Missing:
    """Says it of one table at one scale; each model, suite and data set is looked for once."""

    def __init__(self, table: PaperTable, options: Options) -> None:
        self._table, self._scale, self._out = table, options.scale, options.out
        self._roots = datasets.data_roots(options.data_root)
        self._models = Models(table, options.out)
        self._answers: dict[tuple[str, str], str] = {}

    def __call__(self, entry: Entry) -> str:
        """What is missing; nothing where nothing is to be said."""
        cell, ask = entry.cell, entry.ask
        if cell.quoted:
            return f"quoted from {cell.quoted}: not measured by this paper, and not here"
        if ask is None:
            return self._no_ask(cell)
        parts = [ask, *([ask.minus] if ask.minus else [])]
        return next(filter(None, (self._part(part, cell) for part in parts)), "")

    def _no_ask(self, cell: PaperCell) -> str:
        if self._scale != "paper" and cell.asks:
            return "it has no miniature"
        return cell.needs or ("a setting or a formula: nothing to measure" if cell.published else "")

    def _part(self, ask: Ask, cell: PaperCell) -> str:
        if ask.finding:
            model = self._model(ask.model, cell.needs) if ask.model else ""
            return model or f"not in {self._out}: `{_measuring(ask)} --out {self._out}` makes it"
        models = [name for name in (ask.model, ask.source) if name]
        found = [self._model(name, cell.needs) for name in models] + [self._suite(ask.suite)]
        return next(filter(None, found), f"not in {self._out}: `{self._command()}` makes it")

    def _command(self) -> str:
        scale = "" if self._scale == "paper" else f" --scale {self._scale}"
        return f"robeval table {self._table.id}{scale} --run --out {self._out}"

    def _model(self, name: str, needs: str) -> str:
        key = f"model {name}", needs
        if key not in self._answers:
            try:
                due = self._models.is_due(name)
                self._answers[key] = f"to be trained first: `{self._command()}`" if due else ""
            except UserError as error:
                here = name in shelf.names(shelf.CARDS)
                told = needs and not here and self._scale == "paper"
                self._answers[key] = needs if told else in_one_line(error)
        return self._answers[key]

    def _suite(self, name: str) -> str:
        key = "suite", name
        if key not in self._answers:
            try:
                suite = suites.load(name, self._table.id)
                datasets.load(suite.dataset, suite.split, self._roots)
                self._answers[key] = ""
            except UserError as error:
                self._answers[key] = in_one_line(error)
        return self._answers[key]


def _measuring(ask: Ask) -> str:
    """The command that measures it."""
    said = {key: value for key, value in {"model": ask.model, **ask.finding}.items() if value != ""}
    name = said.pop("measure", "")
    about = "" if {"model", "dataset", "suite"} & set(said) else "theory "
    options = "".join(f" --{key.replace('_', '-')} {value}" for key, value in said.items() if key != "at")
    return f"robeval measure {about}{name}{options}"
