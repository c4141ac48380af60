"""CellResult <-> one Parquet file: a row per sample, and a JSON header in the file's metadata.

A few columns that are the same in every row (model, attack, ...) make the folder of cells readable as one
table by any program that reads Parquet.
"""

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from robeval.values.attack import AttackSpec
from robeval.values.cell import Cell, CellResult, DataSlice, Verdicts
from robeval.values.digest import plain
from robeval.values.plan import ModelPlan, Row
from robeval.values.threat import ThreatModel

_HEADER = b"robeval"


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
    header["sha256"] = _sha256(header, result.verdicts)
    columns = result.verdicts.columns()
    rows = len(columns["sample"])
    table = pa.table({name: [value] * rows for name, value in same.items()} | columns)
    table = table.replace_schema_metadata({_HEADER: json.dumps(header).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def decode(content: bytes) -> CellResult:
    """The result in a file's bytes.

    Raises:
        ValueError: the bytes are not a whole file of this form, or not those that were written.
    """
    try:
        table = pq.read_table(pa.BufferReader(content))
        header = json.loads(table.schema.metadata[_HEADER])
        verdicts = Verdicts(**{name: np.asarray(table[name]) for name in Verdicts.__dataclass_fields__})
        if header.pop("sha256") != _sha256(header, verdicts):
            raise ValueError("its content is not what its checksum says")
        return CellResult(_cell(header["cell"]), verdicts, header["seconds"], header["made_with"])
    except (AttributeError, KeyError, TypeError, OSError, pa.ArrowException) as error:
        raise ValueError(f"not a cell file: {error}") from error


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


def _sha256(header: dict[str, Any], verdicts: Verdicts) -> str:
    """Of the header and every array: Parquet itself would not see most flipped bits."""
    total = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, column in verdicts.columns().items():
        total.update(f"{name} {column.dtype} {column.shape}".encode())
        total.update(column.tobytes())
    return total.hexdigest()


def _cell(text: dict[str, Any]) -> Cell:
    return Cell(**(text | {"slice": DataSlice(**text["slice"]), "attack": _spec(text["attack"])}))


def _spec(text: dict[str, Any]) -> AttackSpec:
    return AttackSpec(**(text | {"threat": _threat(text["threat"])}))


def _threat(text: dict[str, Any]) -> ThreatModel:
    low, high = text["box"]
    return ThreatModel(text["norm"], text["eps"], (low, high))
