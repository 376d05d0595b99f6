"""Where a world's chance comes from: named streams, so that one ingredient never moves another's draws."""

from typing import Final

import numpy as np

from allot.uniforms import stream, uniforms
from sims.people import Floats, Ints

FAMILY: Final = "nbo"
"""Label of every stream: worlds of all names share their draws, so that the same seeds can be compared in pairs."""


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A generator of a seed and a purpose."""
    return np.random.default_rng(int(stream(seed, FAMILY, purpose)))


def coins(seed: int, purpose: str, rows: Ints, step: Ints | int = 0) -> Floats:
    """(r,) uniforms in (0, 1) that depend on the seed, the purpose, the customer and the step alone.

    Args:
        rows: (r,) customers, as rows of the population.
        step: (r,) or one counter, such as an offer on a day.
    """
    source = stream(seed, FAMILY, purpose)
    on = np.broadcast_to(np.asarray(step, np.int64), rows.shape)
    out = np.empty(rows.shape)
    for one in np.unique(on):
        here = on == one
        out[here] = uniforms(source, rows[here].astype(np.uint64), int(one))
    return out
