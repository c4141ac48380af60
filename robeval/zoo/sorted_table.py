"""LevelDB's sorted tables and protobuf's messages, as far as the index of a TensorFlow checkpoint needs them.

Formats: LevelDB, doc/table_format.md; protobuf, "Encoding". Every length is held against what is left before it is
believed, and no byte is read twice, so time and memory are bounded by the length of the table.
"""

from collections.abc import Iterator
from typing import Any

import google_crc32c

MAGIC = bytes.fromhex("57fb808b247547db")  # how a table ends
FOOTER = 48
NAME = 1 << 10  # bytes of a name
SHARED = 16  # bytes that names unpack to, for one of the table: each may begin as the last did

Fields = dict[int, list[Any]]


class DamagedError(Exception):
    """What is wrong with the bytes."""


def rows(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names, each greater than the last, and values.

    Raises:
        DamagedError: the table is cut, changed or compressed.
    """
    if len(table) < FOOTER or table[-8:] != MAGIC:
        raise DamagedError("the index is cut, or not one of TensorFlow's")
    at = len(table) - FOOTER
    for _ in range(2):
        _, at = _varint(table, at)  # where the meta index is, which is empty here
    start, at = _varint(table, at)
    size, _ = _varint(table, at)
    last, end, unpacked = None, 0, 0
    for _, handle in _block(table, start, size):
        start, at = _varint(handle, 0)
        if start < end:
            raise DamagedError("blocks of the index overlap")
        end = start + _varint(handle, at)[0]
        for name, value in _block(table, start, end - start):
            unpacked += len(name)
            if (last is not None and name <= last) or unpacked > SHARED * len(table):
                raise DamagedError("the names in the index are not in order, or too long")
            yield name, value
            last = name


def _block(table: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Names and values: each name is written as how much of the last one it shares, and the rest."""
    end = start + size
    if end + 5 > len(table) or size < 4:
        raise DamagedError("the index is cut, or a block lies outside it")
    if google_crc32c.value(table[start : end + 1]) != unmask(table[end + 1 : end + 5]):
        raise DamagedError("a checksum in the index is wrong")
    if table[end]:
        raise DamagedError("the index is compressed, which TensorFlow's are not")
    stop = end - 4 - 4 * int.from_bytes(table[end - 4 : end], "little")  # the end of names: where some of them begin
    key, at = b"", start
    while at < stop:
        shared, at = _varint(table, at)
        more, at = _varint(table, at)
        length, at = _varint(table, at)
        key = key[:shared] + table[at : at + more]
        at += more + length
        if at > stop or len(key) != shared + more or len(key) > NAME:
            raise DamagedError("a name or a value in the index is longer than its block")
        yield key, table[at - length : at]


def fields(message: object) -> Fields:
    """The fields of a protobuf message by number, in order: whole numbers, or bytes."""
    if not isinstance(message, bytes):
        raise DamagedError("an entry of the index has a number where a message belongs")
    found: Fields = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value: Any = b""
        if tag & 7 in (0, 2):
            value, at = _varint(message, at)
        if tag & 7:
            size = value if tag & 7 == 2 else {1: 8, 5: 4}.get(tag & 7, len(message))
            value = message[at : at + size]
            at += size
        found.setdefault(tag >> 3, []).append(value)
    if at > len(message):
        raise DamagedError("an entry of the index is cut")
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise DamagedError("a number in the index has no end")


def number(entry: Fields, field: int) -> int:
    """The last number of a field; 0 where there is none, as protobuf has it."""
    value = entry.get(field, [0])[-1]
    if not isinstance(value, int):
        raise DamagedError("an entry of the index has a message where a number belongs")
    return value


def unmask(stored: object) -> int:
    """The checksum as it is before LevelDB turns it by 15 bits and adds a constant."""
    if not isinstance(stored, bytes) or len(stored) != 4:
        raise DamagedError("a checksum is missing")
    turned = (int.from_bytes(stored, "little") - 0xA282EAD8) & 0xFFFFFFFF
    return (turned >> 17 | turned << 15) & 0xFFFFFFFF
