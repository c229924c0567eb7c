"""Evaluation: a benchmark's questions, a model's answers, and pure metrics over both.

``benchmarks`` reads questions, ``answering`` asks a model, ``reading`` compares one answer with its
reference, ``metrics`` adds up. The package calls no judge: chat scores and verdicts come as rows.
"""

from vital_lib.evaluation.answering import (
    CONTROLS,
    answer_questions,
    each_draw,
    load_and_answer,
)
from vital_lib.evaluation.benchmarks import (
    BadQuestion,
    NoImages,
    image_overlap,
    read_questions,
    reading_notes,
    with_images,
)
from vital_lib.evaluation.metrics import (
    accuracy_metrics,
    chat_gain_metrics,
    closed_accuracy,
    difference_metrics,
    open_recall,
    pair_values,
    relative_chat_gain,
    relative_scores,
    win_rate_metrics,
    win_values,
)
from vital_lib.evaluation.reading import closed_value, read_yes_no, token_recall

__all__ = [
    "CONTROLS",
    "BadQuestion",
    "NoImages",
    "accuracy_metrics",
    "answer_questions",
    "chat_gain_metrics",
    "closed_accuracy",
    "closed_value",
    "difference_metrics",
    "each_draw",
    "image_overlap",
    "load_and_answer",
    "open_recall",
    "pair_values",
    "read_questions",
    "read_yes_no",
    "reading_notes",
    "relative_chat_gain",
    "relative_scores",
    "token_recall",
    "win_rate_metrics",
    "win_values",
    "with_images",
]
