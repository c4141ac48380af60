"""Measured <-> one Parquet file: a row per sample, and the question and findings as JSON in the file's metadata.

Numbers of findings are written as Python prints them, which loses nothing and knows NaN and infinity.
"""

from typing import Any

from robeval.ledger import parquet
from robeval.values.cell import DataSlice
from robeval.values.digest import plain
from robeval.values.measurement import Columns, Finding, Measured, Question

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
    return parquet.encode(header, same, answer.columns)


def decode(content: bytes) -> Measured:
    """The answer in a file's bytes.

    Raises:
        ValueError: the bytes are not a whole file of this form, or not those that were written.
    """
    try:
        header, columns = parquet.decode(content, _SAME)
        if header.pop("sha256") != _sha256(header, columns):
            raise ValueError("its content is not what its checksum says")
        findings = tuple(_read(finding) for finding in header["findings"])
        return Measured(_question(header["question"]), findings, columns, header["seconds"], header["made_with"])
    except parquet.BROKEN as error:
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


def _sha256(header: dict[str, Any], columns: Columns) -> str:
    """The same in whichever order a measure gives its columns."""
    return parquet.checksum(header, dict(sorted(columns.items())))


def _question(text: dict[str, Any]) -> Question:
    data = DataSlice(**text["data"]) if text["data"] else None
    return Question(**(text | {"data": data, "cells": tuple(text["cells"])}))
