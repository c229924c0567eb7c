"""Claims about the page that calculates the paper's size from measured rates."""

from __future__ import annotations

import json

import pytest
from beside import script_of_docs

RATES = {
    "cores": 2,
    "opened": 50.0,
    "images_encoded": 100.0,
    "texts_encoded": 100.0,
    "scored": 1_000_000.0,
}


@pytest.fixture(scope="module")
def script():
    """The script that writes docs/paper_scale.md."""
    return script_of_docs("paper_scale")


def test_the_page_says_what_the_measured_rates_give(script):
    assert script.PAGE.read_text() == script.page(), "run python docs/paper_scale.py"
    assert set(json.loads(script.RATES.read_text())) == set(RATES)


def test_a_step_is_its_rows_at_its_rate(script):
    found = script.steps(RATES).set_index("step")
    # 100 a second opened on two cores, then 100 a second through the model: 50 a second.
    figures = found.loc["encode the figures"]
    assert figures["hours"] == pytest.approx(15_000_000 / 50 / 3600)
    assert figures["bytes"] == 15_000_000 * (512 * 4 + 33)
    rated = found.loc["rate the candidates (requests)"]
    assert rated["rows"] == 500_000 and rated["hours"] == pytest.approx(500_000 / 500 / 60)
    assert found.loc["score the candidates", "hours"] == pytest.approx(0.1 / 3600)


def test_the_price_of_a_request_is_that_of_its_texts_and_its_image(script):
    # gpt-4.1-mini: 32 x 24 patches at 1.62 tokens, US$ 0.40 a million in and 1.60 out.
    tokens = 427 + 1_245
    assert script.usd_of("gpt-4.1-mini", "rating") == pytest.approx(
        tokens * 0.4e-6 + 56 * 1.6e-6, rel=1e-3
    )
    found = script.steps(RATES)
    asked = found["step"].str.contains("requests")
    priced = found[list(script.MODELS)] > 0
    assert priced[asked].all(axis=None) and not priced[~asked].any(axis=None)


def test_a_faster_machine_takes_less_time_and_no_less_money(script):
    fast = {name: 10 * rate for name, rate in RATES.items()}
    slow, quick = script.steps(RATES), script.steps(fast)
    own = ~slow["step"].str.contains("requests")
    assert (quick["hours"][own] <= slow["hours"][own] / 10 + 1e-9).all()
    assert slow[list(script.MODELS)].equals(quick[list(script.MODELS)])
