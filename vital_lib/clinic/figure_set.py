"""Write the clinic's figure set: phantoms with captions and mentions, and a benchmark.

The files have the format of a user's own figure set (LLaVA-Med's caption schema). Only the table
``clinic_truth`` shows that the figures are drawn. Independent of models, candidates and
preferences.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from vital_lib.clinic.benchmark import write_questions
from vital_lib.clinic.captions import write_caption, write_mentions
from vital_lib.clinic.lexicon import Truth, facts_in
from vital_lib.clinic.phantoms import draw, sample_truth
from vital_lib.clinic.real import real_figures
from vital_lib.modalities import MODALITIES
from vital_lib.processes import available_cores, run_calls
from vital_lib.tables import Workspace, write_atomically

BENCHMARK_FIGURES = 200
RESERVED_SEED = 2**31
"""Seeds from here on are reserved for training the clinic's base models; no run may use them."""

_FEW_ARTICLES = 200
_FIGURES_STREAM, _BENCHMARK_STREAM = 0, 1
_COLOURED = ("histology", "gross")
_SOURCE = {
    "name": "clinic",
    "licence": "CC0",
    "credit": "drawn by the workbench's clinic; shows no patient",
}


def make_figure_set(folder: Path, *, articles: int, seed: int) -> Path:
    """Write figures, benchmark and ground truth of a run; return the path of ``figures.jsonl``.

    Writes into `folder`:
        figures.jsonl, images/: about two phantoms per article, then the real images.
        benchmark.jsonl, benchmark_images/: 200 phantoms of other articles; columns of table
            ``questions``, image paths relative to the run folder.

    The run folder is the parent of `folder`; its table ``clinic_truth`` gets one row per phantom.
    A larger set begins with the articles of a smaller set of the same seed.

    Raises:
        ValueError: `articles` is below 1, or `seed` is negative or reserved for training.
    """
    if articles < 1:
        raise ValueError(f"articles={articles}: wanted at least 1")
    if not 0 <= seed < RESERVED_SEED:
        raise ValueError(f"seed={seed}: wanted 0 to {RESERVED_SEED - 1}; larger seeds are reserved")
    folder = Path(folder)
    for name in ("images", "benchmark_images"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    # A process takes a second to start, so one process draws a small set faster.
    workers = 1 if articles < _FEW_ARTICLES else available_cores()
    drawn = run_calls(_draw, dict(_shares(folder, seed, articles, workers)), workers=workers)
    rows = {"article": [], "benchmark": []}
    truths: dict[str, Truth] = {}
    for kind, own, shown in drawn.values():
        rows[kind] += own
        truths |= shown
    records, questions = rows["article"] + _write_real(folder), rows["benchmark"]
    _write_lines(folder / "figures.jsonl", records)
    _write_lines(folder / "benchmark.jsonl", questions)
    known = [{"figure_id": figure_id, **asdict(truth)} for figure_id, truth in truths.items()]
    parameters = {"articles": articles, "seed": seed}
    Workspace(folder.parent).write("clinic_truth", pd.DataFrame(known), parameters=parameters)
    return folder / "figures.jsonl"


def _shares(folder: Path, seed: int, articles: int, workers: int) -> Iterator[tuple[str, dict]]:
    """Yield (name, arguments) of each call of `_draw`; each kind is split into `workers` ranges."""
    for kind, count in (("article", articles), ("benchmark", BENCHMARK_FIGURES)):
        borders = [count * part // workers for part in range(workers + 1)]
        for numbers in map(range, borders, borders[1:]):
            call = {"folder": folder, "seed": seed, "kind": kind, "numbers": numbers}
            yield f"{kind} from {numbers.start}", call


def _draw(
    folder: Path, seed: int, kind: str, numbers: range
) -> tuple[str, list[dict], dict[str, Truth]]:
    """Draw articles or benchmark figures; return kind, records or questions, and truths by id."""
    one = {"article": _article, "benchmark": _benchmark_figure}[kind]
    truths: dict[str, Truth] = {}
    rows = [row for number in numbers for row in one(folder, number, seed, truths)]
    return kind, rows, truths


def _article(folder: Path, number: int, seed: int, truths: dict[str, Truth]) -> list[dict]:
    """Draw one article's figures, return their records and add their truths to `truths`."""
    rng = np.random.default_rng((seed, _FIGURES_STREAM, number))
    article = f"S{seed}A{number:05d}"
    records = []
    for place in range(1, int(rng.choice((1, 2, 3), p=(0.25, 0.5, 0.25))) + 1):
        figure_id = f"{article}_F{place}"
        truth = truths[figure_id] = sample_truth(rng)
        _save(draw(truth, rng), truth.modality, folder / "images" / f"{figure_id}.png")
        records.append(_record(article, place, truth, rng))
    return records


def _record(article: str, place: int, truth: Truth, rng: np.random.Generator) -> dict:
    caption = write_caption(truth, rng)
    mentions = write_mentions(truth, set(facts_in([caption])), rng)
    return {
        "pair_id": f"{article}_F{place}",
        "pmid": article,
        "fig_id": f"F{place}",
        "fig_label": f"Figure {place}",
        "fig_caption": caption,
        "in_text_mention": [{"tokens": text} for text in mentions],
        "domain": {name: name == truth.modality for name in MODALITIES},
        "image": f"{article}_F{place}.png",
        "source": _SOURCE,
    }


def _benchmark_figure(folder: Path, number: int, seed: int, truths: dict[str, Truth]) -> list[dict]:
    """Draw one benchmark figure and return its questions; modalities alternate by `number`."""
    rng = np.random.default_rng((seed, _BENCHMARK_STREAM, number))
    article = f"S{seed}B{number:05d}"
    figure_id = f"{article}_F1"
    truth = truths[figure_id] = sample_truth(rng, MODALITIES[number % len(MODALITIES)])
    _save(draw(truth, rng), truth.modality, folder / "benchmark_images" / f"{figure_id}.png")
    common = {
        "benchmark": "clinic",
        "image": f"{folder.name}/benchmark_images/{figure_id}.png",
        "group_id": article,
        "modality": truth.modality,
    }
    questions = write_questions(truth, rng)
    return [
        {"question_id": f"{figure_id}-q{k}", **common, **question}
        for k, question in enumerate(questions, start=1)
    ]


def _write_real(folder: Path) -> list[dict]:
    records = []
    for image, record in real_figures():
        image.save(folder / "images" / record["image"], compress_level=1)
        records.append(record)
    return records


def _save(image: Image.Image, modality: str, path: Path) -> None:
    """Save a PNG, with one channel for grey modalities; run-length coding suffices for noise."""
    image = image if modality in _COLOURED else image.convert("L")
    image.save(path, compress_level=1, compress_type=zlib.Z_RLE)


def _write_lines(path: Path, records: Iterable[dict]) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
