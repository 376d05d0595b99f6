"""What is wrong with the data that one gets to see."""

from dataclasses import replace

import numpy as np

from sims.chance import generator
from sims.description import Defects
from sims.logger import History
from sims.people import Customers


def seen(seed: int, defects: Defects, group: str, customers: Customers) -> Customers:
    """Customers as the data show them: some numbers are NaN, some segments are another.

    Args:
        group: label of these customers' own chance.
    """
    r = generator(seed, f"defects of the {group}")
    gone = r.random(customers.numeric.shape) < defects.missing_numbers
    wrong = r.random(len(customers)) < defects.wrong_segments
    kinds = len(customers.segments)
    other = (customers.segment + r.integers(1, max(2, kinds), len(customers))) % kinds
    segment = np.where(wrong, other, customers.segment)
    return replace(customers, segment=segment, numeric=np.where(gone, np.nan, customers.numeric))


def seen_history(seed: int, defects: Defects, history: History) -> History:
    """A history as the data show it: customers by `seen`, and some rows once more at the end."""
    shown = replace(history, customers=seen(seed, defects, "history", history.customers))
    twice = np.flatnonzero(generator(seed, "duplicates").random(len(history.offer)) < defects.duplicated)
    return shown.taken(np.concatenate([np.arange(len(history.offer)), twice]))
