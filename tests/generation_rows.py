"""Figures, demonstrations and replies for the tests of generation, and a model that gives them."""

from __future__ import annotations

import json

import pandas as pd
from loopback import in_process, said

from vital_lib.client import ChatClient
from vital_lib.generation import generate_candidates
from vital_lib.modalities import MODALITIES
from vital_lib.tables import empty_frame


def figures(count=3):
    """Figures f0, f1 ... in order: two an article, alternately of train and test."""
    rows = [
        {
            "figure_id": f"f{number}",
            "image": f"images/f{number}.png",
            "caption": f"Caption {number}.",
            "mentions": [f"Mention {number}."],
            "modalities": ["mri"],
            "group_id": f"article {number // 2}",
            "split": "test" if number % 2 else "train",
        }
        for number in range(count)
    ]
    return pd.DataFrame(rows)


def demonstration(name, *modalities, figure_id=None):
    """A demonstration of one turn by this name; its id is the name."""
    turns = [{"instruction": f"What is {name}?", "response": f"This is {name}.\nSecond line."}]
    return {
        "demonstration_id": name,
        "figure_id": figure_id,
        "caption": f"Caption of {name}.",
        "mentions": [],
        "modalities": list(modalities),
        "turns": turns,
        "annotators": ["strict"],
        "origin": "this run",
    }


def pool(*rows):
    """A table of demonstrations, which may be empty."""
    return pd.DataFrame(rows) if rows else empty_frame("demonstrations")


IMAGE_OF = {f"f{number}": f"images/f{number}.png" for number in range(12)}
"""Where the images of a run's twelve figures are."""

ONE_EACH = pool(*(demonstration(f"d-{name}", name, figure_id="f9") for name in MODALITIES))
"""A demonstration of each modality."""


def drafts(questions=4):
    """A reply that drafts this many questions with two responses each."""
    question = {"question_type": "size", "response_a": "Small.", "response_b": "Large.\nVery."}
    return {"questions": [question | {"instruction": f"How big {n}?"} for n in range(questions)]}


def conversation(rounds=5):
    """A reply of this many rounds."""
    return {
        "rounds": [
            {"instruction": f"Q{n}?", "response": f"A{n}.\nMore.", "question_type": None}
            for n in range(rounds)
        ]
    }


def replying(content):
    """A transport that always says `content`, and the bodies it was sent."""
    bodies = []

    def answer(body, place):
        bodies.append(body)
        return said(content if isinstance(content, str) else json.dumps(content))

    return in_process(answer), bodies


def model(content):
    """A client whose model always says `content`, and the bodies it was sent."""
    transport, bodies = replying(content)
    return ChatClient("generator", local=True, transport=transport), bodies


def generate(run, frame, demonstrations, content=None, *, arm="clinician", **options):
    """The candidates and the unread replies of one arm, and the bodies that were sent."""
    client, bodies = model(content or conversation())
    made, unread = generate_candidates(
        frame, demonstrations, client, arm=arm, image_of=IMAGE_OF, **options
    )
    return made, unread, bodies


def own_text(body):
    """The text that is sent beside the figure itself."""
    return body["messages"][-1]["content"][1]["text"]
