"""What training found, as one document: for people, for programs and for the page."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from bandit import Comparison, PriorReport
from engine.exposed import Exposed
from engine.succession import Succession

_MOST_COLUMNS = 20


def training_document(
    report: PriorReport, exposed: Exposed, offers: pa.Table, warm: list[bool], judged: Succession
) -> dict[str, Any]:
    """Figures of the prior, of every arm, and of the comparison with the model in use. Log losses are in nats."""
    rivals = ("log_loss", "base_log_loss", "logistic_log_loss", "tree_log_loss", "brier")
    counts = ("rows", "holdout_rows", "trees", "rate", "constant", "forced")
    return {
        **{name: getattr(report, name) for name in (*counts, *rivals)},
        "arms": _arms(report, exposed, offers, warm),
        "calibration": [asdict(line) for line in report.calibration],
        "ranking": [
            {"k": a.k, "recall": a.recall, "ndcg": a.ndcg, "rate_recall": b.recall, "rate_ndcg": b.ndcg}
            for a, b in zip(report.ranking, report.rate_ranking, strict=True)
        ],
        "gain": dict(sorted(report.gain.items(), key=lambda item: -item[1])[:_MOST_COLUMNS]),
        "cross": _crossed(report.crossing),
        "predecessor": judged.to_json(),
        "refused": judged.refused,
    }


def _crossed(found: Comparison | None) -> dict[str, Any] | None:
    """Whether cross columns are read, and why; None where there are none."""
    if found is None:
        return None
    rows = f"{found.rows:,} rows before those held out"
    if not found.says_enough:
        because = f"{rows} are too few to tell"
    else:
        less = "less" if found.difference < 0 else "more"
        because = f"on {rows}, log loss with them is {abs(found.difference):.4f} {less} (s.e. {found.std_error:.4f})"
    return {"used": found.better, "because": because, **asdict(found)}


def _arms(report: PriorReport, exposed: Exposed, offers: pa.Table, warm: list[bool]) -> list[dict[str, Any]]:
    """One line for each offer and for no offer; `rate` is as logged, the rest as weighted where weights are."""
    ids, names = ([*offers[c].to_pylist(), None] for c in ("offer_id", "name"))
    successes = np.bincount(exposed.arm, exposed.outcome, len(ids))
    return [
        {
            "offer_id": offer,
            "name": name,
            "rows": line.support,
            "rate": float(won / line.support) if line.support else None,
            "warm": known,
            "holdout_rows": line.holdout_rows,
            "predicted": line.predicted,
            "observed": line.observed,
        }
        for offer, name, line, won, known in zip(ids, names, report.arms, successes, warm, strict=True)
    ]
