"""CellResult <-> one Parquet file: a row per sample, and the cell as JSON in the file's metadata."""

from dataclasses import fields
from typing import Any

from robeval.ledger import parquet
from robeval.values.attack import AttackSpec
from robeval.values.cell import Cell, CellResult, DataSlice, Verdicts
from robeval.values.digest import plain
from robeval.values.plan import ModelPlan, Row
from robeval.values.threat import ThreatModel


def encode(result: CellResult) -> bytes:
    """The bytes of the result's file."""
    cell = result.cell
    header = {"key": cell.key, "cell": plain(cell), "seconds": result.seconds, "made_with": dict(result.made_with)}
    same = {
        "cell": cell.key,
        "model": cell.model,
        "dataset": cell.slice.dataset,
        "split": cell.slice.split,
        "attack": cell.attack.id,
        "use": cell.attack.use,
        "params": cell.attack.settings(),
        "norm": cell.attack.threat.norm,
        "eps": cell.attack.threat.eps,
        "select": cell.attack.select,
        "restarts": cell.attack.restarts,
        "minimises": cell.attack.minimises,
        "score": cell.attack.score if cell.attack.minimises else "",
        "eot": cell.attack.eot,
        "source": cell.source,
        "seed": cell.seed,
    }
    columns = result.verdicts.columns() | dict(result.more)
    header["sha256"] = parquet.checksum(header, columns)
    return parquet.encode(header, same, columns)


def decode(content: bytes) -> CellResult:
    """The result in a file's bytes.

    Raises:
        ValueError: the bytes are not a whole file of this form, or not those that were written.
    """
    try:
        header, columns = parquet.decode(content, _SAME)
        if header.pop("sha256") != parquet.checksum(header, columns):
            raise ValueError("its content is not what its checksum says")
        verdicts = Verdicts(**{each.name: columns.pop(each.name) for each in fields(Verdicts)})
        return CellResult(_cell(header["cell"]), verdicts, header["seconds"], header["made_with"], columns)
    except parquet.BROKEN as error:
        raise ValueError(f"not a cell file: {error}") from error


_SAME = (
    "cell", "model", "dataset", "split", "attack", "use", "params", "norm", "eps", "select", "restarts", "minimises",
    "score", "eot", "source", "seed",
)  # fmt: skip


def decode_plan(text: dict[str, Any]) -> ModelPlan:
    """A recorded plan.

    Raises:
        ValueError: the text is not of this form.
    """
    try:
        rows = tuple(
            Row(row["id"], tuple(map(_spec, row["attacks"])), tuple(tuple(keys) for keys in row["keys"]))
            for row in text["rows"]
        )
        warnings = tuple(map(str, text.get("warnings", ())))
        return ModelPlan(**(text | {"threat": _threat(text["threat"]), "rows": rows, "warnings": warnings}))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a plan: {error}") from error


def _cell(text: dict[str, Any]) -> Cell:
    return Cell(**(text | {"slice": DataSlice(**text["slice"]), "attack": _spec(text["attack"])}))


def _spec(text: dict[str, Any]) -> AttackSpec:
    return AttackSpec(**(text | {"threat": _threat(text["threat"])}))


def _threat(text: dict[str, Any]) -> ThreatModel:
    low, high = text["box"]
    return ThreatModel(text["norm"], text["eps"], (low, high))
