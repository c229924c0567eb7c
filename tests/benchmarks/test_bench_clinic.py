"""What the clinic costs: reading texts, ticking answers, drawing phantoms."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from clinic_requests import phantom_figures
from loopback import save_image
from measuring import median_seconds

from vital_lib.clinic import CLINICIANS, Clinicians
from vital_lib.clinic.lexicon import read_claims
from vital_lib.clinic.phantoms import SIZE, draw, sample_truth
from vital_lib.modalities import MODALITIES

pytestmark = pytest.mark.slow


def _prose(figures: int, seed: int) -> str:
    """Captions and mentions of phantoms, one after the other."""
    found = phantom_figures(figures, seed)
    return " ".join(text for one in found for text in (one["caption"], *one["mentions"]))


def _endless(denials: int, seed: int) -> str:
    """One sentence, which takes a reader without limits the square of its length."""
    return f"Case {seed}: " + "no left-sided nodule in the upper zone " * denials


@pytest.mark.parametrize(
    ("name", "write", "n"), [("prose", _prose, 300), ("endless", _endless, 500)]
)
def test_a_text_four_times_as_long_takes_no_more_than_its_length_explains(name, write, n, report):
    """A linear reader takes 4 times as long, a quadratic one 16 times."""
    # A text for each of the rounds: one that was read before would come from a cache.
    short, long = (iter([write(size, seed) for seed in range(6)]) for size in (n, 4 * n))
    few, many = median_seconds(lambda: read_claims(next(short)), lambda: read_claims(next(long)))
    report("lexicon", **{f"{name}_of_4n_over_n": many / few})
    assert many < 8 * few


def test_a_tick_among_four_times_as_many_costs_no_more(report):
    n, seeds = 400, itertools.count()

    def work(number: int) -> Callable[[], None]:
        """Ticks of `number` candidates, about a figure each; no text was read before."""
        rng = np.random.default_rng(0)
        ids = [f"A{k}_F1" for k in range(number)]
        truth = pd.DataFrame([{"figure_id": one, **asdict(sample_truth(rng))} for one in ids])
        texts = pd.DataFrame(phantom_figures(number))
        people = Clinicians(texts.assign(figure_id=ids), truth)
        question = "On which side is the finding?"

        def tick() -> None:
            seed = next(seeds)
            responses = [f"{one} This is answer {seed}-{k}." for k, one in enumerate(texts.caption)]
            rows = {"candidate_id": ids, "figure_id": ids, "instruction": question}
            ticks = people.ticks(pd.DataFrame({**rows, "response": responses}))
            assert len(ticks) == number * len(CLINICIANS)

        return tick

    few, many = median_seconds(work(n), work(4 * n))
    growth = many / (4 * few)
    per_second = 4 * n * len(CLINICIANS) / many
    report("people", ticks_per_second=per_second, tick_of_4n_over_tick_of_n=growth)
    assert growth < 2


def test_a_phantom_is_drawn_about_as_fast_as_noise_is_drawn_and_saved(tmp_path, report):
    """The yardstick is the plainest picture of the same size that a figure set could hold."""
    rng, modalities = np.random.default_rng(0), itertools.cycle(MODALITIES)

    def phantoms() -> None:
        for _ in MODALITIES:
            draw(sample_truth(rng, next(modalities)), rng)

    def noise() -> None:
        for _ in MODALITIES:
            save_image(tmp_path / "noise.png", seed=0, side=SIZE)

    ours, theirs = median_seconds(phantoms, noise, times=15)
    report("phantoms", per_second=len(MODALITIES) / ours, draw_over_saving_noise=ours / theirs)
    assert ours < 3 * theirs
