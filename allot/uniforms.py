"""Uniform numbers that depend on names only: the same customer gets the same number whatever the order or chunking.

`u = hash(stream, key, counter)`: a stream is a seed and a purpose, a key a customer, a counter an offer or a step.
The mixer is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, variant 13).
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ODD = np.uint64(0xD1342543DE82EF95)
_SHIFT = np.uint64(0x632BE59BD9B4E019)
_UNIT = 1.0 / 9007199254740992.0  # 2^-53


@njit(inline="always")
def mix(x: Any) -> Any:
    """SplitMix64 finaliser of a uint64."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(inline="always")
def uniform(stream: Any, key: Any, counter: Any) -> Any:
    """One uniform in the open interval (0, 1) from three uint64; for use inside kernels."""
    x = mix(stream + _GOLDEN)
    x = mix(x ^ (key * _ODD + _SHIFT))
    x = mix(x + counter * _GOLDEN + np.uint64(1))
    return (np.float64(x >> np.uint64(11)) + 0.5) * _UNIT


@njit(cache=True, nogil=True)
def _uniforms(stream: Any, keys: Any, counter: Any, out: Any) -> None:
    for i in range(len(keys)):
        out[i] = uniform(stream, keys[i], counter)


@njit(cache=True, nogil=True)
def _text_keys(offsets: Any, data: Any, out: Any) -> None:
    """Eight bytes at a time, little-endian, then the length: equal texts, equal keys."""
    for i in range(len(out)):
        first = offsets[i]
        last = offsets[i + 1]
        h = _GOLDEN
        at = first
        while at < last:
            word = np.uint64(0)
            stop = min(at + 8, last)
            for b in range(at, stop):
                word |= np.uint64(data[b]) << np.uint64(8 * (b - at))
            h = mix(h ^ (word * _ODD + _SHIFT))
            at = stop
        out[i] = mix(h + np.uint64(last - first) * _GOLDEN)


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
    out = np.empty(len(keys))
    _uniforms(np.uint64(of), np.ascontiguousarray(keys, np.uint64), np.uint64(counter), out)
    return out


def text_keys(offsets: NDArray[Any], data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64-bit keys of UTF-8 texts laid out as Arrow does: text i is data[offsets[i]:offsets[i + 1]].

    Args:
        offsets: (n + 1,) integers.
        data: (bytes,) uint8.

    Returns:
        (n,) uint64; the same text has the same key on every machine.
    """
    out = np.empty(len(offsets) - 1, np.uint64)
    _text_keys(offsets.astype(np.int64), np.ascontiguousarray(data, np.uint8), out)
    return out


def keys(texts: Iterable[str]) -> NDArray[np.uint64]:
    """64-bit keys of some texts; see `text_keys`."""
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *(len(text) for text in encoded)])
    return text_keys(offsets, np.frombuffer(b"".join(encoded), np.uint8))
