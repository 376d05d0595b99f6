"""The factorised scorer says what LightGBM says, on models and values made to catch it out."""

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bandit_grid_models import World, agrees, native, random_model, random_values

from bandit import compile_grid

WORLDS = [
    World(customer=4, offer=3, cross=2, trees=12, leaves=32),
    World(customer=6, offer=2, cross=0, trees=30, leaves=8),
    World(customer=1, offer=4, cross=4, trees=8, leaves=20),
    World(customer=0, offer=2, cross=2, trees=6, leaves=12),
    World(customer=3, offer=0, cross=1, trees=6, leaves=12),
    World(customer=2, offer=2, cross=1, trees=40, leaves=32, numbers=400, levels=300),
    World(customer=3, offer=3, cross=2, trees=300, leaves=5, spread=0.6),
    World(customer=2, offer=3, cross=0, trees=3, leaves=3),
]
_PROCESSORS = {
    "_halves": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+avx,+sse4.2,+popcnt"},
    "_one_by_one": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
}


def _checked(seed: int, world: World, customers: int, offers: int) -> int:
    """Compare one random model on random pairs, in both precisions; returns how many scores were compared."""
    r = np.random.default_rng(seed)
    booster, features = random_model(r, world)
    first = world.customer + world.offer
    catalogue = random_values(r, features[world.customer : first], offers) if world.offer else np.empty((offers, 0))
    who = random_values(r, features[: world.customer], customers) if world.customer else np.empty((customers, 0))
    pairs = random_values(r, features[first:], customers * offers) if world.cross else np.empty((customers * offers, 0))
    cross = pairs.reshape(customers, offers, world.cross)
    grid = compile_grid(booster, catalogue, world.customer, world.cross)
    assert grid.outside == ""
    assert agrees(grid.logits(who, cross), native(booster, who, catalogue, cross)), (seed, world)
    with np.errstate(over="ignore"):
        low, low_cross = who.astype(np.float32), cross.astype(np.float32)
    assert agrees(grid.logits(low, low_cross), native(booster, low, catalogue, low_cross)), (seed, world)
    return 2 * customers * offers


@pytest.mark.parametrize("world", WORLDS, ids=range(len(WORLDS)))
def test_scores_are_those_of_lightgbm(world):
    for seed in range(5):
        _checked(seed, world, customers=61, offers=9)


@pytest.mark.soak
def test_a_million_scores_are_those_of_lightgbm():
    compared = 0
    for seed in range(1000, 1600):
        compared += _checked(seed, WORLDS[seed % len(WORLDS)], customers=150, offers=9)
    assert compared > 1_000_000


def _scores_here() -> str:
    """Which form of the inner steps this process has, and a digest of scores that were checked against LightGBM."""
    from numba.core.registry import cpu_target

    from bandit.grid_lanes import _form

    digest = hashlib.sha256()
    for seed in range(3):
        r = np.random.default_rng(seed)
        booster, features = random_model(r, WORLDS[0])
        who, catalogue = random_values(r, features[:4], 300), random_values(r, features[4:7], 9)
        cross = random_values(r, features[7:], 2700).reshape(300, 9, 2)
        scores = compile_grid(booster, catalogue, 4, 2).logits(who, cross)
        assert agrees(scores, native(booster, who, catalogue, cross))
        digest.update(scores.tobytes())
    return f"{_form(cpu_target.target_context.codegen().magic_tuple()[2]).__name__} {digest.hexdigest()}"


@pytest.mark.soak
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 processors")
@pytest.mark.parametrize("form", _PROCESSORS)
def test_every_processor_gives_the_same_bits(form, tmp_path):
    here = Path(__file__)
    paths = os.pathsep.join([str(here.parent), str(here.parents[3])])
    surroundings = {**os.environ, **_PROCESSORS[form], "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": paths}
    command = [sys.executable, "-c", f"import {here.stem} as fuzz; print(fuzz._scores_here())"]
    found = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=True, timeout=300).stdout
    name, digest = found.split()[-2:]
    assert name == form
    assert digest == _scores_here().split()[1]
