"""Measured <-> one Parquet file: a row per sample, and the question and findings as JSON in the file's metadata.

Numbers of findings are written as Python prints them, which loses nothing and knows NaN and infinity.
"""

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from robeval.values.cell import DataSlice
from robeval.values.digest import plain
from robeval.values.measurement import Columns, Finding, Measured, Question

_HEADER = b"robeval"
_NUMBERS = ("value", "low", "high")


def encode(answer: Measured) -> bytes:
    """The bytes of the answer's file."""
    question = answer.question
    header = {
        "key": question.key,
        "question": plain(question),
        "findings": [_written(finding) for finding in answer.findings],
        "seconds": answer.seconds,
        "made_with": dict(answer.made_with),
    }
    header["sha256"] = _sha256(header, answer.columns)
    same = {
        "measure": question.measure,
        "model": question.model,
        "dataset": question.data.dataset if question.data else "",
        "split": question.data.split if question.data else "",
        "params": settings(question),
    }
    rows = max((len(column) for column in answer.columns.values()), default=0)
    columns = {name: _column(values) for name, values in answer.columns.items()}
    table = pa.table({name: pa.array([value] * rows, pa.string()) for name, value in same.items()} | columns)
    table = table.replace_schema_metadata({_HEADER: json.dumps(header).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def decode(content: bytes) -> Measured:
    """The answer in a file's bytes.

    Raises:
        ValueError: the bytes are not a whole file of this form, or not those that were written.
    """
    try:
        table = pq.read_table(pa.BufferReader(content))
        header = json.loads(table.schema.metadata[_HEADER])
        names = [name for name in table.column_names if name not in _SAME]
        columns = {name: _array(table[name]) for name in names}
        if header.pop("sha256") != _sha256(header, columns):
            raise ValueError("its content is not what its checksum says")
        findings = tuple(_read(finding) for finding in header["findings"])
        return Measured(_question(header["question"]), findings, columns, header["seconds"], header["made_with"])
    except (AttributeError, KeyError, TypeError, OSError, pa.ArrowException) as error:
        raise ValueError(f"not a file of a measure: {error}") from error


_SAME = ("measure", "model", "dataset", "split", "params")


def settings(question: Question) -> str:
    """The keywords of a measure in one line: `eps=0.1 steps=10`."""
    return " ".join(f"{name}={_shown(value)}" for name, value in question.params.items() if value not in (None, ()))


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_shown, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _written(finding: Finding) -> dict[str, Any]:
    return {name: repr(float(value)) if name in _NUMBERS else value for name, value in plain(finding).items()}


def _read(text: dict[str, Any]) -> Finding:
    numbers: dict[str, Any] = {name: float(text[name]) for name in _NUMBERS}
    return Finding(**(text | numbers))


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


def _sha256(header: dict[str, Any], columns: Columns) -> str:
    """Of the header and every array: Parquet itself would not see most flipped bits."""
    total = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, column in sorted(columns.items()):
        total.update(f"{name} {column.dtype} {column.shape}".encode())
        total.update(np.ascontiguousarray(column).tobytes())
    return total.hexdigest()


def _question(text: dict[str, Any]) -> Question:
    data = DataSlice(**text["data"]) if text["data"] else None
    return Question(**(text | {"data": data, "cells": tuple(text["cells"])}))
