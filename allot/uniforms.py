"""Uniform numbers that depend on names only: the same customer gets the same number whatever the order or chunking.

`u = hash(stream, key, counter)`: a stream is a seed and a purpose, a key a customer, a counter an offer or a step.
The mixer is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, variant 13).

Plain array code: the first compiled kernel of a process costs it a third of a second, and short commands need none.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
ODD = np.uint64(0xD1342543DE82EF95)
SHIFT = np.uint64(0x632BE59BD9B4E019)
UNIT = 1.0 / 9007199254740992.0  # 2^-53
_ALL = (1 << 64) - 1
_GOLDEN, _ODD, _SHIFT = int(GOLDEN), int(ODD), int(SHIFT)  # as plain integers: for one text that is quicker
_BITS = np.uint64(8)  # of a byte
_30, _27, _31 = np.uint64(30), np.uint64(27), np.uint64(31)  # made once: for one customer that counts
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mix(x: Any) -> Any:
    """SplitMix64 finaliser of a uint64, or of an array of them; `allot.uniform_kernels` has it for kernels."""
    x = (x ^ (x >> _30)) * _FIRST
    x = (x ^ (x >> _27)) * _SECOND
    return x ^ (x >> _31)


def stream(seed: int, *labels: str | int) -> np.uint64:
    """The stream of a seed and a purpose, e.g. `stream(7, "spring", "2026-03-01", "flight")`."""
    text = "\x1f".join(f"{type(label).__name__}:{label}" for label in (seed, *labels))
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))


def uniforms(of: np.uint64, keys: NDArray[np.uint64], counter: int = 0) -> NDArray[np.float64]:
    """One uniform in (0, 1) for each key.

    Args:
        of: the stream.
        keys: (n,) uint64, one for each customer.
        counter: which number of the stream, e.g. an offer or a step.

    Returns:
        (n,) float64.
    """
    x = mix(_begun(of) ^ (np.asarray(keys, np.uint64) * ODD + SHIFT))
    x = mix(x + np.array([counter], np.uint64) * GOLDEN + np.uint64(1))
    out: NDArray[np.float64] = ((x >> np.uint64(11)).astype(np.float64) + 0.5) * UNIT
    return out


@lru_cache
def _begun(of: np.uint64) -> NDArray[np.uint64]:
    """(1,) what all numbers of a stream have in common, kept for who asks for one at a time."""
    out: NDArray[np.uint64] = mix(np.array([of], np.uint64) + GOLDEN)
    return out


def text_keys(offsets: NDArray[Any], data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64-bit keys of UTF-8 texts laid out as Arrow does: text i is data[offsets[i]:offsets[i + 1]].

    Eight bytes at a time, little-endian, then the length.

    Args:
        offsets: (n + 1,) integers.
        data: (bytes,) uint8.

    Returns:
        (n,) uint64; the same text has the same key on every machine.
    """
    first = offsets[:-1].astype(np.int64)
    length = offsets[1:].astype(np.int64) - first
    padded = np.concatenate([np.asarray(data, np.uint8), np.zeros(8, np.uint8)])
    words = np.ndarray(len(padded) - 7, "<u8", padded, strides=(1,))  # the eight bytes from every place on
    out = np.full(len(length), GOLDEN)
    rows = np.arange(len(length))
    for at in range(0, int(length.max(initial=0)), 8):
        rows = rows[length[rows] > at]
        foreign = np.maximum(8 - (length[rows] - at), 0).astype(np.uint64) * _BITS  # they belong to the next text
        word = words[first[rows] + at] << foreign >> foreign
        out[rows] = mix(out[rows] ^ (word * ODD + SHIFT))
    keys: NDArray[np.uint64] = mix(out + length.astype(np.uint64) * GOLDEN)
    return keys


def keys(texts: Iterable[str]) -> NDArray[np.uint64]:
    """64-bit keys of some texts; see `text_keys`."""
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *(len(text) for text in encoded)])
    return text_keys(offsets, np.frombuffer(b"".join(encoded), np.uint8))


def key(text: str) -> int:
    """The key of one text, as `keys` has it: for who asks for one at a time, ten times as fast."""
    encoded = text.encode()
    out = _GOLDEN
    for at in range(0, len(encoded), 8):
        word = int.from_bytes(encoded[at : at + 8], "little")
        out = _mixed(out ^ (word * _ODD + _SHIFT & _ALL))
    return _mixed(out + len(encoded) * _GOLDEN & _ALL)


def uniform(of: np.uint64, key: int, counter: int = 0) -> float:
    """One uniform in (0, 1), as `uniforms` has it for the same key."""
    x = _mixed(_mixed(int(of) + _GOLDEN & _ALL) ^ (key * _ODD + _SHIFT & _ALL))
    x = _mixed(x + counter * _GOLDEN + 1 & _ALL)
    return ((x >> 11) + 0.5) * UNIT


def _mixed(x: int) -> int:
    """`mix` of a plain integer."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _ALL
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _ALL
    return x ^ x >> 31
