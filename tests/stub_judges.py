"""Judges of known behaviour behind the real client, and a benchmark on which to try them.

Two models answer `QUESTIONS` questions. An answer states its quality, which clinicians see, and has
a length. This module knows nothing of what any test claims.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
from collections.abc import Callable

import numpy as np
import pandas as pd
from loopback import in_process, said
from PIL import Image

from vital_lib.client import ChatClient
from vital_lib.tables import frame_of

QUESTIONS, ARTICLES = 160, 80


def benchmark(image: str, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Questions and answers of the models `selected`, which writes more, and `random`."""
    rng = random.Random(seed)
    rows, answers = [], []
    for n in range(QUESTIONS):
        rows.append((f"q{n}", "drawn", image, f"g{n % ARTICLES}", "mri", "open", f"t{n % 2}"))
        for model, mean, words in (("selected", 5.6, 12), ("random", 5.0, 6)):
            quality = round(min(9, max(1, rng.gauss(mean, 1.5))))
            text = f"quality {quality}, " + "word " * rng.randint(words, words + 8)
            answers.append((f"q{n}", model, "none", 0, text.strip()))
    columns = ["question_id", "benchmark", "image", "group_id", "modality", "kind", "question_type"]
    questions = pd.DataFrame(rows, columns=columns).assign(question="What is it?", reference="mass")
    names = ["question_id", "model", "control", "draw", "answer"]
    return questions, pd.DataFrame(answers, columns=names)


def quality(answer: str) -> int:
    """The quality that an answer states."""
    return int(answer.split()[1].strip(","))


def clinicians(answers: pd.DataFrame, name: str = "ann", share: float = 1.0) -> pd.DataFrame:
    """Verdicts of a person who sees the quality, on a random share of the questions."""
    texts = answers.pivot(index="question_id", columns="model", values="answer")
    texts = texts.sample(frac=share, random_state=1)
    apart = [quality(row.selected) - quality(row.random) for row in texts.itertuples()]
    winners = np.select([np.array(apart) > 0, np.array(apart) < 0], ["a", "b"], "tie")
    rows = [
        (question, "selected", "random", 0, name, "both", winner, "", None)
        for question, winner in zip(texts.index, winners, strict=True)
    ]
    return frame_of("verdicts", rows)


def _always_first(first: str, second: str) -> str:
    return "first"


def _longer(first: str, second: str) -> str:
    return "first" if len(first) > len(second) else "second"


def _blind(first: str, second: str) -> str:
    """Choose by a hash of the two texts, the same answer in either order."""
    low, high = sorted((first, second))
    drawn = hashlib.sha256(f"{low}{high}".encode()).digest()[0] % 2
    return "first" if (low, high)[drawn] == first else "second"


def _perfect(first: str, second: str) -> str:
    one, other = quality(first), quality(second)
    return "tie" if one == other else "first" if one > other else "second"


JUDGES: dict[str, Callable[[str, str], str]] = {
    "always-A": _always_first,
    "long-winded": _longer,
    "blind": _blind,
    "perfect": _perfect,
}
"""Name -> which of two answers, first and second, it prefers."""


def stub_judge(name: str, unseeing: str = "") -> ChatClient:
    """A client whose endpoint answers every verdict prompt as the judge of that name.

    With `unseeing`, it answers as the judge of that name if the image is blank.
    """

    def respond(body: dict, place: int) -> object:
        image, text = body["messages"][-1]["content"]
        lines = text["text"].splitlines()
        shown = dict(line.split(": ", 1) for line in lines if ": " in line)
        own = unseeing if unseeing and _is_blank(image["image_url"]["url"]) else name
        winner = JUDGES[own](shown["Answer 1"], shown["Answer 2"])
        return said(json.dumps({"rationale": name, "winner": winner}))

    return ChatClient(name, local=True, transport=in_process(respond))


def _is_blank(url: str) -> bool:
    pixels = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return np.asarray(pixels, dtype=float).std() < 2  # what JPEG adds is less
