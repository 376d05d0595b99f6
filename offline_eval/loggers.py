"""One log, several logging policies: each row counts by what all of them together would have done.

The log's rows come from L policies, n_1 ... n_L rows of each. Where one of them overlaps badly with the target, plain
ips keeps its wild weights (Agarwal, Basu, Schnabel and Joachims 2017).
"""

import numpy as np

from allot import DataError, ShapeError
from offline_eval.estimate import Estimate, Terms, estimate
from offline_eval.estimators import ips
from offline_eval.log import Floats, Integers, Log, integers, refuse_rows
from offline_eval.tables import Table, read_target, rows_of, weights

AGREEMENT = 1e-6  # relative; probabilities are often stored as float32


def pooled(log: Log, chances: Table, logger: Integers) -> Log:
    """The log as if one policy, the mixture of all loggers, had written it; then every estimator is a balanced one.

    Args:
        log: n decisions with the propensity of the policy that took them.
        chances: (n, L) how likely each logging policy was to take the action that was logged; 0 is allowed.
        logger: (n,) integers 0..L-1, the policy that took the decision.

    Returns:
        The same rows with propensity sum_l (n_l / n) chances[:, l].

    Raises:
        ShapeError: shapes or types disagree.
        DataError: no such logger, no probability, or chances and propensity contradict each other.
    """
    n = len(log.reward)
    table = rows_of("chances", chances, n)
    of = integers("logger", logger, n, "Number the logging policies 0..L-1.")
    policies = table.shape[1]
    if of.min() < 0 or of.max() >= policies:
        raise DataError(f"logger {of.max()} of {policies} does not exist.", where="logger", remedy="Count from 0.")
    own = table[np.arange(n), of]
    wrong = ~(np.abs(own - log.propensity) <= AGREEMENT * log.propensity) | ~((table >= 0) & (table <= 1)).all(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"the chances are {table[row].tolist()}, the propensity of logger {of[row]} is {log.propensity[row]:g}.",
            where=f"chances, row {row}",
            remedy="Chances lie in 0..1, and the one of the policy that decided is the row's propensity.",
        )
    mixture: Floats = table @ (np.bincount(of, minlength=policies) / n)
    return Log(log.reward, log.action, np.minimum(mixture, 1.0), log.cluster)


def balanced_ips(log: Log, target: Table, chances: Table, logger: Integers) -> Estimate:
    """IPS with the mixture of the loggers as propensity (Agarwal et al. 2017): never wider than plain ips, on average.

    Args and errors: those of `pooled`, and target (n, number of actions).
    """
    found = ips(pooled(log, chances, logger), target)
    return found.named("balanced_ips")


def balanced_by_customer(log: Log, target: Table, chances: Table) -> Estimate:
    """Balanced ips over the decisions about one customer: of several allocations, say, each with its own policy.

    Each decision about a customer counts by what the target would have done in all of them, over what their loggers
    would have. Unbiased if what a customer brings depends on the offer and not on which of these decisions it was; a
    customer who was decided on once counts as in ips.

    Args:
        log: n decisions with their customers.
        target: (n, number of actions) probabilities.
        chances: (n, number of actions) the logging policies' whole rows.

    Raises:
        ShapeError: shapes disagree, or the log names no customers.
        DataError: the target is no policy for this log, or a logged action had no chance.
    """
    table, _, _ = read_target(log, target)
    logging = rows_of("chances", chances, len(table))
    if logging.shape != table.shape:
        raise ShapeError(f"chances must be {table.shape}, not {logging.shape}.", where="chances")
    if log.cluster is None:
        raise ShapeError("the log names no customers.", where="balanced_ips", remedy="Give cluster, or take ips.")
    own, wanted = np.zeros(len(table)), np.zeros(len(table))
    for a in range(table.shape[1]):
        taken = log.action == a
        who = log.cluster[taken]
        own[taken] = np.bincount(log.cluster, logging[:, a])[who]
        wanted[taken] = np.bincount(log.cluster, table[:, a])[who]
    refuse_rows(
        ~(own > 0), log.action, "action {} was logged and had no chance", "Give the logged chances.", where="chances"
    )
    w = wanted / own
    return estimate("balanced_ips", Terms(np.zeros_like(w), w * log.reward, np.ones_like(w), w, log.cluster))


def weighted_ips(log: Log, target: Table, logger: Integers) -> Estimate:
    """Each logger's own ips, averaged with the weights n_l / variance_l (Agarwal et al. 2017).

    Needs no chances of the other policies. The variances come from the same rows, hence a small bias towards loggers
    whose successes happen to be few; a logger without any variance, e.g. without a success, says nothing. Where the
    chances are known, take balanced_ips.

    Args:
        log, target: n decisions and (n, number of actions).
        logger: (n,) integers 0..L-1, the policy that took the decision.

    Raises:
        ShapeError, DataError: inputs do not fit together.
    """
    w = weights(log, target)
    of = integers("logger", logger, len(w), "Number the logging policies 0..L-1.")
    if of.min() < 0:
        raise DataError(f"logger {of.min()} does not exist.", where="logger", remedy="Count from 0.")
    earned = w * log.reward
    count = np.bincount(of)
    mean = np.bincount(of, earned) / np.maximum(count, 1)
    variance = np.bincount(of, (earned - mean[of]) ** 2) / np.maximum(count - 1, 1)
    trust = np.divide(1.0, variance, out=np.zeros_like(variance), where=variance > 0)
    share = trust[of] if trust.any() else np.ones_like(w)
    share = share / share.mean()
    return estimate("weighted_ips", Terms(np.zeros_like(w), share * earned, share, w, log.cluster))
