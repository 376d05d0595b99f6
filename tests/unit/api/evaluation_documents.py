"""What an evaluation answers, for the tests of what people read of it."""


def estimate(estimator, value, half=0.05, **changes):
    low, high = value - half, value + half
    plain = {"estimator": estimator, "value": value, "std_error": half / 1.96, "low": low, "high": high}
    return {**plain, "level": 0.95, "ess": 4321.0, **changes}


def segment(name, difference, **changes):
    """Known by default; `finding` follows from the interval."""
    plain = {"segment": name, "rows": 2000, "ess": 1500.0, "verdict": "supported", "reasons": []}
    ends = {"difference": difference, "low": difference - 0.02, "high": difference + 0.02}
    finding = "more" if ends["low"] > 0 else "less" if ends["high"] < 0 else None
    return {**plain, "value": 0.4, "logged": 0.4 - difference, **ends, "adjusted": 0.01, "finding": finding, **changes}


def chance(offer_id, found, expected=500.0, alarm=False):
    z = (found - expected) / 20.0
    worst = {"column": "town", "segment": "inner", "expected": 50.0, "found": 52.0, "z": 0.3, "alarm": alarm}
    line = {"offer_id": offer_id, "taken": 480, "expected": expected, "found": found, "z": z, "alarm": alarm}
    return {**line, "worst_segment": worst}


def evaluation(**changes):
    plain = {
        "target": "half the budget",
        "log": "alloc-1",
        "rows": 10_000,
        "left_out": 500,
        "immature": 200,
        "verdict": "supported",
        "reasons": [],
        "estimator": "dr",
        "chosen_because": "dr, because the reward model makes the interval 0.61 times as wide as that of snips.",
        "estimate": estimate("dr", 0.365),
        "estimates": [estimate("ips", 0.35), estimate("snips", 0.36), estimate("dr", 0.365)],
        "logged": estimate("logged", 0.42, ess=10_000.0),
        "difference": estimate("dr - logged", -0.055, 0.03),
        "ess": 4321.0,
        "largest_weight": 7.5,
        "mean_weight": 1.0,
        "clipped_share": 0.0,
        "unsupported_mass": 0.002,
        "weighted_successes": 812.0,
        "spread": 0.7,
        "planned": 0.45,
        "realised": 0.365,
        "planned_minus_realised": 0.085,
        "warnings": [],
        "weights": [
            {"from": 0.0, "to": 0.0, "rows": 0.1, "weight": 0.0},
            {"from": 0.0, "to": 1.0, "rows": 0.6, "weight": 0.4},
            {"from": 1.0, "to": None, "rows": 0.3, "weight": 0.6},
        ],
        "propensities": [chance("a", 510.0), chance(None, 490.0), {**chance("b", 3.0), "z": None}],
        "ranking": {
            "successes": 900,
            "effective": 600.0,
            "map": 0.61,
            "rate_map": 0.4,
            "at": [{"k": 1, "recall": 0.5, "ndcg": 0.5, "rate_recall": 0.3, "rate_ndcg": 0.3}],
        },
        "calibration_error": 0.012,
        "slices": {
            "column": "town",
            "level": 0.95,
            "method": "Bonferroni",
            "segments": [
                segment("inner", 0.05),
                segment("outer", -0.04),
                segment("away", 0.01),
                segment("abroad", 0.9, verdict="insufficient", reasons=["Too thin."], finding=None),
            ],
        },
    }
    return {**plain, **changes}


def invalid(**changes):
    """As where the log has no propensities: nothing is estimated."""
    names = ("estimator", "estimate", "difference", "ess", "planned", "realised", "planned_minus_realised", "target")
    bare = {
        **dict.fromkeys(names),
        "log": "bank.csv",
        "rows": 45_211,
        "left_out": 0,
        "immature": 0,
        "verdict": "invalid",
        "reasons": ["45,211 of 45,211 logged rows have no propensity."],
        "chosen_because": "",
        "estimates": [],
        "logged": {"estimator": "logged", "value": 0.117},
        "warnings": [],
    }
    return {**bare, **changes}


def scenario(name, value, verdict="supported", **changes):
    limit = {"name": "budget", "minimum": None, "maximum": 950.0, "price": 4.4}
    found = {**estimate("d", value), "verdict": verdict, "planned_cost": -95.0}
    found["in_all"] = {key: 10_000 * found[key] for key in ("value", "low", "high")}
    plain = {"scenario": name, "set": [], "verdict": verdict, "reasons": [], "ess": 800.0}
    plain |= {"estimate": estimate("dr", 0.4 + value)}
    plain |= {"planned_cost": 900.0, "replays": [{"limits_scaled_by": 0.5, "limits": [limit]}], "difference": found}
    return {**plain, **changes}


def hindsight(*scenarios):
    """As `allot evaluate --what-if` answers."""
    head = {"target": "spring", "log": "alloc-1", "rows": 10_000, "customers": 9000, "left_out": 0, "immature": 0}
    head |= {"warnings": ["n"]}
    return {
        **head,
        "logged": estimate("logged", 0.42),
        "as_written": scenario("as written", 0.0),
        "scenarios": scenarios,
    }


def origin(day, value, verdict="supported", **changes):
    """A moment of a backtest; the log earned .4 and the policy planned .05 more than it found."""
    plain = {"from": f"2026-0{day}-01T00:00:00+00:00", "until": f"2026-0{day + 1}-01T00:00:00+00:00", "rows": 5000}
    plain |= {"trained_on": 1000 * day, "verdict": verdict, "reasons": [], "estimate": estimate("dr", value)}
    plain |= {"logged": estimate("logged", 0.4), "difference": estimate("d", value - 0.4, 0.03), "ess": 900.0}
    plain |= {"planned": value + 0.05, "realised": value, "planned_minus_realised": 0.05, "plan_missed": False}
    return {**plain, **changes}


def backtest(*origins, **changes):
    """As `allot backtest` answers."""
    head = {"target": "spring", "log": "exposures", "rows": 10_000, "left_out": 0, "immature": 0, "warnings": ["n"]}
    return {**origin(2, 0.47), **head, "origins": origins, **changes}


def look(day, value, **changes):
    plain = {"at": f"2026-03-{day:02d}T00:00:00+00:00", "rows": 600 * day, "held_out": 60 * day, "verdict": "supported"}
    return {**plain, "lift": None if value is None else estimate("adjusted_lift", value, 0.2), "chance": 0.7, **changes}


def experiment(**changes):
    """As `allot experiment read` answers."""
    plan = {"measure": "reward per decision", "audience": "", "holdout": 0.1, "outcome_days": 14.0, "sd": 2.5}
    plan |= {"covariates": ["past reward"], "detectable": 0.31, "power": 0.8, "effect": 0.5, "needed": 2000}
    plain = {
        "campaign": "spring",
        "digest": "77ab1f0c",
        "registered_at": "2026-02-27T00:00:00+00:00",
        "first_allocation": "2026-03-01T00:00:00+00:00",
        "plan": plan,
        "allocations": 3,
        "rows": 1800,
        "waiting": 20,
        "verdict": "supported",
        "reasons": [],
        "split": {"customers": 600, "held_out": 60, "planned": 0.1, "chance": 0.7, "broken": 0.01},
        "lift": estimate("adjusted_lift", 0.64, 0.2),
        "plain": estimate("lift", 0.66, 0.3),
        "in_all": {"value": 1036.8, "low": 712.8, "high": 1360.8},
        "variance_removed": 0.4,
        "held_out_mean": 1.9,
        "finding": "more",
        "looks": [look(1, None, verdict="insufficient"), look(2, 0.58), look(3, 0.64)],
        "cost": 0.21,
    }
    return {**plain, **changes}
