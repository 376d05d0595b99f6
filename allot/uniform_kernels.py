"""The numbers of `allot.uniforms` one at a time, for use inside kernels."""

from typing import Any

import numpy as np
from numba import njit

from allot import uniforms
from allot.uniforms import GOLDEN, ODD, SHIFT, UNIT

mix = njit(inline="always")(uniforms.mix)


@njit(inline="always")
def uniform(stream: Any, key: Any, counter: Any) -> Any:
    """One uniform in the open interval (0, 1) from three uint64, the same as `uniforms` gives."""
    x = mix(stream + GOLDEN)
    x = mix(x ^ (key * ODD + SHIFT))
    x = mix(x + counter * GOLDEN + np.uint64(1))
    return (np.float64(x >> np.uint64(11)) + 0.5) * UNIT
