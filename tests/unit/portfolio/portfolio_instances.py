"""Policies and limits for the tests of the draw: every limit stands as near to its expected use as headroom allows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from portfolio import Limit, Problem, Selection, Share, compile_rows, initial_headroom
from portfolio.limits import expected_use

Instance = tuple[NDArray[np.float32], Problem]


def policy(n: int, k: int, cells: int, seed: int, *, sure: float = 0.1) -> Instance:
    """Random probabilities, costs that differ between customers, some rows that are sure, no limits yet."""
    r = np.random.default_rng(seed)
    cell = r.integers(0, cells, n)
    eligible = r.random((n, k)) < 0.75
    cost = r.uniform(0.3, 8, k) * np.exp(r.normal(0, 0.3, (n, 1))) * np.exp(0.1 * r.standard_normal((n, k)))
    value = r.gamma(2, 2, (n, k)) - 0.5
    mass = np.where(eligible, r.gamma(0.4, 1, (n, k)) * np.exp(0.5 * r.standard_normal(k)), 0.0)
    mass[mass < 0.05 * mass.sum(1, keepdims=True)] = 0.0
    mass = np.c_[mass, r.gamma(0.7, 1, n)]
    certain = r.random(n) < sure
    mass[certain] = np.eye(k + 1)[mass[certain].argmax(1)]
    return (mass / mass.sum(1, keepdims=True)).astype(np.float32), Problem(value, cost, eligible, cell)


def families(k: int, cells: int, seed: int) -> list[Limit | Share]:
    """Limits of every kind, without bounds that mean anything yet: 0 stands for a bound to come."""
    r = np.random.default_rng(seed)
    out: list[Limit | Share] = [Limit("budget", "cost", maximum=0.0)]
    out += [Limit(f"cap {a}", "count", maximum=0.0, offers=(a,)) for a in range(k)]
    out += [Limit("cap 0 again", "count", maximum=0.0, offers=(0,)), Limit("worth", "value", minimum=0.0)]
    out += [Limit(f"channel {c}", "count", maximum=0.0, offers=tuple(range(c, k, 3))) for c in range(3)]
    out += [Limit(f"budget of cell {c}", "cost", maximum=0.0, cells=(c,)) for c in range(cells)]
    out += [Limit("floor", "count", minimum=0.0, offers=(k - 1,)), Limit("band", "count", 0.0, 0.0, offers=(0, k // 2))]
    out += [Share("exposure", "count", Selection((k // 3,), None), Selection(), minimum=0.0)]
    out += [Share("costly", "cost", Selection(None, (0,)), Selection(), maximum=0.0)]
    pairs = [(c, a) for c in range(cells) for a in range(k)]
    out += [Limit(f"cell {c} offer {a}", "count", maximum=0.0, offers=(a,), cells=(c,)) for c, a in pairs]
    out += [Limit(f"cost of offer {a}", "cost", maximum=0.0, offers=(a,)) for a in range(k)]
    fixed, rest = out[:2], out[2:]
    return fixed + [rest[i] for i in r.permutation(len(rest))]


def placed(instance: Instance, limits: Sequence[Limit | Share], *, headroom: float = 1.0) -> Instance:
    """The same policy with each limit's bounds at `headroom` times the initial headroom from its expected use."""
    probability, base = instance
    base = replace(base, limits=tuple(limits))
    k = base.value.shape[1]
    use = expected_use(base, probability)
    tight = []
    for limit in limits:
        bare = replace(limit, minimum=None, maximum=0.0) if isinstance(limit, Share) else None
        level = compile_rows([bare or replace(limit, minimum=None, maximum=1.0)], base.n_cells, k).consumption(use)[0]
        if isinstance(limit, Share):
            whole = compile_rows([Limit("w", limit.measure, maximum=0.0)], base.n_cells, k).consumption(use)[0]
            tight.append(_share_at(limit, level / max(whole, 1e-9)))
        else:
            tight.append(_limit_at(limit, level))
    rows = compile_rows(tight, base.n_cells, k)
    width = dict(zip(rows.names, headroom * initial_headroom(rows, replace(base, limits=tuple(tight))), strict=True))
    moved = [_moved(limit, width[limit.name], use, base.n_cells, k) for limit in tight]
    return probability, replace(base, limits=tuple(moved))


def _share_at(limit: Share, share: float) -> Share:
    return replace(limit, **{side: share for side in ("minimum", "maximum") if getattr(limit, side) is not None})


def _limit_at(limit: Limit, level: float) -> Limit:
    return replace(limit, **{side: level for side in ("minimum", "maximum") if getattr(limit, side) is not None})


def _moved(limit: Limit | Share, width: float, use: NDArray[np.float64], g: int, k: int) -> Limit | Share:
    whole = 1.0
    if isinstance(limit, Share):
        whole = compile_rows([Limit("w", limit.measure, maximum=0.0)], g, k).consumption(use)[0]
    whole_number = isinstance(limit, Limit) and limit.measure == "count"
    bounds = {}
    if limit.minimum is not None:
        bounds["minimum"] = limit.minimum - width / max(whole, 1e-9)
    if limit.maximum is not None:
        bounds["maximum"] = limit.maximum + width / max(whole, 1e-9)
    if whole_number:
        bounds = {s: float(np.floor(b) if s == "minimum" else np.ceil(b)) for s, b in bounds.items()}
    return replace(limit, **bounds)
