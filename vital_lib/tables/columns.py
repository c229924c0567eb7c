"""Declares the columns of every table, each with a description.

``data/README.md`` is generated from these declarations. This module opens no files.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

FORMAT_VERSION = 2
"""Version of the run folder's layout; raised when the columns of a table change."""

_TEXT, _TEXTS, _FLAG = pa.string(), pa.list_(pa.string()), pa.bool_()
_WHOLE, _NUMBER = pa.int64(), pa.float64()
_TURNS = pa.list_(pa.struct([("instruction", _TEXT), ("response", _TEXT)]))
_CRITERIA = pa.list_(pa.struct([("criterion", _TEXT), ("rating", _NUMBER)]))


@dataclass(frozen=True)
class Table:
    """The declaration of a table: what a row is, the notebook that writes it, and its columns."""

    row: str
    written_by: str
    schema: pa.Schema

    @property
    def columns(self) -> list[str]:
        return list(self.schema.names)

    @property
    def later(self) -> list[str]:
        """The columns that tables of an earlier release lack; they are null there."""
        return [field.name for field in self.schema if b"later" in field.metadata]


def _column(
    name: str, kind: pa.DataType, meaning: str, *, empty: bool = False, later: bool = False
) -> pa.Field:
    """A column; a `later` one is null in tables that an earlier release wrote without it."""
    about = {"meaning": meaning} | ({"later": "yes"} if later else {})
    return pa.field(name, kind, nullable=empty or later, metadata=about)


def _table(row: str, written_by: str, *columns: pa.Field) -> Table:
    return Table(row, written_by, pa.schema(columns))


_CANDIDATE = (
    _column("candidate_id", _TEXT, "`<instruction_id>-a` or `-b`"),
    _column("instruction_id", _TEXT, "`<conversation_id>-r<round>`"),
    _column(
        "conversation_id",
        _TEXT,
        "`<figure_id>-<stage>-<arm>`, followed by `-<version>` under another policy",
    ),
    _column("figure_id", _TEXT, "the figure"),
    _column("group_id", _TEXT, "the figure's article or patient"),
    _column("split", _TEXT, "the figure's split: train, validation or test"),
    _column("stage", _TEXT, "draft (for labelling) or final (for selection)"),
    _column("arm", _TEXT, "origin of the demonstrations in the prompt: none, random, clinician"),
    _column("round", _WHOLE, "position in the conversation, from 1"),
    _column("instruction", _TEXT, "the question"),
    _column("response", _TEXT, "the answer"),
    _column("question_type", _TEXT, "type of the question, stated by the generator", empty=True),
    _column("demonstration_ids", _TEXTS, "the demonstrations in the prompt, in order"),
    _column("generator", _TEXT, "the generator model's name"),
    _column("prompt_version", _TEXT, "content hash of the prompt template"),
    _column("seed", _WHOLE, "seed sent with the request"),
    _column("reply_id", _TEXT, "the reply in the ledger"),
    _column("flags", _TEXTS, "automatic warnings; empty if there are none"),
)

_RECEIPT = (
    _column(
        "image_sha256",
        _TEXT,
        "hash of the image as sent: pixels (local model) or file (endpoint); null without one",
        later=True,
    ),
    _column("image_width", _WHOLE, "width of the image as sent, in pixels", later=True),
    _column("image_height", _WHOLE, "height of the image as sent, in pixels", later=True),
    _column("image_tokens", _WHOLE, "image tokens in the prompt; null if not counted", later=True),
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
        _column("group_id", _TEXT, "article or patient; all its figures are in one split"),
        _column("split", _TEXT, "train, validation or test, by a hash of group_id"),
        _column("sha256", _TEXT, "hash of the image file's bytes"),
        _column("phash", _TEXT, "perceptual hash, 16 hexadecimal digits"),
        _column("phash_inner", _TEXT, "phash of the part inside a uniform border", later=True),
        _column("source", _TEXT, "the source that the record states, else the figure set"),
        _column("source_url", _TEXT, "address of the source, as it states it", later=True),
        _column("licence", _TEXT, "licence as the source states it", empty=True),
        _column("credit", _TEXT, "credit line as the source states it", empty=True),
        _column("cleared", _FLAG, "may leave the workbench; null if not checked", empty=True),
        _column("cleared_reason", _TEXT, "reason for the value of cleared", empty=True),
        _column("cleared_by", _TEXT, "the person, or the rule in brackets", later=True),
        _column("cleared_at", _TEXT, "when a person decided (UTC); null for a rule", later=True),
    ),
    "figures_rejected": _table(
        "a record that could not be read as a figure",
        "01_explore_figures",
        _column("source", _TEXT, "the figure set"),
        _column("place", _TEXT, "file and line"),
        _column("field", _TEXT, "the invalid field"),
        _column("reason", _TEXT, "the error, with the value received"),
    ),
    "figures_sampled": _table(
        "a figure chosen for drafting and labelling",
        "01_explore_figures",
        _column("figure_id", _TEXT, "the figure"),
        _column("cluster", _WHOLE, "K-means cluster of its image and text, from 0; -1 if random"),
        _column("split", _TEXT, "the figure's split"),
        _column("chosen_by", _TEXT, "cluster (diverse) or random (for unbiased agreement)"),
    ),
    "drafts": _table(
        "a draft response for labelling; columns as in candidates",
        "02_draft_candidates",
        *_CANDIDATE,
    ),
    "preferences": _table(
        "an annotator's newest label of an item in the label log",
        "03_label_preferences",
        _column("item_id", _TEXT, "the instruction of the two labelled responses"),
        _column("annotator", _TEXT, "the annotator; simulated ones end in (simulated)"),
        _column("left_id", _TEXT, "candidate shown on the left"),
        _column("right_id", _TEXT, "candidate shown on the right"),
        _column("left_accepted", _FLAG, "tick (yes) or cross (no); null if skipped", empty=True),
        _column("right_accepted", _FLAG, "tick (yes) or cross (no); null if skipped", empty=True),
        _column("choice", _TEXT, "left, right, both, neither or skip"),
        _column(
            "drawn_by", _TEXT, "how the item reached the annotator, such as random or a strategy"
        ),
    ),
    "demonstrations": _table(
        "a conversation shown to the generator as an example",
        "03_label_preferences",
        _column("demonstration_id", _TEXT, "unique and readable"),
        _column("figure_id", _TEXT, "the figure; null if it is not in table figures", empty=True),
        _column("caption", _TEXT, "the figure's caption"),
        _column("mentions", _TEXTS, "the figure's mentions"),
        _column("modalities", _TEXTS, "the figure's modalities"),
        _column("turns", _TURNS, "the rounds, in order"),
        _column("annotators", _TEXTS, "the annotators who accepted a response in it"),
        _column("origin", _TEXT, "this run, random (the control pool) or the imported file's name"),
        _column("cleared", _FLAG, "may leave the workbench; null if not checked", later=True),
        _column("cleared_reason", _TEXT, "reason for the value of cleared", later=True),
    ),
    "candidates": _table("a response to an instruction", "04_generate_instructions", *_CANDIDATE),
    "ratings": _table(
        "a judge's rating of a candidate",
        "05_judge_candidates",
        _column("candidate_id", _TEXT, "the rated candidate (draft or final)"),
        _column("judge", _TEXT, "the judge model's name"),
        _column("repeat", _WHOLE, "0 for the first rating of this candidate, then 1, 2, ..."),
        _column("overall", _NUMBER, "0 to 10; null if the reply has no rating", empty=True),
        _column("criteria", _CRITERIA, "rating by each criterion of the policy"),
        _column("rationale", _TEXT, "the judge's rationale, or why it was not read", empty=True),
        _column("prompt_version", _TEXT, "content hash of the policy"),
        _column("reply_id", _TEXT, "the reply in the ledger"),
    ),
    "pairs": _table(
        "two candidates, of which annotators or the judge prefer one",
        "06_train_selector",
        _column("left_id", _TEXT, "a candidate"),
        _column("right_id", _TEXT, "another candidate"),
        _column("preferred", _NUMBER, "1 if left is better, 0 if right is, 0.5 for a tie"),
        _column("weight", _NUMBER, "weight in the pairwise loss, before w_human"),
        _column("source", _TEXT, "human or judge"),
        _column("annotator", _TEXT, "an annotator, majority, or the judge's name"),
        _column("split", _TEXT, "split of both candidates' figures"),
    ),
    "scores": _table(
        "a selector's score of a candidate",
        "06_train_selector",
        _column("candidate_id", _TEXT, "the candidate (draft or final)"),
        _column("selector", _TEXT, "the selector"),
        _column("score", _NUMBER, "higher is better; only the order has meaning"),
        _column(
            "uncertainty",
            _NUMBER,
            "standard deviation of the score; null without labels",
            empty=True,
        ),
    ),
    "selected": _table(
        "a conversation selected for tuning",
        "07_select_instructions",
        _column("conversation_id", _TEXT, "the conversation"),
        _column("figure_id", _TEXT, "the figure"),
        _column("turns", _TURNS, "the kept rounds, in order"),
        _column("score", _NUMBER, "mean score of the kept rounds"),
        _column("rank", _WHOLE, "1 is the best conversation"),
    ),
    "contaminated": _table(
        "a figure or a text that is also in a benchmark",
        "07_select_instructions",
        _column("figure_id", _TEXT, "the figure"),
        _column(
            "conversation_id", _TEXT, "the conversation of a text; null for an image", empty=True
        ),
        _column("benchmark", _TEXT, "the benchmark's name"),
        _column("question_id", _TEXT, "the question; for an image, its first"),
        _column("item", _TEXT, "file name of the benchmark's image, or its question and answer"),
        _column("reason", _TEXT, "the same image file, the same picture, the same text, ..."),
        _column("likeness", _NUMBER, "0 to 1: of the pictures, or the share of common words"),
        _column("dropped", _FLAG, "whether it was left out of the selected set"),
    ),
    "questions": _table(
        "a benchmark question",
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
        _column("sha256", _TEXT, "hash of the image file's bytes", later=True),
        _column("cleared", _FLAG, "may leave the workbench; null if not checked", later=True),
        _column("cleared_reason", _TEXT, "reason for the value of cleared", later=True),
    ),
    "answers": _table(
        "a model's answer to a benchmark question",
        "09_evaluate_model",
        _column("question_id", _TEXT, "the question"),
        _column("model", _TEXT, "the model: base, random, selected, unaligned, ..."),
        _column(
            "control",
            _TEXT,
            "image control: none, blank, shuffled, mirrored, no_image",
        ),
        _column("draw", _WHOLE, "number of the sampled answer, from 0; 0 for greedy decoding"),
        _column("answer", _TEXT, "the answer"),
        *_RECEIPT,
    ),
    "chat_scores": _table(
        "a judge's scores of a reference answer and a model's answer",
        "09_evaluate_model",
        _column("question_id", _TEXT, "the question"),
        _column("model", _TEXT, "the model"),
        _column("draw", _WHOLE, "draw of the answer"),
        _column("judge", _TEXT, "the judge model's name"),
        _column("reference_score", _NUMBER, "1 to 10; null if the reply was not read", empty=True),
        _column("model_score", _NUMBER, "1 to 10; null if the reply was not read", empty=True),
        _column("reply_id", _TEXT, "the reply in the ledger"),
    ),
    "verdicts": _table(
        "a comparison of two models' answers to one question",
        "09_evaluate_model",
        _column("question_id", _TEXT, "the question"),
        _column("model_a", _TEXT, "one model"),
        _column("model_b", _TEXT, "the other model"),
        _column("draw", _WHOLE, "draw of the answers"),
        _column("judge", _TEXT, "the judge model's name, or a person"),
        _column("order", _TEXT, "order of the answers in the prompt: ab, ba; both for a person"),
        _column("winner", _TEXT, "a, b or tie; null if the reply was not read", empty=True),
        _column("rationale", _TEXT, "the judge's rationale", empty=True),
        _column("reply_id", _TEXT, "the reply in the ledger", empty=True),
    ),
    "clinic_truth": _table(
        "the ground truth of a phantom, read only by simulated annotators and in a study",
        "01_explore_figures",
        _column("figure_id", _TEXT, "figure or benchmark image"),
        _column("modality", _TEXT, "the modality drawn"),
        _column("finding", _TEXT, "kind of finding, or none"),
        _column("side", _TEXT, "left or right; null without a finding", empty=True),
        _column("level", _TEXT, "upper, middle or lower; null without a finding", empty=True),
        _column("size", _TEXT, "small or large; null without a finding", empty=True),
        _column("count", _WHOLE, "number of findings, 0 without one"),
    ),
}


def declared(name: str) -> Table:
    """Return the declaration of table `name`.

    Raises:
        KeyError: there is no such table; the message lists all tables.
    """
    if name not in TABLES:
        raise KeyError(f"no table {name!r}: give one of {', '.join(TABLES)}")
    return TABLES[name]


def document() -> str:
    """Return the text of `data/README.md`: every table with its columns, types and descriptions."""
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
        "- `models/`: the trained models; `features/`: encoded images and texts;",
        "- `exports/`: training files for other tools;",
        "- `clinic/`: the clinic's figures; `executed/` and `report.html`: what the demo shows.",
        "",
        f"The format version of the folder is {FORMAT_VERSION}.",
        "",
        "`data/sample/` is an example of a figure set: `figures.jsonl`, one record per line in",
        "LLaVA-Med's caption schema, and `images/` (ten phantoms, CC0).",
    ]
    for name, table in TABLES.items():
        lines += ["", f"## {name}", "", f"A row is {table.row}. Written by `{table.written_by}`."]
        lines += ["", "| column | type | description |", "|---|---|---|"]
        for field in table.schema:
            kind = type_name(field.type) + (" or null" if field.nullable else "")
            lines.append(f"| {field.name} | {kind} | {field.metadata[b'meaning'].decode()} |")
    return "\n".join(lines) + "\n"


def type_name(kind: pa.DataType) -> str:
    """Return the type as text: text, number, list of text, ..."""
    if pa.types.is_list(kind):
        return f"list of {type_name(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(kind.field(i).name for i in range(kind.num_fields)) + "}"
    return {"string": "text", "int64": "whole number", "double": "number", "bool": "yes/no"}[
        str(kind)
    ]
