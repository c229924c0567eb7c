"""Matplotlib figures, one per function, for the notebooks and the report; also a readable table.

Every plot takes plain frames, arrays or the flat metrics of a run and returns a new
``matplotlib.figure.Figure`` that a notebook displays as the last line of a cell. The colours are
Okabe and Ito's (2008), which colour-blind readers can distinguish; intervals are the 95 % intervals
in the metrics. This package computes no metric and is independent of files, models and pyplot.
"""

from vital_lib.plots._rows import MissingMetric
from vital_lib.plots._sums import pca_2d
from vital_lib.plots._table import metrics_table, table
from vital_lib.plots.evaluation import claims_forest, evaluation_bars, win_rate_bars
from vital_lib.plots.figures import (
    MODALITY_COLOURS,
    cluster_map,
    conversation_map,
    figure_grid,
    modality_counts,
)
from vital_lib.plots.generation import accepted_share_by_arm
from vital_lib.plots.judge import judge_probes, rating_distribution, reliability_diagram
from vital_lib.plots.labels import agreement_forest
from vital_lib.plots.overview import pipeline_overview
from vital_lib.plots.rewards import reward_forest
from vital_lib.plots.selection import selection_bars
from vital_lib.plots.selector import (
    agreement_bars,
    learning_curve,
    score_distributions,
    score_histogram,
)
from vital_lib.plots.study import sweep_lines
from vital_lib.plots.tuning import loss_curves
