"""Simulated clinicians: three programs that accept or reject responses.

They are not people, and their votes are not clinical opinions. Each knows the ground truth of a
phantom (or, for a real figure, the facts in its caption and mentions). Each notices most factual
errors and some style faults, and occasionally ticks the wrong box, with the probabilities in
``rates``. Independent of models, ratings and scores.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from vital_lib.annotators import Votes, is_simulated, signed
from vital_lib.clinic.lexicon import (
    ATTRIBUTES,
    CONTRADICTIONS,
    STYLE_FAULTS,
    Truth,
    asked,
    contradictions,
    known_facts,
    read_answer,
    style_faults,
)
from vital_lib.clinic.rates import DEFAULT_RATES, Rates
from vital_lib.labels import Queue
from vital_lib.tables import Workspace, frame_of

if TYPE_CHECKING:
    from vital_lib.labels import LabelLog

CLINICIANS = ("strict", "moderate", "lenient")
"""Names of the clinicians in the rates; their votes carry the names in `SIGNED`."""
SIGNED = {name: signed(name) for name in CLINICIANS}
JUDGE = signed("clinicians")
NOTE = "simulated"
NOTE_WITHOUT_TRUTH = "simulated; judged without truth, from caption and mentions alone"
REPEATS = 0.05
"""Share of items that each clinician judges again as hidden repeats: the queue's default."""

_EVENTS = uuid.UUID("5d1f3a52-8f0e-4a57-9a35-5f6f0f3e0b11")  # namespace of the simulated labels


class _Figure(NamedTuple):
    """What the clinicians know about one figure."""

    facts: Mapping[str, str | int]
    sources: tuple[str, ...]
    has_truth: bool


class Clinicians:
    """Three simulated clinicians, who notice and reject errors at different rates.

    Args:
        figures: columns figure_id, caption and mentions; optionally modalities.
        truth: table `clinic_truth`, or None. A figure without a row is judged by its caption,
            mentions and modality flags.
        rates: probabilities of noticing, rejecting and ticking the wrong box.
        seed: together with annotator, figure and texts it determines every judgement, in every
            process. A hidden repeat is drawn independently.
    """

    def __init__(
        self,
        figures: pd.DataFrame,
        truth: pd.DataFrame | None,
        rates: Rates = DEFAULT_RATES,
        seed: int = 0,
    ) -> None:
        self._rates, self._seed = rates, seed
        self._known_errors: dict[tuple[str, str, str], tuple[str, ...]] = {}
        self._truth = {} if truth is None else _facts_by_figure(truth)
        flags = figures["modalities"] if "modalities" in figures else [()] * len(figures)
        columns = (figures["figure_id"], figures["caption"], figures["mentions"], flags)
        self._figures = {
            figure_id: self._know(figure_id, (caption, *mentions), tuple(modalities))
            for figure_id, caption, mentions, modalities in zip(*columns, strict=True)
        }

    def __repr__(self) -> str:
        known = sum(figure.has_truth for figure in self._figures.values())
        return f"Clinicians(simulated, {len(self._figures)} figures, {known} with truth)"

    def tick(
        self, annotator: str, figure_id: str, instruction: str, response: str, *occasion: str
    ) -> tuple[bool, tuple[str, ...]]:
        """Return (whether `annotator` accepts the response, the errors noticed).

        Args:
            occasion: extra seed words, for an independent judgement of the same text.

        Raises:
            ValueError: the clinician or the figure is unknown.
        """
        noticed, rng = self._notice(annotator, figure_id, instruction, response, *occasion)
        if rng.random() < self._rates.clinician_slip:
            return bool(noticed), ()  # a wrong tick has no reasons
        return not noticed, noticed

    @classmethod
    def of_run(
        cls, workspace: Workspace, *, rates: Rates = DEFAULT_RATES, seed: int = 0
    ) -> Clinicians:
        """Return the clinicians for a run's figures, with the ground truth of its phantoms."""
        truth = workspace.read("clinic_truth") if workspace.has("clinic_truth") else None
        return cls(workspace.read("figures"), truth, rates, seed)

    def label(self, log: LabelLog, drafts: pd.DataFrame, *, flagged: bool = False) -> int:
        """Record every clinician's labels of all drafted items in `log`; return their number.

        Each clinician has a separate queue (`labels.Queue`), so that the left and right sides
        differ between clinicians. Each judges a share `REPEATS` of the items twice, independently.
        Labelling the same drafts again stores no duplicates. The annotator and the note of each
        event mark it as simulated; the note also marks figures judged without ground truth.

        Args:
            drafts: columns instruction_id, candidate_id, figure_id, instruction, response and
                optionally flags; two responses per instruction.
            flagged: as for `labels.Queue`.

        Raises:
            ValueError: the log holds simulated votes on these items for other texts, other
                rates or another seed.
        """
        columns = ["candidate_id", "figure_id", "instruction", "response"]
        candidates = {row.candidate_id: row for row in drafts[columns].itertuples(index=False)}
        events = []
        for annotator in CLINICIANS:
            queue = Queue(log, drafts, SIGNED[annotator], seed=self._seed, flagged=flagged)
            items = queue.items().to_dict("records")
            first = [self._event(annotator, item, candidates) for item in items]
            events += first + [
                self._again(annotator, event, candidates)
                for event in first
                if self._due(annotator, event)
            ]
        _check_no_others(log, events)
        log.record_many(events)
        return len(events)

    def ticks(self, candidates: pd.DataFrame) -> pd.DataFrame:
        """Return each clinician's tick of each candidate.

        Args:
            candidates: columns candidate_id, figure_id, instruction, response.

        Returns:
            Columns candidate_id, figure_id, annotator, accepted.
        """
        rows = [
            (candidate_id, figure_id, SIGNED[annotator], self.tick(annotator, figure_id, *texts)[0])
            for candidate_id, figure_id, *texts in _rows(candidates)
            for annotator in CLINICIANS
        ]
        return pd.DataFrame(rows, columns=["candidate_id", "figure_id", "annotator", "accepted"])

    def error_kinds(self, candidates: pd.DataFrame) -> pd.DataFrame:
        """Return the true errors of each candidate: candidate_id, kinds (a list, often empty).

        Only for the final study, which measures whether a run removed them. No annotator could know
        them with certainty, so no step that selects data may use them.

        Args:
            candidates: columns candidate_id, figure_id, instruction, response.
        """
        rows = [
            (candidate_id, list(self._errors(figure_id, instruction, response)))
            for candidate_id, figure_id, instruction, response in _rows(candidates)
        ]
        return pd.DataFrame(rows, columns=["candidate_id", "kinds"])

    def without_truth(self, figure_ids: Iterable[str]) -> str:
        """Return "n of N figures judged without truth"."""
        ids = set(figure_ids)
        unknown = sum(not self._figure(name).has_truth for name in ids)
        return f"{unknown:,} of {len(ids):,} figures judged without truth"

    def compare(
        self, questions: pd.DataFrame, answers: pd.DataFrame, model_a: str, model_b: str
    ) -> pd.DataFrame:
        """Compare two models' answers by majority vote of the three clinicians.

        A clinician prefers the answer with fewer noticed factual errors, then fewer noticed style
        faults, then more correct facts among those asked for. Equal answers are a tie, and so is a
        vote without a majority.

        Args:
            questions: columns question_id, image, question; the stem of the image's file name is
                a figure_id of the ground truth.
            answers: columns of table `answers`; only rows with control "none" are compared.

        Returns:
            Columns of table `verdicts`: one row per question, with order "both".

        Raises:
            ValueError: an answer is missing or duplicated, or an image has no ground truth.
        """
        texts = {model: _answers_of(answers, model) for model in (model_a, model_b)}
        rows = []
        for question_id, image, question in questions[
            ["question_id", "image", "question"]
        ].itertuples(index=False):
            figure_id = self._benchmark_figure(image)
            pair = [_answer(texts, model, question_id) for model in (model_a, model_b)]
            winner, rationale = self._verdict(figure_id, question, pair)
            rows.append((question_id, model_a, model_b, 0, JUDGE, "both", winner, rationale, None))
        return frame_of("verdicts", rows)

    def _know(
        self, figure_id: str, sources: tuple[str, ...], modalities: tuple[str, ...] = ()
    ) -> _Figure:
        if figure_id in self._truth:
            return _Figure(self._truth[figure_id], sources, True)
        return _Figure(known_facts(sources, modalities), sources, False)

    def _figure(self, figure_id: str) -> _Figure:
        if figure_id in self._figures:
            return self._figures[figure_id]
        if figure_id in self._truth:  # a benchmark figure: no caption to quote
            return self._know(figure_id, ())
        raise ValueError(f"figure {figure_id!r} is not one of the {len(self._figures)} known")

    def _errors(self, figure_id: str, instruction: str, response: str) -> tuple[str, ...]:
        key = (figure_id, instruction, response)
        if key not in self._known_errors:  # three clinicians read the same text
            figure = self._figure(figure_id)
            facts = contradictions(read_answer(instruction, response), figure.facts)
            faults = style_faults(instruction, response, figure.sources)
            self._known_errors[key] = facts + faults
        return self._known_errors[key]

    def _notice(
        self, annotator: str, figure_id: str, instruction: str, response: str, *occasion: str
    ) -> tuple[tuple[str, ...], Random]:
        """Return the errors that this clinician notices and rejects, and the random generator."""
        if annotator not in CLINICIANS:
            raise ValueError(f"clinician {annotator!r}: wanted one of {', '.join(CLINICIANS)}")
        rng = _random(self._seed, annotator, figure_id, instruction, response, *occasion)
        sees, minds = self._rates.clinician_sees_fact, self._rates.clinician_minds
        noticed = tuple(
            kind
            for kind in self._errors(figure_id, instruction, response)
            if rng.random() < (minds[annotator][kind] if kind in STYLE_FAULTS else sees[annotator])
        )
        return noticed, rng

    def _due(self, annotator: str, event: Mapping[str, Any]) -> bool:
        """Return whether the clinician judges this item again, as a hidden repeat."""
        return _random(self._seed, annotator, event["item_id"]).random() < REPEATS

    def _again(
        self, annotator: str, event: Mapping[str, Any], candidates: Mapping[str, Any]
    ) -> dict[str, Any]:
        sides = [event["left_id"], event["right_id"]]
        _random(self._seed, event["event_id"]).shuffle(sides)
        item = {"item_id": event["item_id"], "left_id": sides[0], "right_id": sides[1]}
        item |= {"drawn_by": event["drawn_by"], "repeat_of": event["event_id"]}
        return self._event(annotator, item, candidates, "again")

    def _event(
        self,
        annotator: str,
        item: Mapping[str, Any],
        candidates: Mapping[str, Any],
        *occasion: str,
    ) -> dict[str, Any]:
        ticks = {}
        for side in ("left", "right"):
            row = candidates[item[f"{side}_id"]]
            texts = (row.figure_id, row.instruction, row.response)
            ticks[side] = self.tick(annotator, *texts, *occasion)
            truth = self._figure(row.figure_id).has_truth
        event = {
            **item,
            "annotator": SIGNED[annotator],
            "left_accepted": ticks["left"][0],
            "right_accepted": ticks["right"][0],
            "reasons": [kind for kind in (*CONTRADICTIONS, *STYLE_FAULTS)
                        if kind in ticks["left"][1] + ticks["right"][1]],
            "note": NOTE if truth else NOTE_WITHOUT_TRUTH,
        }  # fmt: skip
        return {**event, "event_id": str(uuid.uuid5(_EVENTS, repr((self._seed, event))))}

    def _benchmark_figure(self, image: str) -> str:
        figure_id = Path(image).stem
        if figure_id not in self._truth:
            raise ValueError(
                f"image {image!r} has no row in clinic_truth: simulated clinicians compare answers "
                "about the clinic's own benchmark only"
            )
        return figure_id

    def _verdict(self, figure_id: str, question: str, pair: list[str]) -> tuple[str, str]:
        votes = [self._vote(annotator, figure_id, question, pair) for annotator in CLINICIANS]
        winner, number = Counter(votes).most_common(1)[0]
        text = ", ".join(f"{name}: {vote}" for name, vote in zip(CLINICIANS, votes, strict=True))
        return (winner if number > 1 else "tie"), text

    def _vote(self, annotator: str, figure_id: str, question: str, pair: list[str]) -> str:
        """Return "a", "b" or "tie", independent of the order of the pair."""
        costs = [self._cost(annotator, figure_id, question, answer) for answer in pair]
        if costs[0] == costs[1]:
            return "tie"
        first = costs[0] < costs[1]
        slip = _random(self._seed, annotator, figure_id, question, *sorted(pair)).random()
        if slip < self._rates.clinician_slip:
            first = not first
        return "a" if first else "b"

    def _cost(self, annotator: str, figure_id: str, question: str, answer: str) -> tuple[int, ...]:
        noticed, _ = self._notice(annotator, figure_id, question, answer)
        wrong = sum(kind in CONTRADICTIONS for kind in noticed)
        wanted, facts = asked(question), self._figure(figure_id).facts
        stated = {
            claim.attribute
            for claim in read_answer(question, answer)
            if claim.attribute in wanted
            and claim.holds
            and facts.get(claim.attribute) == claim.value
        }
        return wrong, len(noticed) - wrong, -len(stated)


def tally(workspace: Workspace, rows: pd.DataFrame, drafts: pd.DataFrame | None = None) -> Votes:
    """Count the votes in `rows`, the simulated ones, and those of them judged without truth.

    Args:
        rows: columns annotator and figure_id, or annotator and item_id.
        drafts: columns instruction_id and figure_id; required if `rows` lacks figure_id.
    """
    simulated = rows["annotator"].map(is_simulated).astype(bool)
    if "figure_id" in rows or drafts is None:
        figure_ids = rows["figure_id"]
    else:
        figure_ids = rows["item_id"].map(
            dict(zip(drafts["instruction_id"], drafts["figure_id"], strict=True))
        )
    known = workspace.read("clinic_truth")["figure_id"] if workspace.has("clinic_truth") else []
    without = simulated & ~figure_ids.isin(set(known))
    return Votes(len(rows), int(simulated.sum()), int(without.sum()))


def _check_no_others(log: LabelLog, events: list[dict[str, Any]]) -> None:
    """Raise ValueError if `log` holds other simulated votes on the items of `events`."""
    known, items = ({event[name] for event in events} for name in ("event_id", "item_id"))
    for annotator in (*SIGNED.values(), *CLINICIANS):  # older logs hold the unmarked names
        votes = log.standing(annotator)
        others = votes[votes["item_id"].isin(items) & ~votes["event_id"].isin(known)]
        if len(others):
            raise ValueError(
                f"{annotator!r} has already judged {others['item_id'].iloc[0]!r} and "
                f"{others['item_id'].nunique() - 1} more of these items with other texts, other "
                "rates or another seed: start a new run folder, or give another label log"
            )


def _facts_by_figure(truth: pd.DataFrame) -> dict[str, dict[str, str | int]]:
    columns = ["figure_id", *ATTRIBUTES]  # ATTRIBUTES has the order of Truth's fields
    facts = {}
    for figure_id, *values in truth[columns].itertuples(index=False):
        known: list[Any] = [None if pd.isna(value) else value for value in values]
        facts[figure_id] = Truth(*known).facts()
    return facts


def _rows(candidates: pd.DataFrame) -> Iterable[tuple[str, str, str, str]]:
    columns = ["candidate_id", "figure_id", "instruction", "response"]
    return candidates[columns].itertuples(index=False, name=None)


def _answers_of(answers: pd.DataFrame, model: str) -> dict[str, str]:
    rows = answers[(answers["model"] == model) & (answers["control"] == "none")]
    doubled = rows["question_id"][rows["question_id"].duplicated()]
    if len(doubled):
        raise ValueError(f"model {model!r} has several answers to question {doubled.iloc[0]!r}")
    return dict(zip(rows["question_id"], rows["answer"], strict=True))


def _answer(texts: Mapping[str, Mapping[str, str]], model: str, question_id: str) -> str:
    if question_id not in texts[model]:
        raise ValueError(f"model {model!r} has no answer (control none) to {question_id!r}")
    return texts[model][question_id]


def _random(*parts: Any) -> Random:
    """Return a random generator seeded by `parts` alone, the same in every process."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return Random(int.from_bytes(digest[:8], "big"))
