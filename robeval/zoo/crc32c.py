"""CRC-32C (Castagnoli; RFC 3720, appendix B.4), the checksum of TensorFlow's files, for megabytes at once.

Python's `zlib` has another polynomial. Byte by byte in Python a network of 46 million weights takes minutes, so pieces
of equal length are worked on side by side and then joined: a CRC is linear over GF(2), and what follows a piece only
shifts its state, which is a 32x32 matrix of bits.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78  # bits reversed, as the shifting right below wants it
_PIECE = 10  # a piece has 2**10 bytes: few steps for a short text, many pieces for a long one

_Words = NDArray[np.uint32]


def crc32c(data: bytes | bytearray) -> int:
    """The checksum of the bytes, 0 to 2**32 - 1."""
    size = len(data)
    pieces = -(-size >> _PIECE) or 1
    padded = np.zeros(pieces << _PIECE, np.uint8)  # zeros in front do not change a state that begins as 0
    padded[len(padded) - size :] = np.frombuffer(data, np.uint8)
    states = np.zeros(pieces, np.uint32)
    for words in padded.view("<u2").reshape(pieces, -1).T.copy():
        states = _table()[(states ^ words) & 0xFFFF] ^ (states >> 16)
    level = _PIECE + 3  # 2**3 bits are a byte
    while len(states) > 1:
        states = np.concatenate((np.zeros(len(states) % 2, np.uint32), states))
        states = _times(_shift(level), states[0::2]) ^ states[1::2]
        level += 1
    begin = np.array([0xFFFFFFFF], np.uint32)  # what the standard begins with, shifted behind the last bit
    for power in range((8 * size).bit_length()):
        if 8 * size >> power & 1:
            begin = _times(_shift(power), begin)
    return int(begin[0] ^ 0xFFFFFFFF ^ states[0])


def _step(states: _Words) -> _Words:
    """One bit further."""
    return (states >> np.uint32(1)) ^ (states & np.uint32(1)) * np.uint32(_POLYNOMIAL)


@cache
def _table() -> _Words:
    """Sixteen bits further, for each of their 2**16 values."""
    states = np.arange(1 << 16, dtype=np.uint32)
    for _ in range(16):
        states = _step(states)
    return states


@cache
def _shift(power: int) -> _Words:
    """The matrix, a word for each column, that shifts a state by 2**power bits of zeros."""
    if power == 0:
        return _step(np.uint32(1) << np.arange(32, dtype=np.uint32))
    return _times(_shift(power - 1), _shift(power - 1))


def _times(matrix: _Words, states: _Words) -> _Words:
    """The matrix times each state, over GF(2)."""
    out = np.zeros_like(states)
    for bit, column in enumerate(matrix):
        out ^= column * (states >> np.uint32(bit) & np.uint32(1))
    return out
