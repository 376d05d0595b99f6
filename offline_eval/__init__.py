"""What would another policy have earned?"""

from offline_eval.estimate import Estimate, difference, part
from offline_eval.estimators import (
    clipped_ips,
    dm,
    dr,
    dr_os,
    ips,
    logged,
    sndr,
    snips,
    subgaussian_dr,
    subgaussian_ips,
    switch_dr,
)
from offline_eval.log import Log, weights
from offline_eval.verdict import Report, Verdict, evaluate

__all__ = [
    "Estimate",
    "Log",
    "Report",
    "Verdict",
    "clipped_ips",
    "difference",
    "dm",
    "dr",
    "dr_os",
    "evaluate",
    "ips",
    "logged",
    "part",
    "sndr",
    "snips",
    "subgaussian_dr",
    "subgaussian_ips",
    "switch_dr",
    "weights",
]
