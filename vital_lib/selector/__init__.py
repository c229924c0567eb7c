"""The selector: learns from pairs which candidate clinicians would rather accept.

Method, stage 2: pairs from people and from the judge (``pairs``), frozen features (``features``), a
small head trained on both (``training``, ``model``), and how well its scores agree with people
(``alignment``). The package knows nothing of prompts, replies or what is done with the scores.
"""

from vital_lib.selector.alignment import (
    alignment_metrics,
    auc,
    average_precision,
    mean_rank,
    pair_agreement,
)
from vital_lib.selector.features import Features, candidate_features
from vital_lib.selector.model import Selector
from vital_lib.selector.pairs import human_pairs, judge_pairs, pair_groups
from vital_lib.selector.training import Recipe, pairwise_loss, sweep, train_selector

__all__ = [
    "Features",
    "Recipe",
    "Selector",
    "alignment_metrics",
    "auc",
    "average_precision",
    "candidate_features",
    "human_pairs",
    "judge_pairs",
    "mean_rank",
    "pair_agreement",
    "pair_groups",
    "pairwise_loss",
    "sweep",
    "train_selector",
]
