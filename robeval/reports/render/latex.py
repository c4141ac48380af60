"""A table as LaTeX, with the rules of the package booktabs."""

from collections.abc import Iterable

from robeval.values.table import Table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "±": r"$\pm$",
    "…": r"\dots{}",
}


def render(table: Table) -> str:
    """A `table` with a caption, numbers to the right, and the notes below in small type."""
    columns = "".join("r" if table.is_number(place) else "l" for place in range(len(table.header)))
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escape(table.caption)}}}"]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _line(table.header), r"\midrule"]
    lines += [*map(_line, table.rows), r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip{{\footnotesize {escape(note)}\par}}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def escape(text: str) -> str:
    """The text with everything that LaTeX takes for its own written out."""
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


def _line(cells: Iterable[str]) -> str:
    # A line of a tabular that begins with [ would be read as an argument of the line break before it.
    written = [f"{{{cell}}}" if cell.startswith("[") else cell for cell in map(escape, cells)]
    return " & ".join(written) + r" \\"
