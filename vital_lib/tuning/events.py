"""What a tuning run reports while it runs: steps, losses, sampled answers, left-out conversations.

The module does not depend on models; a panel reads its events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Sample(NamedTuple):
    """A question of a held-out conversation, its response there, and the model's answer now."""

    question: str
    reference: str
    answer: str


class LeftOut(NamedTuple):
    """A conversation that is not trained on, or not whole; the reason gives the numbers."""

    conversation_id: str
    reason: str


@dataclass(frozen=True)
class TuningEvent:
    """The state of a tuning run at its start and after each step.

    The first event comes before the first step: `step` is 0, or the step from which a stopped run
    goes on, and `left_out` lists the conversations that are not used as given.

    Attributes:
        step, total: steps made, and steps planned.
        loss: mean loss of the step's response tokens, in nats; None before the first step.
        held_out_loss: the same on the held-out conversations; None where it was not computed.
        samples: a few answers of the model at this step; empty where none were sampled.
        left_out: as above; empty in later events.
    """

    step: int
    total: int
    loss: float | None
    held_out_loss: float | None = None
    samples: tuple[Sample, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


OnStep = Callable[[TuningEvent], bool | None]
"""Called with each event; returning False stops training."""
