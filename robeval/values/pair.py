"""Two rows of a table that should say the same."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """An attack of ours and what another library has in its place.

    Attributes:
        ours, theirs: the ids of their rows.
        use: what does their row, by its name in the catalog.
        minimal: they make a distance small, so that their distances can be compared.
        differs: in what they are not the same attack; empty if in nothing.
    """

    ours: str
    theirs: str
    use: str
    minimal: bool = False
    differs: str = ""
