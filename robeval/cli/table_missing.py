"""Why a cell of a published table has no measured number, and what would make it."""

from robeval import shelf
from robeval.cli.table_models import Models, in_one_line
from robeval.cli.table_options import Options
from robeval.datasets import registry as datasets
from robeval.errors import UserError
from robeval.reports.compare import Entry
from robeval.suites import load as suites
from robeval.values.paper import Ask, PaperCell, PaperTable


class Missing:
    """Says it of one table at one scale; each model, suite and data set is looked for once."""

    def __init__(self, table: PaperTable, options: Options) -> None:
        self._table, self._scale, self._out = table, options.scale, options.out
        self._seed = f" --seed {options.seed}" if options.seed else ""
        self._roots = datasets.data_roots(options.data_root)
        self._models = Models(table, options.out, options.data_root)
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
        found = [self._model(name, cell.needs) for name in (ask.model, ask.source) if name]
        if ask.finding:
            suite, dataset = (str(ask.finding.get(key, "")) for key in ("suite", "dataset"))
            found += [self._suite(suite)] if suite else []
            found += [self._data(dataset, str(ask.finding.get("split", "test")))] if dataset else []
        else:
            found.append(self._suite(ask.suite))
        return next(filter(None, found), f"not in {self._out}: `{self.command(ask)}` makes it")

    def command(self, ask: Ask) -> str:
        """What makes a number: the table's own run, unless it is one measure of what has a name on the shelf."""
        if not ask.finding or (ask.model and ask.model not in shelf.names(shelf.CARDS)):
            return self._command()
        drawn = "" if ask.finding.get("dataset") and not ask.model else self._seed  # measures of data draw nothing
        return f"{_measuring(ask)}{drawn} --out {self._out}"

    def _command(self) -> str:
        scale = "" if self._scale == "paper" else f" --scale {self._scale}"
        return f"robeval table {self._table.id}{scale} --run{self._seed} --out {self._out}"

    def _model(self, name: str, needs: str) -> str:
        key = f"model {name}", needs
        if key not in self._answers and self._models.is_large(name):
            what = needs or "not trained here"
            self._answers[key] = f"{what}; `{self._models.command(name)}` trains this one"
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
                self._answers[key] = self._data(suite.dataset, suite.split)
            except UserError as error:
                self._answers[key] = in_one_line(error)
        return self._answers[key]

    def _data(self, name: str, split: str) -> str:
        key = f"data {name}", split
        if key not in self._answers:
            try:
                datasets.load(name, split, self._roots)
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
