"""How well a choice of figures covers all figures, compared with random choices of its size."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from vital_lib.figures.groups import unit_rows
from vital_lib.figures.hashes import hash_codes, near_codes
from vital_lib.figures.sampling import random_sample

_MEASURED = 2_000  # most figures on which coverage is measured: standard error about 0.01
_RANDOM_DRAWS = 5


def choice_metrics(
    figures: pd.DataFrame, features: np.ndarray, chosen: Iterable[str], *, seed: int = 0
) -> dict[str, float]:
    """Measure how well the chosen figures cover all figures, compared with random ones.

    A figure is *covered* if a chosen one lies within the median nearest-neighbour distance of all
    figures, on unit-length features. The suffix ``_random`` marks the control, a random sample of
    the same size: its expected value, or the mean of a few draws.

    Args:
        figures, features: as for `choose_figures`.
        chosen: figure_ids.

    Returns:
        ``choice.figures`` (number), ``choice.covered`` (share), ``choice.distance`` (mean, to the
        nearest chosen figure), ``choice.modality_gap`` (half the summed differences between the
        modality shares of chosen and all figures), ``choice.near_identical`` (chosen pictures that
        repeat another), ``choice.share_<modality>`` and ``choice.share_<modality>_all``.
        ``choice.random_for_same`` is the number of random figures with the same coverage
        and ``choice.saved`` how many fewer were chosen.

    Raises:
        ValueError: a chosen figure is not in `figures`, or none is chosen.
    """
    places = pd.Index(figures["figure_id"]).get_indexer(list(chosen))
    if not len(places) or places.min() < 0:
        raise ValueError(f"{(places < 0).sum()} of {len(places)} chosen figures are not in figures")
    unit, n = unit_rows(features), len(places)
    seen = np.random.default_rng((seed, 1)).permutation(len(unit))[:_MEASURED]  # its own stream
    reach, within = _reach(unit, seen)
    covered, distance = _coverage(unit, seen, places, reach)
    stated, phashes = figures["modalities"], figures["phash"]
    shares, own = _modality_shares(stated), _modality_shares(stated.iloc[places])
    by_chance = _random_places(figures, n, seed)
    gaps = [_gap(_modality_shares(stated.iloc[at]), shares) for at in by_chance]
    same = _random_for(covered, within, len(unit))
    found = {
        "figures": n,
        "covered": covered,
        "covered_random": _covered_by_chance(n, within, len(unit)),
        "distance": distance,
        "distance_random": np.mean([_coverage(unit, seen, at, reach)[1] for at in by_chance]),
        "modality_gap": _gap(own, shares),
        "modality_gap_random": np.mean(gaps),
        "near_identical": _repeated(phashes.iloc[places]),
        "near_identical_random": np.mean([_repeated(phashes.iloc[at]) for at in by_chance]),
        **{f"share_{name}": own.get(name, 0.0) for name in shares},
        **{f"share_{name}_all": share for name, share in shares.items()},
        "random_for_same": same,
        "saved": same - n,
    }
    return {f"choice.{name}": float(value) for name, value in found.items()}


def _random_places(figures: pd.DataFrame, n: int, seed: int) -> list[np.ndarray]:
    """Return the row numbers of a few `random_sample`s of `n` figures."""
    index = pd.Index(figures["figure_id"])
    draws = (random_sample(figures, n=n, seed=seed + k) for k in range(_RANDOM_DRAWS))
    return [index.get_indexer(draw["figure_id"]) for draw in draws]


def _reach(unit: np.ndarray, seen: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the median cosine of `seen` to their nearest rows, and counts of rows within it."""
    nearest = np.empty(len(seen), dtype=np.float32)
    for rows, cosines in _cosines(unit, seen, unit):
        cosines[np.arange(len(cosines)), seen[rows]] = -1.0  # itself
        nearest[rows] = cosines.max(axis=1)
    middle = float(np.median(nearest))
    within = np.empty(len(seen), dtype=int)
    for rows, cosines in _cosines(unit, seen, unit):
        within[rows] = (cosines >= middle).sum(axis=1)
    return middle, within


def _coverage(
    unit: np.ndarray, seen: np.ndarray, places: np.ndarray, reach: float
) -> tuple[float, float]:
    """Return the share of `seen` that `places` cover, and the mean distance to them."""
    nearest = np.empty(len(seen), dtype=np.float32)
    for rows, cosines in _cosines(unit, seen, unit[places]):
        nearest[rows] = cosines.max(axis=1)
    distances = np.sqrt(np.maximum(2 - 2 * nearest, 0))
    return float((nearest >= reach).mean()), float(distances.mean())


def _cosines(
    unit: np.ndarray, seen: np.ndarray, others: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the cosines of `seen` with `others` in blocks of rows, of about 50 MB each."""
    block = max(1, 12_000_000 // len(others))
    for start in range(0, len(seen), block):
        rows = slice(start, start + block)
        yield rows, unit[seen[rows]] @ others.T


def _covered_by_chance(n: int, within: np.ndarray, of: int) -> float:
    """Return the expected coverage by `n` random figures: 1 - P(none within reach is drawn)."""
    return float((1 - (1 - n / of) ** within).mean())


def _random_for(covered: float, within: np.ndarray, of: int) -> int:
    """Return the least number of random figures with at least the expected coverage `covered`."""
    sizes = range(of + 1)
    return bisect.bisect_left(sizes, covered, key=lambda n: _covered_by_chance(n, within, of))


def _modality_shares(modalities: pd.Series) -> dict[str, float]:
    named = modalities.map(lambda flags: list(flags) or ["not_stated"]).explode()
    return (named.groupby(named).size() / len(modalities)).to_dict()


def _gap(shares: Mapping[str, float], others: Mapping[str, float]) -> float:
    names = sorted(shares.keys() | others.keys())  # so that the sum is the same in every process
    return sum(abs(shares.get(name, 0.0) - others.get(name, 0.0)) for name in names) / 2


def _repeated(phashes: pd.Series) -> int:
    """Count the pictures that are near-identical to an earlier one."""
    return sum(1 for _ in near_codes(hash_codes(phashes)))
