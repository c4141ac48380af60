"""What is shown."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, a header and rows of text; every renderer takes this and nothing else."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def is_number(self, column: int) -> bool:
        """Whether a column holds numbers, which are set to the right."""
        cells = [row[column] for row in self.rows if row[column]]
        return bool(cells) and all(cell.lstrip("+-")[:1].isdigit() or cell in ("–", "INCOMPLETE") for cell in cells)
