"""What training found, as one document: for people, for programs and for the page."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from bandit import SUCCESSES, Comparison, Kind, Log, PriorReport
from engine.succession import Succession

_MOST_COLUMNS = 20


def training_document(
    report: PriorReport, log: Log, offers: pa.Table, warm: list[bool], judged: Succession
) -> dict[str, Any]:
    """Figures of the prior, of every arm, and of the comparison with the model in use.

    Log losses are in nats; of amounts there are mean squared errors in their place, and means in that of rates.
    """
    counts = ("rows", "holdout_rows", "trees", "rate", "constant", "forced")
    rivals = {
        name: getattr(report, name) for name in ("log_loss", "base_log_loss", "logistic_log_loss", "tree_log_loss")
    }
    old = judged.to_json()
    return {
        **{name: getattr(report, name) for name in counts},
        **_of_kind(rivals, log.kind),
        "brier": report.brier,
        "arms": _arms(report, log, offers, warm),
        "calibration": [asdict(line) for line in report.calibration],
        "ranking": [
            {"k": a.k, "recall": a.recall, "ndcg": a.ndcg, "rate_recall": b.recall, "rate_ndcg": b.ndcg}
            for a, b in zip(report.ranking, report.rate_ranking, strict=True)
        ],
        "gain": dict(sorted(report.gain.items(), key=lambda item: -item[1])[:_MOST_COLUMNS]),
        "cross": _crossed(report.crossing, log.kind),
        "predecessor": None if old is None else _of_kind(old, log.kind),
        "refused": judged.refused,
    }


def _crossed(found: Comparison | None, kind: Kind) -> dict[str, Any] | None:
    """Whether cross columns are read, and why; None where there are none."""
    if found is None:
        return None
    rows = f"{found.rows:,} rows before those held out"
    if not found.says_enough:
        because = f"{rows} are too few to tell"
    else:
        less = "less" if found.difference < 0 else "more"
        by, error = (kind.loss_in_words(x) for x in (abs(found.difference), found.std_error))
        because = f"on {rows}, {kind.loss} with them is {by} {less} (s.e. {error})"
    return {"used": found.better, "because": because, **_of_kind(asdict(found), kind)}


def _of_kind(losses: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """Losses under their own names: a squared error is no log loss, and no line through amounts is logistic."""
    if kind == SUCCESSES:
        return losses
    return {name.replace("log_loss", "squared_error").replace("logistic", "linear"): x for name, x in losses.items()}


def _arms(report: PriorReport, log: Log, offers: pa.Table, warm: list[bool]) -> list[dict[str, Any]]:
    """One line for each offer and for no offer; `rate` is as logged, the rest as weighted where weights are."""
    ids, names = ([*offers[c].to_pylist(), None] for c in ("offer_id", "name"))
    total = np.bincount(log.arm, log.outcome, len(ids))
    return [
        {
            "offer_id": offer,
            "name": name,
            "rows": line.support,
            "rate": float(all_of_it / line.support) if line.support else None,
            "warm": known,
            "holdout_rows": line.holdout_rows,
            "predicted": line.predicted,
            "observed": line.observed,
        }
        for offer, name, line, all_of_it, known in zip(ids, names, report.arms, total, warm, strict=True)
    ]
