"""The factorised scorer says what LightGBM says, on models and values made to catch it out."""

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
