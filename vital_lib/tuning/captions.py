"""Caption stage: conversations that ask for a figure's caption, to tune the projector alone.

LLaVA and LLaVA-Med tune in two stages. The first teaches the projector to pass what an image shows
to a language model that stays as it is; the second teaches instructions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.seeds import hash64
from vital_lib.tuning.merging import save_merged
from vital_lib.tuning.sequences import NothingToTune
from vital_lib.tuning.training import tune

SHORT_WORDS = 30
"""A caption with at most this many words is asked for in brief, as in LLaVA-Med's first stage."""

BRIEF_REQUESTS = (
    "Describe this image in brief.",
    "What does this image show, in short?",
    "Give a short caption for this figure.",
    "Say in one or two sentences what can be seen here.",
    "Summarize the content of this image.",
    "Write a short description of this figure.",
    "Tell me briefly what this picture is.",
    "State the main content of the image.",
)
DETAILED_REQUESTS = (
    "Describe this image in detail.",
    "What does this image show? Give all details.",
    "Write a full caption for this figure.",
    "Explain at length what can be seen here.",
    "Describe the content of this image thoroughly.",
    "Write a detailed description of this figure.",
    "Tell me everything that this picture shows.",
    "Go through the image and describe what you see.",
)


def caption_conversations(figures: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return one conversation for each training figure with a caption: a request and the caption.

    The request is drawn from `BRIEF_REQUESTS` or, for a caption of more than `SHORT_WORDS` words,
    from `DETAILED_REQUESTS`, by the seed and the figure's id.

    Args:
        figures: figure_id, caption, split (as table ``figures``). Only split "train" is used.

    Returns:
        conversation_id ("<figure_id>-caption"), figure_id, turns (list of instruction and
        response). ``.attrs["without_caption"]``: number of training figures left out.

    Raises:
        NothingToTune: no training figure has a caption.
    """
    train = figures[figures["split"] == "train"]
    captions = train["caption"].map(lambda text: _one_line(text) if isinstance(text, str) else "")
    rows = [
        (f"{name}-caption", name, [{"instruction": _request(name, text, seed), "response": text}])
        for name, text in zip(train["figure_id"], captions, strict=True)
        if text
    ]
    if not rows:
        raise NothingToTune(f"none of {len(train)} training figures has a caption")
    conversations = pd.DataFrame(rows, columns=["conversation_id", "figure_id", "turns"])
    conversations.attrs["without_caption"] = len(train) - len(rows)
    return conversations


def tune_captions(
    base_model: str | Path, figures: pd.DataFrame, folder: str | Path, **settings: Any
) -> Path:
    """Tune the projector on captions, and return the base model for the second stage.

    Args:
        base_model, settings: as in `tune`; one epoch by default, as in LLaVA-Med.
        figures: figure_id, image, caption, split (as table ``figures``).
        folder: gets the projector in ``projector`` and the whole model in ``base``, the folder that
            is returned.

    Raises:
        NothingToTune: no training figure has a caption, or the model no projector.
        FileExistsError: ``base`` exists already; then use it.
    """
    folder = Path(folder)
    captions = caption_conversations(figures, settings.get("seed", 0))
    chosen: dict[str, Any] = {"epochs": 1, **settings, "train": "projector"}
    tune(base_model, captions, figures[["figure_id", "image"]], folder / "projector", **chosen)
    return save_merged(base_model, folder / "projector", folder / "base")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _request(figure_id: str, caption: str, seed: int) -> str:
    short = len(caption.split()) <= SHORT_WORDS
    requests = BRIEF_REQUESTS if short else DETAILED_REQUESTS
    return requests[hash64(f"{seed} caption {figure_id}") % len(requests)]
