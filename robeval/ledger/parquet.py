"""A header and columns <-> the bytes of one Parquet file; both are under a checksum.

A few columns that are the same in every row make a folder of such files readable as one table by any program that
reads Parquet; the header is JSON in the file's metadata.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

_HEADER = b"robeval"
BROKEN = (AttributeError, KeyError, TypeError, OSError, pa.ArrowException)  # what a file of another form gives rise to


def encode(header: Mapping[str, Any], same: Mapping[str, Any], columns: Arrays) -> bytes:
    """The bytes of the file.

    Args:
        same: the columns that have one value in every row.
        columns: arrays of equal length, (n,) or (n, m).
    """
    rows = max((len(column) for column in columns.values()), default=0)
    alike = {name: pa.array([value] * rows, _kind(value)) for name, value in same.items()}
    table = pa.table(alike | {name: _column(values) for name, values in columns.items()})
    table = table.replace_schema_metadata({_HEADER: json.dumps(header).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def decode(content: bytes, same: Collection[str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and columns of a file, without those that are the same in every row.

    Raises:
        ValueError, or one of `BROKEN`: the bytes are not a whole file of this form.
    """
    table = pq.read_table(pa.BufferReader(content))
    names = [name for name in table.column_names if name not in same]
    return json.loads(table.schema.metadata[_HEADER]), {name: _array(table[name]) for name in names}


def checksum(header: Mapping[str, Any], columns: Arrays) -> str:
    """Of the header and every array in turn: Parquet itself would not see most flipped bits."""
    total = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, column in columns.items():
        total.update(f"{name} {column.dtype} {column.shape}".encode())
        total.update(np.ascontiguousarray(column).tobytes())
    return total.hexdigest()


def _kind(value: object) -> Any:
    """Texts stay texts in a file without rows, which would not tell their type."""
    return pa.string() if isinstance(value, str) else None


def _column(values: NDArray[Any]) -> Any:
    """One row of an array (n, m) is a list of m numbers."""
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _array(column: Any) -> NDArray[Any]:
    if not pa.types.is_fixed_size_list(column.type):
        return np.asarray(column)
    flat = np.asarray(column.combine_chunks().flatten())
    return flat.reshape(-1, column.type.list_size)
