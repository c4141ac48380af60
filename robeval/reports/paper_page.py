"""All published tables on one Markdown page."""

from collections.abc import Sequence

from robeval.reports import paper_table
from robeval.reports.compare import DIFFERS, Entry
from robeval.reports.render import markdown
from robeval.values.paper import STAND_IN, PaperTable
from robeval.values.table import Table

_HEAD = """# The papers' tables, measured

Made by `make tables` (`robeval table page`) from a ledger; do not edit. Each table has the cells that have been
measured; `robeval table ID` shows the others too, and what measuring them takes. Intervals are 95 % (Wilson). `equal`:
equal as printed; `agrees`: within the interval and the table's tolerance; `DIFFERS`: further apart; `other data`: the
miniature on the digits data set, where only the order of the rows can be compared; `other networks`: the paper's were
not released, and others of their kind stand in.
"""


def page(
    tables: Sequence[PaperTable], measured: Sequence[Sequence[Entry]], miniature: Sequence[Sequence[Entry]]
) -> str:
    """The page; `measured` and `miniature` have the entries of each table at the two scales, in the same order."""
    parts = [_HEAD, markdown.render(_overview(tables, measured, miniature))]
    for table, own, mini in zip(tables, measured, miniature, strict=True):
        parts.append(f"## {table.id}: {table.title}\n")
        for scale, entries in (("paper", own), ("digits", [entry for entry in mini if entry.is_miniature])):
            if found := paper_table.measured_only(entries):
                parts.append(
                    markdown.render(paper_table.comparison(table, found, scale, lambda _: "", len(table.cells)))
                )
        if not any(entry.found for entry in (*own, *mini)):
            parts.append(f"{table.cite}. {_without(table)}\n")
        if left := _left_out(mini):
            parts.append(f"{left} `robeval table {table.id} --scale digits --run` makes it.\n")
    return "\n".join(parts)


def _without(table: PaperTable) -> str:
    """What is to be said of a table of which nothing is in the ledger."""
    texts = dict.fromkeys([*table.notes, *(text for cell in table.cells for text in cell.notes)])
    about = "".join(f" {text[:1].upper()}{text[1:]}." for text in texts)
    if not any(cell.published for cell in table.cells):
        return f"No numbers are printed.{about}"
    small = any("digits" in cell.asks and not cell.left_out for cell in table.cells)
    how = f" `robeval table {table.id} --scale digits --run` makes its miniature." if small else ""
    return f"Published only: nothing of it is in the ledger.{how}{about}"


def _left_out(entries: Sequence[Entry]) -> str:
    """The rows whose miniature is not measured on purpose, and why."""
    rows: dict[str, dict[str, None]] = {}
    for cell in (entry.cell for entry in entries if entry.ask and not entry.found and entry.cell.left_out):
        rows.setdefault(cell.left_out, {})[cell.row] = None
    return " ".join(f"Left out in miniature: {', '.join(names)}: {reason}." for reason, names in rows.items())


def _overview(
    tables: Sequence[PaperTable], measured: Sequence[Sequence[Entry]], miniature: Sequence[Sequence[Entry]]
) -> Table:
    rows = []
    for table, own, mini in zip(tables, measured, miniature, strict=True):
        printed = sum(bool(cell.published) for cell in table.cells)
        small = len({(each.cell.row, each.cell.column) for each in mini if each.found and each.is_miniature})
        done = len({(each.cell.row, each.cell.column) for each in own if each.found and each.reading != STAND_IN})
        differ = sum(entry.verdict == DIFFERS for entry in own)
        rows.append((table.id, str(printed), str(done), str(differ), str(small), table.title))
    header = ("table", "printed", "measured", "differ", "in miniature", "title")
    return Table("Printed numbers, and how many of them are measured here", header, tuple(rows))
