"""Loss on held-out conversations and a few sampled answers, while a model is being tuned.

They are computed at the start, at steps set by the numbers of tokens, and at the end. Reading a
clock would give other steps on every machine. Neither changes the training.
"""

from __future__ import annotations

import torch

from vital_lib.models import VisionLanguageModel
from vital_lib.tuning.data import TuningData
from vital_lib.tuning.events import Sample
from vital_lib.tuning.loop import Training
from vital_lib.tuning.sequences import IGNORED

SAMPLES = 3
"""Number of sampled answers."""

_SHARE = 0.05  # of the training's computation
_MOST = 10  # times between start and end
_LONGEST_ANSWER = 48  # in tokens


class HeldOut:
    """Held-out conversations, and the steps at which a model is measured on them.

    The samples answer the first question of each of the first conversations.
    """

    def __init__(self, vlm: VisionLanguageModel, data: TuningData) -> None:
        self._vlm, self._data, self._total = vlm, data, data.steps
        size = data.config.micro_batch_size or data.config.batch_size
        rows = sorted(data.held_out.rows, key=lambda row: len(row["input_ids"]))
        self._parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        # A training step costs about three times as much per token: forward, backward twice.
        affordable = 3 * _SHARE * data.tokens / sum(data.held_out.lengths)
        self._every = -(-data.steps // (1 + min(_MOST, int(affordable))))
        unusual = [one.conversation_id for one in data.held_out.left_out]
        whole = ~data.chosen.held_out["conversation_id"].astype(str).isin(unusual)
        used = data.chosen.held_out[whole].iloc[:SAMPLES]
        self._asked = [(turns[0]["instruction"], turns[0]["response"]) for turns in used["turns"]]
        self._images = [data.tensors.open(figure_id) for figure_id in used["figure_id"]]

    def is_due(self, step: int) -> bool:
        """Return whether the model is measured after `step` steps."""
        return step % self._every == 0 or step == self._total

    def measure(self, training: Training) -> tuple[float, tuple[Sample, ...]]:
        """Return the mean loss of the held-out response tokens, and a few answers."""
        training.model.eval()
        try:
            loss, tokens = 0.0, 0
            with torch.no_grad():
                for part in self._parts:
                    batch = self._data.batch_of(part)
                    loss += float(training.summed_loss(batch))
                    tokens += int((batch["labels"][:, 1:] != IGNORED).sum())
            with training.precision():
                questions = [question for question, _ in self._asked]
                answers = self._vlm.answer(self._images, questions, _LONGEST_ANSWER)
        finally:
            training.model.train()
        samples = zip(self._asked, answers, strict=True)
        return loss / tokens, tuple(Sample(*asked, answer) for asked, answer in samples)
