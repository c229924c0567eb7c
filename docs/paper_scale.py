"""Write docs/paper_scale.md: what the paper's own size takes, calculated from measured rates.

    python docs/paper_scale.py             the page from the rates in docs/paper_scale.json
    python docs/paper_scale.py --measure   measure the rates on this machine first (a few minutes)

The models are of the real ones' shapes with random weights: nothing is downloaded, and time does
not depend on the values of weights.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import transformers as hf
from PIL import Image
from scipy import sparse

from vital_lib import selector
from vital_lib.client import price_of
from vital_lib.figures import open_image

PAGE = Path(__file__).with_suffix(".md")
RATES = PAGE.with_suffix(".json")
FIGURES, CANDIDATES, RATINGS = 15_000_000, 100_000, 5
SIZE = (1024, 768)  # pixels of a figure, as sent to the endpoint
WIDTH = 512  # of BiomedCLIP's vectors
ROUNDS = 5  # candidates that one request writes
PER_MINUTE = 500  # requests that an endpoint allows; a usual limit of a new account
MODELS = ("gpt-4.1-mini", "gpt-4.1")
# Tokens of the texts of one request and of its reply in the demo run (seed 0), without the image:
# 1,495 requests for conversations, with demonstrations, and 10,281 for ratings. A real model's
# replies are longer than the clinic's.
TOKENS = {"generation": (1_502, 301), "rating": (427, 56)}
LEDGER_BYTES = 1_667  # of the demo run's ledger per request, images apart


# Rates on this machine


def measure() -> dict[str, float]:
    """Return the rates that the calculation needs, in rows per second."""
    torch.manual_seed(0)
    torch.set_num_threads(os.cpu_count() or 1)
    return {
        "cores": os.cpu_count() or 1,
        "opened": _opened(),
        "images_encoded": _images_encoded(),
        "texts_encoded": _texts_encoded(),
        "scored": _scored(),
    }


def _per_second(work: Callable[[], object], rows: int, runs: int = 3) -> float:
    work()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return rows / min(seconds)


def _opened() -> float:
    """Figures opened, checked and brought to 224 x 224, on one core."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    processor = hf.CLIPImageProcessorPil()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figure.jpg"
        Image.fromarray(pixels).resize(SIZE).save(file, quality=90)
        return _per_second(lambda: [processor(open_image(file).pixels()) for _ in range(8)], 8)


def _images_encoded() -> float:
    """Images through a vision transformer of BiomedCLIP's shape, ViT-B/16 at 224 pixels."""
    config = hf.CLIPVisionConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
        image_size=224, patch_size=16, projection_dim=WIDTH,
    )  # fmt: skip
    model = hf.CLIPVisionModelWithProjection(config).eval()
    batch = torch.rand(16, 3, 224, 224)
    return _per_second(torch.inference_mode()(lambda: model(pixel_values=batch)), 16)


def _texts_encoded() -> float:
    """Responses through a text encoder of BiomedCLIP's shape, BERT-base with 256 tokens at most.

    A response has 64 tokens here.
    """
    model = hf.BertModel(hf.BertConfig(vocab_size=30_522)).eval()
    batch = torch.randint(0, 30_000, (32, 64))
    return _per_second(torch.inference_mode()(lambda: model(input_ids=batch)), 32)


def _scored() -> float:
    """Candidates scored by a selector whose features are ready: 1,024 numbers each."""
    rows, width = 100_000, 1024
    dense = np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)
    weights = np.ones(width, np.float32)
    learned = selector.model.Weights(
        **dict.fromkeys(("score", "prior"), weights),
        **dict.fromkeys(("constant", "shift"), np.ones(1, np.float32)),
        basis=np.zeros((width, 0), np.float32),
        covariance=np.zeros((2, 2), np.float32),
    )
    scaling = selector.Scaling({}, *[np.zeros(width, np.float32)] * 3)
    model = selector.Selector(scaling, learned, config={"encoder": ""}, metrics={})
    features = selector.Scaled(dense, sparse.csr_array((rows, 0), dtype=np.float32))
    return _per_second(lambda: model.score(features), rows)


# The calculation


def steps(rates: dict[str, float]) -> pd.DataFrame:
    """Return one row per step: step, rows, hours, bytes, and dollars for each of `MODELS`.

    Hours are those of one machine of the kind that was measured or, for requests, of one endpoint.
    """
    encoded = 1 / (1 / (rates["opened"] * rates["cores"]) + 1 / rates["images_encoded"])
    asked = PER_MINUTE / 60
    texts, score = CANDIDATES / rates["texts_encoded"], 1 / rates["scored"]
    vector, number = WIDTH * 4 + 33, 8  # bytes
    writing, rating = CANDIDATES // ROUNDS, RATINGS * CANDIDATES
    table = [
        ("encode the figures", FIGURES, FIGURES / encoded, vector, None),
        ("write the candidates (requests)", writing, writing / asked, LEDGER_BYTES, "generation"),
        ("rate the candidates (requests)", rating, rating / asked, LEDGER_BYTES, "rating"),
        ("encode the responses", CANDIDATES, texts, vector, None),
        ("score the candidates", CANDIDATES, CANDIDATES * score, number, None),
        ("score as many rows as figures", FIGURES, FIGURES * score, number, None),
    ]
    rows = []
    for words, n, seconds, held, kind in table:
        usd = {model: n * usd_of(model, kind) if kind else 0.0 for model in MODELS}
        rows.append({"step": words, "rows": n, "hours": seconds / 3600, "bytes": n * held, **usd})
    return pd.DataFrame(rows)


def usd_of(model: str, kind: str) -> float:
    """Return the price of one request of `kind` with one image of `SIZE`."""
    price = price_of(model)
    text, reply = TOKENS[kind]
    return price.usd(text + price.images.tokens(*SIZE), reply)


_TEXT = """\
# The paper's size, on paper

{figures:,} figures, {candidates:,} candidates, {ratings} ratings of each: what would it take?
**This page is a calculation, not a run.** The rates were measured on one machine with {cores} CPU
cores by `python docs/paper_scale.py --measure`, with models of the real shapes and random weights.
No GPU was measured.

| measured | per second |
|---|---|
| figures opened and brought to 224 x 224 ({size} JPEG, one core) | {opened:,.0f} |
| images through a ViT-B/16, as BiomedCLIP's | {images_encoded:,.1f} |
| responses of 64 tokens through a BERT-base, as BiomedCLIP's | {texts_encoded:,.1f} |
| candidates scored, features ready | {scored:,.0f} |

Assumed, not measured: an endpoint that allows {per_minute} requests a minute, {rounds} candidates
from each request, one image of {size} pixels in each, and texts as long as in the demo run. The
prices are those of the table of prices.

{table}

- **The bottleneck is to {longest}: {days:,.0f} days** on one such machine. {machines} of them end
  it in a day, and a GPU needs far fewer. Or encode a sample: notebook 01 needs vectors only of the
  figures that it chooses among.
- **Most of the money goes to one step: {dearest}.** All requests cost {spent}; half of it with
  `batch = True`, which has limits of its own (docs/batches.md).
- Requests take {waited:,.0f} hours at {per_minute} a minute. A higher limit shortens this in
  proportion; the client finds the endpoint's limit by itself.
- Scoring is not the bottleneck: {figures:,} rows take {scoring:,.0f} seconds, if shards of them
  are scored in turn.
- The vectors of the figures take {gigabytes:,.0f} GB: keep the run's folder on such a disk.
"""


def page() -> str:
    """Return the text of the page, from the rates that were measured last."""
    rates = json.loads(RATES.read_text())
    found = steps(rates)
    longest = found.iloc[found["hours"].idxmax()]
    requests = found[found[MODELS[0]] > 0]
    spent = [f"US$ {found[model].sum():,.0f} ({model})" for model in MODELS]
    return _TEXT.format(
        **rates,
        figures=FIGURES,
        candidates=CANDIDATES,
        ratings=RATINGS,
        rounds=ROUNDS,
        per_minute=PER_MINUTE,
        size=f"{SIZE[0]} x {SIZE[1]}",
        table=_table(found),
        longest=longest["step"],
        days=longest["hours"] / 24,
        machines=math.ceil(longest["hours"] / 24),
        dearest=requests.loc[requests[MODELS[0]].idxmax(), "step"].partition(" (")[0],
        spent=" or ".join(spent),
        waited=requests["hours"].sum(),
        scoring=3600 * found["hours"].iloc[-1],
        gigabytes=found["bytes"].iloc[0] / 1e9,
    )


def _table(found: pd.DataFrame) -> str:
    """Return the steps as a Markdown table."""
    header = ["step", "rows", "hours", "on disk", *(f"US$, {model}" for model in MODELS)]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in found.to_dict("records"):
        hours, size = row["hours"], row["bytes"]
        cells = [
            row["step"],
            f"{row['rows']:,}",
            f"{hours:,.1f}" if hours >= 0.1 else f"{3600 * hours:,.1f} s",
            f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB",
            *(f"{row[model]:,.0f}" if row[model] else "" for model in MODELS),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure", action="store_true", help="measure the rates first")
    if parser.parse_args().measure:
        RATES.write_text(json.dumps(measure(), indent=1) + "\n")
    PAGE.write_text(page())
    print(f"{PAGE.name} written")
