"""Real classes as offers, a third of them new: what the log taught pays, and trees never do harm."""

import numpy as np
import pytest

from benchmarks.classification import AT_ZERO_OURS, DATA, FIRST_SEED, OURS, floors, scores

_SETS = ("segment", "waveform5000", "optdigits", "pendigits")
_TASKS = 4


@pytest.mark.soak
@pytest.mark.skipif(
    not (DATA / "classification").is_dir(), reason=f"no classification sets in {DATA}; point ALLOT_DATA at them"
)
def test_trees_and_log_keep_every_floor_of_the_benchmark():
    found = {name: scores(DATA, name, range(FIRST_SEED, FIRST_SEED + _TASKS)) for name in _SETS}
    broken = [floor for floor, kept in floors(found) if not kept]
    assert not broken
    gain = np.concatenate([f[OURS] - f[AT_ZERO_OURS] for f in found.values()])
    assert gain.mean() > 1.0  # what the log adds beyond trees and temperatures: new classes start from known ones
