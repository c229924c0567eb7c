"""What an interval costs beside a loop over resamples."""

from __future__ import annotations

import numpy as np
import pytest
from measuring import median_seconds

from vital_lib.statistics import RESAMPLES, mean_interval

pytestmark = pytest.mark.slow


def _by_loop(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """The same estimator, drawn as it is told: groups with replacement, then the mean of all."""
    rng, names = np.random.default_rng(0), np.unique(groups)
    members = {name: values[groups == name] for name in names}
    means = [
        np.concatenate([members[name] for name in rng.choice(names, len(names))]).mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return low, high


def test_an_interval_by_group_beats_a_loop_over_resamples(report):
    rng = np.random.default_rng(0)
    groups = rng.integers(200, size=1_000)
    values = rng.random(1_000) + groups / 400
    ours, theirs = median_seconds(
        lambda: mean_interval(values, groups), lambda: _by_loop(values, groups), times=3
    )
    report("statistics", interval_seconds=ours, interval_over_loop=ours / theirs)
    found, (low, high) = mean_interval(values, groups), _by_loop(values, groups)
    assert np.allclose([found.low, found.high], [low, high], atol=0.2 * (high - low))
    assert 2 * ours < theirs
