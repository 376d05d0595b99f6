"""Kernels of the factorised scorer: customers in blocks, whose codes, masks and sums stay in the caches together.

Lanes beyond the last customer of a block hold old codes; what they give is not read.
"""

from typing import Any, Final

import numpy as np
from numba import njit

from bandit.grid_codes import encode
from bandit.grid_lanes import LANES, Coded, Leaves, add_values, narrow

_BLOCK: Final = 256  # customers


@njit(cache=True, nogil=True)
def _add_trees(plan: Any, codes: Any, cross_codes: Any, sums: Any, totals: Any) -> None:
    """Add up all trees for one block, in fixed point.

    Everything that the loops read is taken out of the plan first: passing it on would count references to every array.
    """
    masks = np.empty(codes.shape[1], np.uint32)
    alone, paired = Coded(plan.customer_nodes, codes), Coded(plan.cross_nodes, cross_codes)
    leaves, stride = Leaves(plan.values, plan.offers, sums), len(plan.cross.start)
    tree_nodes, tree_groups = plan.tree_nodes, plan.tree_groups
    group_offers, group_nodes = plan.group_offers, plan.group_nodes
    flush, allowed, offers = plan.flush, plan.allowed, plan.offers
    totals[:] = 0
    sums[:] = 0
    for tree in range(len(flush)):
        narrow(masks, alone, (0, tree_nodes[tree], tree_nodes[tree + 1]))
        for group in range(tree_groups[tree], tree_groups[tree + 1]):
            start, end = group_nodes[group], group_nodes[group + 1]
            first, last = group_offers[group], group_offers[group + 1]
            if start == end:
                where = (32 * tree, first, last)
                add_values(masks, alone, (0, 0, 0), allowed[group], leaves, where)
                continue
            for at in range(first, last):
                asked, where = (offers[at] * stride, start, end), (32 * tree, at, at + 1)
                add_values(masks, paired, asked, allowed[group], leaves, where)
        if flush[tree]:
            totals += sums
            sums[:] = 0


@njit(cache=True, nogil=True)
def score(customers: Any, cross: Any, plan: Any, out: Any) -> None:
    """Write the raw scores of some customers with all offers.

    Args:
        customers: (n, n_customer) float32 or float64.
        cross: (n, k · n_cross), the pairs' features offer by offer.
        plan: the `Plan`.
        out: (n, k) float32, written.
    """
    n, offers = out.shape
    size = min(_BLOCK, (n + LANES - 1) // LANES * LANES)
    width, rows = cross.shape[1] // max(offers, 1), len(plan.cross.start)
    codes = np.zeros((len(plan.customer.start), size), np.uint8)
    cross_codes = np.zeros((offers * rows, size), np.uint8)
    sums, totals = np.empty((offers, size), np.int32), np.empty((offers, size), np.int64)
    all_rows, none = np.ones(len(codes), np.bool_), np.int64(0)  # a literal 0 would compile `encode` once more
    for first in range(0, n, size):
        block = (first, min(size, n - first))
        encode(customers, block, none, plan.customer, all_rows, none, codes)
        for offer in range(offers if rows else 0):
            encode(cross, block, offer * width, plan.cross, plan.wanted[offer], offer * rows, cross_codes)
        _add_trees(plan, codes, cross_codes, sums, totals)
        for offer in range(offers):
            for i in range(block[1]):
                out[first + i, offer] = np.float32(plan.offset[offer] + plan.unit * totals[offer, i])
