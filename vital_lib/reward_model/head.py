"""The scalar head on a vision-language model, and the rewards that it gives to responses.

The reward of a response is a linear function of the last hidden state of the conversation that
ends with it. The head is named `HEAD`, as in transformers' sequence classification models and in
ms-swift, so that their folders and ours are the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from peft import PeftModel
from safetensors import safe_open

from vital_lib.models import (
    ADAPTER_WEIGHTS,
    LANGUAGE_WEIGHTS,
    VisionLanguageModel,
    WrongAdapter,
    load_model,
    weights_fingerprint,
)
from vital_lib.models.adapters import with_tuned
from vital_lib.tables import check_table, refuse_missing
from vital_lib.tuning import FigureTensors, LeftOut, NothingToTune, collate, token_limit
from vital_lib.tuning.examples import usable_examples
from vital_lib.tuning.sequences import listed_files

LOG = logging.getLogger(__name__)

HEAD = "score"
"""Name of the head in the model, its weights and its adapter."""


RESPONSE = ("candidate_id", "figure_id", "instruction", "response")
"""Columns of a table of responses."""


class RewardModel:
    """A reward model for scoring, from `load_reward_model`; `vlm` is its base with the head."""

    def __init__(self, vlm: VisionLanguageModel) -> None:
        self.vlm = vlm

    def __repr__(self) -> str:
        return f"RewardModel({self.vlm.name!r})"

    def scores(
        self, responses: pd.DataFrame, figures: pd.DataFrame, *, batch_size: int = 16
    ) -> pd.Series:
        """Return the reward of each response: candidate_id -> score, in the order given.

        Higher is better; only the order has meaning. A response that cannot be read, or whose image
        cannot, has a null score, and the log says how many there are.

        Args:
            responses: candidate_id, figure_id, instruction, response.
            figures: figure_id, image.

        Raises:
            ValueError: a table without its columns, or a figure of the responses that is not given.
            NothingToTune: no response can be read.
        """
        check_table(responses, "responses", *RESPONSE)
        check_table(figures, "figures", "figure_id", "image")
        tensors = figure_tensors(self.vlm, responses, figures)
        examples, _ = response_examples(self.vlm, responses, tensors, token_limit(self.vlm))
        order = sorted(examples, key=lambda name: len(examples[name]["input_ids"]))
        pad = self.vlm.processor.tokenizer.pad_token_id
        found: dict[str, float] = {}
        for start in range(0, len(order), batch_size):
            names = order[start : start + batch_size]
            rows = [examples[name] for name in names]
            batch = collate(rows, [tensors[row["figure_id"]] for row in rows], pad)
            with torch.inference_mode():
                found |= zip(names, rewards(self.vlm.model, batch).tolist(), strict=True)
        ids = responses["candidate_id"].astype(str)
        scores = [found.get(name, float("nan")) for name in ids]
        return pd.Series(scores, index=list(responses["candidate_id"]), name="score", dtype=float)


def load_reward_model(
    base_model: str | Path, folder: str | Path, *, quantize: str | None = None
) -> RewardModel:
    """Open the reward model that `tune_reward_model` wrote to `folder`.

    Args:
        base_model, quantize: as in `vital_lib.models.load_model`.

    Raises:
        WrongAdapter: `folder` has no weights of a reward model for `base_model`; and what
            `load_model` raises.
    """
    vlm = load_model(base_model, quantize=quantize)
    vlm.model = with_tuned(with_head(vlm.model), Path(folder), base_model).eval()
    _check_head(Path(folder))
    return RewardModel(vlm)


def _check_head(folder: Path) -> None:
    """Raise for the weights of a tuned model without a head: all its rewards would be 0."""
    files = [folder / name for name in (ADAPTER_WEIGHTS, LANGUAGE_WEIGHTS)]
    for file in filter(Path.is_file, files):
        with safe_open(file, "pt") as weights:
            names = [name.split(".") for name in weights.keys()]  # noqa: SIM118
        if not any(HEAD in name for name in names):
            raise WrongAdapter(
                f"{folder} has no head {HEAD!r}, so it is a tuned model and no reward model: give "
                "the folder that tune_reward_model wrote"
            )


def with_head(model: torch.nn.Module) -> torch.nn.Module:
    """Add the head to `model`, with weights of 0: at first, every response has the reward 0.

    The fingerprint of the weights stays that of the model without the head.
    """
    model.whole_fingerprint = weights_fingerprint(model)
    width = model.config.get_text_config().hidden_size
    head = torch.nn.Linear(width, 1, bias=False, device=model.device, dtype=model.dtype)
    torch.nn.init.zeros_(head.weight)
    model.add_module(HEAD, head)
    return model


def rewards(model: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return the reward (B,) of each conversation of a right-padded batch of `collate`."""
    whole = model.get_base_model() if isinstance(model, PeftModel) else model
    given = {name: value.to(whole.device) for name, value in batch.items() if name != "labels"}
    hidden = whole.model(**given, use_cache=False).last_hidden_state  # (B, L, width)
    last = given["attention_mask"].sum(dim=1) - 1
    ends = hidden[torch.arange(len(last), device=last.device), last]  # (B, width)
    return getattr(whole, HEAD)(ends)[:, 0].float()


def figure_tensors(
    vlm: VisionLanguageModel, responses: pd.DataFrame, figures: pd.DataFrame
) -> FigureTensors:
    """Return the images of the responses' figures; raises ValueError for a figure not given."""
    known = dict(zip(figures["figure_id"], figures["image"], strict=True))
    used = sorted(set(responses["figure_id"]))
    problem = "figures of the responses are not given"
    refuse_missing(used, known, problem, "give a row of figures for each")
    return FigureTensors(vlm, {name: listed_files(known[name]) for name in used})


def response_examples(
    vlm: VisionLanguageModel, responses: pd.DataFrame, figures: FigureTensors, limit: int
) -> tuple[dict[str, dict[str, Any]], Sequence[LeftOut]]:
    """Encode each response, after its instruction and image, as one conversation.

    Returns:
        candidate_id -> example (figure_id and lists per token), and the responses that cannot be
        used, with the reason of each.

    Raises:
        NothingToTune: no response can be used.
    """
    if responses.empty:
        raise NothingToTune("no responses: give the candidates of the pairs")
    texts = zip(responses["instruction"], responses["response"], strict=True)
    rows = pd.DataFrame(
        {
            "conversation_id": responses["candidate_id"].astype(str).tolist(),
            "figure_id": responses["figure_id"].tolist(),
            "turns": [[{"instruction": asked, "response": said}] for asked, said in texts],
        }
    )
    found = usable_examples(vlm, rows, figures, limit, called="responses")
    out = {one.conversation_id for one in found.left_out}
    names = [name for name in rows["conversation_id"] if name not in out]
    return dict(zip(names, found.rows, strict=True)), found.left_out
