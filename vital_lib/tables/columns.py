"""The columns of every table, declared once, each with a line of meaning.

``data/README.md`` is generated from these declarations. This module opens no files.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

FORMAT_VERSION = 1
"""Version of the run folder's layout; raised whenever a table changes its columns."""

_TEXT, _TEXTS, _FLAG = pa.string(), pa.list_(pa.string()), pa.bool_()
_WHOLE, _NUMBER = pa.int64(), pa.float64()
_TURNS = pa.list_(pa.struct([("instruction", _TEXT), ("response", _TEXT)]))
_CRITERIA = pa.list_(pa.struct([("criterion", _TEXT), ("rating", _NUMBER)]))


@dataclass(frozen=True)
class Table:
    """One table's declaration: what a row is, which notebook writes it, and its columns."""

    row: str
    written_by: str
    schema: pa.Schema

    @property
    def columns(self) -> list[str]:
        return list(self.schema.names)


def _column(name: str, kind: pa.DataType, meaning: str, *, empty: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=empty, metadata={"meaning": meaning})


def _table(row: str, written_by: str, *columns: pa.Field) -> Table:
    return Table(row, written_by, pa.schema(columns))


_CANDIDATE = (
    _column("candidate_id", _TEXT, "`<instruction_id>-a` or `-b`"),
    _column("instruction_id", _TEXT, "`<conversation_id>-r<round>`"),
    _column(
        "conversation_id",
        _TEXT,
        "`<figure_id>-<stage>-<arm>`; `-<version>` after it under another policy",
    ),
    _column("figure_id", _TEXT, "the figure it speaks about"),
    _column("stage", _TEXT, "draft (to be labelled) or final (to be selected from)"),
    _column("arm", _TEXT, "whose demonstrations the generator was shown: none, random, clinician"),
    _column("round", _WHOLE, "place in the conversation, from 1"),
    _column("instruction", _TEXT, "the question"),
    _column("response", _TEXT, "the answer"),
    _column("question_type", _TEXT, "what the generator says the question is about", empty=True),
    _column("demonstration_ids", _TEXTS, "the demonstrations shown, in order"),
    _column("generator", _TEXT, "the model's name"),
    _column("prompt_version", _TEXT, "content hash of the prompt template"),
    _column("seed", _WHOLE, "seed sent with the request"),
    _column("reply_id", _TEXT, "the reply in the ledger that it was read from"),
    _column("flags", _TEXTS, "machine-made warnings; empty where none"),
)

TABLES: dict[str, Table] = {
    "figures": _table(
        "a figure",
        "01_explore_figures",
        _column("figure_id", _TEXT, "unique and readable"),
        _column("image", _TEXT, "path of the image, relative to the run folder or absolute"),
        _column("caption", _TEXT, "the figure's caption"),
        _column("mentions", _TEXTS, "sentences of the article that mention the figure"),
        _column("modalities", _TEXTS, "any number of chest_xray, ct_scan, mri, histology, gross"),
        _column("group_id", _TEXT, "article or patient; never on both sides of a split"),
        _column("split", _TEXT, "train, validation or test: a hash of group_id"),
        _column("sha256", _TEXT, "hash of the image file's bytes"),
        _column("phash", _TEXT, "perceptual hash, 16 hexadecimal digits"),
        _column("source", _TEXT, "the figure set it came from"),
        _column("licence", _TEXT, "licence as the source states it", empty=True),
        _column("credit", _TEXT, "whom to credit", empty=True),
        _column("cleared", _FLAG, "free to be shown and sent", empty=True),
        _column("cleared_reason", _TEXT, "why, or why not", empty=True),
    ),
    "figures_rejected": _table(
        "a record that could not be read as a figure",
        "01_explore_figures",
        _column("source", _TEXT, "the figure set it came from"),
        _column("place", _TEXT, "file and line"),
        _column("field", _TEXT, "which field was wrong"),
        _column("reason", _TEXT, "what was wrong, with the value received"),
    ),
    "figures_sampled": _table(
        "a figure chosen to be drafted and labelled",
        "01_explore_figures",
        _column("figure_id", _TEXT, "the figure"),
        _column("cluster", _WHOLE, "K-means cluster over image and text features, from 0"),
        _column("split", _TEXT, "the figure's split"),
        _column("chosen_by", _TEXT, "cluster (diverse) or random (for unbiased agreement)"),
    ),
    "drafts": _table(
        "a response drafted to be labelled; columns as in candidates",
        "02_draft_candidates",
        *_CANDIDATE,
    ),
    "preferences": _table(
        "the label log's current truth: one item as one annotator judged it",
        "03_label_preferences",
        _column("item_id", _TEXT, "the instruction whose two responses were judged"),
        _column("annotator", _TEXT, "who judged; the clinic's programs sign as (simulated)"),
        _column("left_id", _TEXT, "candidate shown on the left"),
        _column("right_id", _TEXT, "candidate shown on the right"),
        _column("left_accepted", _FLAG, "tick or cross; null when skipped", empty=True),
        _column("right_accepted", _FLAG, "tick or cross; null when skipped", empty=True),
        _column("choice", _TEXT, "left, right, both, neither or skip"),
        _column("queue_arm", _TEXT, "how the item came to the annotator (random or a strategy)"),
    ),
    "demonstrations": _table(
        "an accepted conversation, shown to the generator as an example",
        "03_label_preferences",
        _column("demonstration_id", _TEXT, "unique and readable"),
        _column("figure_id", _TEXT, "its figure; null where the image is not at hand", empty=True),
        _column("caption", _TEXT, "the figure's caption"),
        _column("mentions", _TEXTS, "the figure's mentions"),
        _column("modalities", _TEXTS, "the figure's modalities"),
        _column("turns", _TURNS, "accepted rounds, in order"),
        _column("annotators", _TEXTS, "who accepted"),
        _column("origin", _TEXT, "this run, random (the control pool), or the file imported from"),
    ),
    "candidates": _table("a response to an instruction", "04_generate_instructions", *_CANDIDATE),
    "ratings": _table(
        "one judge's view of one candidate",
        "05_judge_candidates",
        _column("candidate_id", _TEXT, "the candidate rated (draft or final)"),
        _column("judge", _TEXT, "the judge model's name"),
        _column("repeat", _WHOLE, "0 for the first rating of this candidate, then 1, 2, ..."),
        _column("overall", _NUMBER, "0 to 10; null where the reply had no rating", empty=True),
        _column("criteria", _CRITERIA, "rating by criterion of the policy"),
        _column("rationale", _TEXT, "the judge's words; unread: why, and the reply", empty=True),
        _column("prompt_version", _TEXT, "content hash of the policy"),
        _column("reply_id", _TEXT, "the reply in the ledger"),
    ),
    "pairs": _table(
        "what the selector learns from",
        "06_train_selector",
        _column("left_id", _TEXT, "a candidate"),
        _column("right_id", _TEXT, "another candidate"),
        _column("preferred", _NUMBER, "1 left is better, 0 right, 0.5 a tie"),
        _column("weight", _NUMBER, "weight in the loss before w_human"),
        _column("source", _TEXT, "human or judge"),
        _column("annotator", _TEXT, "a person, majority, or the judge's name"),
        _column("split", _TEXT, "split of both candidates' figures"),
    ),
    "scores": _table(
        "the selector's scalar for one candidate",
        "06_train_selector",
        _column("candidate_id", _TEXT, "the candidate (draft or final)"),
        _column("selector", _TEXT, "which selector"),
        _column("score", _NUMBER, "higher is better; only the order has meaning"),
        _column(
            "uncertainty",
            _NUMBER,
            "its standard deviation; null where none is labelled",
            empty=True,
        ),
    ),
    "selected": _table(
        "a conversation to tune on",
        "07_select_instructions",
        _column("conversation_id", _TEXT, "the conversation"),
        _column("figure_id", _TEXT, "its figure"),
        _column("turns", _TURNS, "the rounds that were kept, in order"),
        _column("score", _NUMBER, "mean score of the kept rounds"),
        _column("rank", _WHOLE, "1 is the best conversation"),
    ),
    "questions": _table(
        "a benchmark's question",
        "09_evaluate_model",
        _column("question_id", _TEXT, "unique within the run"),
        _column("benchmark", _TEXT, "the benchmark's name"),
        _column("image", _TEXT, "path of the image, relative to the run folder or absolute"),
        _column("group_id", _TEXT, "article or patient"),
        _column("modality", _TEXT, "as the benchmark states it", empty=True),
        _column("kind", _TEXT, "open, closed or chat (open visual chat)"),
        _column("question_type", _TEXT, "as the benchmark states it", empty=True),
        _column("question", _TEXT, "the question"),
        _column("reference", _TEXT, "the reference answer"),
    ),
    "answers": _table(
        "a model's answer to a benchmark question",
        "09_evaluate_model",
        _column("question_id", _TEXT, "the question"),
        _column("model", _TEXT, "which model: base, random, selected, unaligned, ..."),
        _column("control", _TEXT, "none, or blank or shuffled image"),
        _column("draw", _WHOLE, "which of several sampled answers, from 0; 0 for a greedy one"),
        _column("answer", _TEXT, "the answer"),
    ),
    "chat_scores": _table(
        "a judge's scores of a reference answer and a model's answer",
        "09_evaluate_model",
        _column("question_id", _TEXT, "the question"),
        _column("model", _TEXT, "which model"),
        _column("draw", _WHOLE, "which of the model's answers"),
        _column("judge", _TEXT, "the judge model's name"),
        _column("reference_score", _NUMBER, "1 to 10; null where unread", empty=True),
        _column("model_score", _NUMBER, "1 to 10; null where unread", empty=True),
        _column("reply_id", _TEXT, "the reply in the ledger"),
    ),
    "verdicts": _table(
        "a comparison of two models' answers to one question",
        "09_evaluate_model",
        _column("question_id", _TEXT, "the question"),
        _column("model_a", _TEXT, "one model"),
        _column("model_b", _TEXT, "the other"),
        _column("draw", _WHOLE, "which of the models' answers"),
        _column("judge", _TEXT, "a model's name, or a person"),
        _column("order", _TEXT, "ab or ba: which stood first; both for a person, who sees both"),
        _column("winner", _TEXT, "a, b, tie; null where unread", empty=True),
        _column("rationale", _TEXT, "the judge's words", empty=True),
        _column("reply_id", _TEXT, "the reply in the ledger", empty=True),
    ),
    "clinic_truth": _table(
        "what a phantom really shows; only simulated people and the closing study open it",
        "01_explore_figures",
        _column("figure_id", _TEXT, "figure or benchmark image"),
        _column("modality", _TEXT, "what it was drawn as"),
        _column("finding", _TEXT, "kind of finding, or none"),
        _column("side", _TEXT, "left or right; null without a finding", empty=True),
        _column("level", _TEXT, "upper, middle or lower; null without a finding", empty=True),
        _column("size", _TEXT, "small or large; null without a finding", empty=True),
        _column("count", _WHOLE, "number of findings, 0 without one"),
    ),
}


def declared(name: str) -> Table:
    """The declaration of table `name`.

    Raises:
        KeyError: there is no such table; the message lists those there are.
    """
    if name not in TABLES:
        raise KeyError(f"no table is called {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]


def document() -> str:
    """The text of `data/README.md`: every table with its columns, types and meanings."""
    lines = [
        "# Tables of a run",
        "",
        "`python -m vital_lib.tables` makes this file from `vital_lib/tables/`. Do not edit it.",
        "",
        "A run is one folder, `data/runs/<run>/`. It contains:",
        "",
        "- one Parquet file per table;",
        "- `metrics.json`: the name and the value of each metric;",
        "- `metrics_origin.json`: which notebook measured each metric, and on what;",
        "- `labels.sqlite`: the label log;",
        "- `ledger.sqlite`: the requests to models and their replies;",
        "- `models/`: the trained models;",
        "- `clinic/`: the clinic's figures.",
        "",
        f"The format version of the folder is {FORMAT_VERSION}.",
        "",
        "`data/sample/` is an example of a figure set: `figures.jsonl`, one record per line in",
        "LLaVA-Med's caption schema, and `images/` (ten phantoms, CC0).",
    ]
    for name, table in TABLES.items():
        lines += ["", f"## {name}", "", f"A row is {table.row}. Written by `{table.written_by}`."]
        lines += ["", "| column | type | meaning |", "|---|---|---|"]
        for field in table.schema:
            kind = type_name(field.type) + (" or null" if field.nullable else "")
            lines.append(f"| {field.name} | {kind} | {field.metadata[b'meaning'].decode()} |")
    return "\n".join(lines) + "\n"


def type_name(kind: pa.DataType) -> str:
    """The type in plain words: text, number, list of text, ..."""
    if pa.types.is_list(kind):
        return f"list of {type_name(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(kind.field(i).name for i in range(kind.num_fields)) + "}"
    return {"string": "text", "int64": "whole number", "double": "number", "bool": "yes/no"}[
        str(kind)
    ]
