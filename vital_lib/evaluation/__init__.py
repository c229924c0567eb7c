"""Evaluation: a benchmark's questions, a model's answers, and metrics computed from both.

``benchmarks`` reads questions. ``answering`` generates answers, with the images of ``controls`` and
also by an ``endpoint``. ``yes_no`` and ``reading`` compare one answer with its reference;
``llava_med`` does so by that project's rules. ``metrics`` and ``chat`` aggregate over questions.
``verdicts`` compares judges and people, and ``families`` measures whether a judge prefers text of
its own family. The package calls no judge: chat scores and verdicts come as rows.
"""

from vital_lib.evaluation.answering import (
    answer_questions,
    each_draw,
    load_and_answer,
    model_calls,
    show_done,
)
from vital_lib.evaluation.benchmarks import (
    BadQuestion,
    NoImages,
    OtherFigures,
    read_questions,
    reading_notes,
    with_images,
)
from vital_lib.evaluation.chat import (
    chat_gain_metrics,
    chat_table,
    relative_chat_gain,
    relative_scores,
)
from vital_lib.evaluation.controls import CONTROLS, mirrored, side_questions
from vital_lib.evaluation.endpoint import EndpointModel
from vital_lib.evaluation.families import (
    FAMILIES,
    family_of,
    judge_warnings,
    same_family,
    self_preference,
    self_preference_in_words,
)
from vital_lib.evaluation.kept import kept_answers
from vital_lib.evaluation.known import known_questions, not_compared
from vital_lib.evaluation.llava_med import llava_med_closed, llava_med_recall
from vital_lib.evaluation.metrics import (
    METRICS,
    accuracy_metrics,
    closed_accuracy,
    difference_metrics,
    open_recall,
    pair_values,
    reliance_metrics,
    side_accuracy,
    unread_answers,
    win_rate_metrics,
    win_values,
)
from vital_lib.evaluation.reading import closed_point, closed_value, token_recall
from vital_lib.evaluation.verdicts import (
    PEOPLE,
    agreement_metrics,
    blanked_metrics,
    corrected_metrics,
    corrected_win_rates,
    judges_that_do_not_compare,
    rater_agreement,
    rater_values,
    win_table,
)
from vital_lib.evaluation.yes_no import read_yes_no
