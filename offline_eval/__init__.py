"""What would another policy have earned?"""

from offline_eval.bootstrap import replicates
from offline_eval.choosing import compare
from offline_eval.diagnostics import Calibration, calibration, calibration_sentences, copies
from offline_eval.estimate import Estimate, difference, part
from offline_eval.estimators import (
    clipped_ips,
    dm,
    dr,
    dr_os,
    ips,
    logged,
    replay,
    sndr,
    snips,
    subgaussian_dr,
    subgaussian_ips,
    switch_dr,
)
from offline_eval.experiments import Lift, customers_needed, detectable, lift, sample_ratio
from offline_eval.intervals import AnyLook, Bernstein, Bootstrap, FewSuccesses, How, Normal, Skewed, interval
from offline_eval.lateness import Late, suspected_late
from offline_eval.log import Log
from offline_eval.loggers import balanced_by_customer, balanced_ips, pooled, weighted_ips
from offline_eval.marginal import mips
from offline_eval.robust_model import mrdr, mrdr_weights
from offline_eval.sequences import ConfidenceSequence, confidence_sequence
from offline_eval.slices import Slice, holm, slices
from offline_eval.tables import weights
from offline_eval.totals import Figures, Totals, combined, totals
from offline_eval.tuning import Chosen, slope, tuned_clip, tuned_shrinkage, tuned_switch
from offline_eval.verdict import Report, Verdict, evaluate

__all__ = [
    "AnyLook",
    "Bernstein",
    "Bootstrap",
    "Calibration",
    "Chosen",
    "ConfidenceSequence",
    "Estimate",
    "FewSuccesses",
    "Figures",
    "How",
    "Late",
    "Lift",
    "Log",
    "Normal",
    "Report",
    "Skewed",
    "Slice",
    "Totals",
    "Verdict",
    "balanced_by_customer",
    "balanced_ips",
    "calibration",
    "calibration_sentences",
    "clipped_ips",
    "combined",
    "compare",
    "confidence_sequence",
    "copies",
    "customers_needed",
    "detectable",
    "difference",
    "dm",
    "dr",
    "dr_os",
    "evaluate",
    "holm",
    "interval",
    "ips",
    "lift",
    "logged",
    "mips",
    "mrdr",
    "mrdr_weights",
    "part",
    "pooled",
    "replay",
    "replicates",
    "sample_ratio",
    "slices",
    "slope",
    "sndr",
    "snips",
    "subgaussian_dr",
    "subgaussian_ips",
    "suspected_late",
    "switch_dr",
    "totals",
    "tuned_clip",
    "tuned_shrinkage",
    "tuned_switch",
    "weighted_ips",
    "weights",
]
