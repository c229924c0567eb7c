"""Select from N made-up candidates: ``selecting.py N WIDTH`` prints seconds and peak memory."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pandas as pd
from measuring import peak_bytes

from vital_lib import selection

ROUNDS = 5
SIDES = ("left", "right")


def make(n: int, width: int) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame, dict]:
    """Candidates, scores, figures and features; one figure in fifty is nearly another's picture."""
    rng = np.random.default_rng(0)
    m = n // ROUNDS
    rows = [(f"F{k // ROUNDS}", k % ROUNDS + 1) for k in range(n)]
    words = np.array(["Yes, it", "No, it", "It"])[rng.integers(0, 3, n)]
    types = np.array(["modality", "location", "severity", "finding"])[rng.integers(0, 4, n)]
    candidates = pd.DataFrame(
        {
            "candidate_id": [f"{figure}-final-r{number}-a" for figure, number in rows],
            "conversation_id": [f"{figure}-final" for figure, _ in rows],
            "figure_id": [figure for figure, _ in rows],
            "round": [number for _, number in rows],
            "question_type": types,
            "instruction": [f"Question {k % 3} about the {SIDES[k % 2]} side?" for k in range(n)],
            "response": [f"{w} shows an opacity of {k % 977} mm." for k, w in enumerate(words)],
            "flags": [["refuses"] if k % 50 == 0 else [] for k in range(n)],
        }
    )
    codes = rng.integers(0, 2**64, m, dtype=np.uint64)
    features = rng.standard_normal((m, width), dtype=np.float32)
    again, first = rng.integers(0, m, (2, m // 50))
    codes[again], features[again] = codes[first] ^ np.uint64(1), features[first]
    ids = [f"F{k}" for k in range(m)]
    hashes = [f"{code:016x}" for code in codes]
    figures = pd.DataFrame({"figure_id": ids, "phash": hashes, "modalities": [["ct"]] * m})
    scores = pd.Series(rng.normal(size=n), index=candidates["candidate_id"])
    return candidates, scores, figures, dict(zip(ids, features, strict=True))


def main(n: int, width: int) -> None:
    candidates, scores, figures, features = make(n, width)
    start = time.perf_counter()
    pool = selection.add_groups(candidates, figures)
    begun = time.perf_counter()
    repeated = selection.near_duplicates(pool, scores, figures, features)
    done = time.perf_counter()
    how = {"share": 0.4, "within": ["question_type", "polarity"], "duplicates": repeated}
    outcome = selection.cut(pool, scores, **how)
    selected = selection.conversations(pool, outcome)
    seconds = time.perf_counter() - start
    assert len(selected) and (outcome["outcome"] == "near-duplicate").any()
    figures = {"seconds": seconds, "near_duplicates": done - begun, "peak_gb": peak_bytes() / 1e9}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
