"""The model card of a tuned model: README.md in its folder, as model hubs show it.

The card is built from the files of the folder and, for a model of a run, from the run's tables.
Texts of tables are data: they are shown as text, never as markup.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import ModelCardData

from vital_lib.annotators import Votes, is_simulated
from vital_lib.tables import Workspace, metrics_in_words, write_text

CARD = "README.md"
_SIMULATED = "clinic"  # the name of the embedded stand-in for figures, models and people
_RESULTS = "## Results"
_USE = (
    "For research and teaching. **Not for clinical use**: it has not been tested on patients, it "
    "can be wrong with confidence, and nobody may base a diagnosis or a treatment on it."
)
_MARKS = re.compile(r"([\\`*_{}\[\]|#~])")
_SETTINGS = (
    *("train", "train_projector", "train_vision", "quantize", "epochs", "learning_rate"),
    *("batch_size", "mix_share", "lora_rank", "lora_alpha", "interpolation", "token_limit", "seed"),
)
_MEASURED = (
    *("conversations", "conversations_dropped", "rounds", "rounds_dropped", "mix_conversations"),
    *("steps", "steps_planned", "loss_first", "loss_last"),
    *("held_out_loss_first", "held_out_loss_last", "seconds"),
)


def write_card(
    folder: str | Path,
    workspace: Workspace | None = None,
    conversations: pd.DataFrame | None = None,
) -> Path:
    """Write the model card of the tuned model in `folder`; return its path.

    `tune` writes one without a run. With a run, the card also lists the figures' sources, licences
    and credits, the generator, its prompts and whose demonstrations it was shown, the annotators
    and their agreement, and the model's metrics as far as the run has them; `write_results` states
    them anew.

    Args:
        workspace: the run that `conversations` are from.
        conversations: conversation_id, figure_id, as given to `tune`.

    Raises:
        FileNotFoundError: no tuned model in `folder`.
        MissingTable: the run lacks its figures.
    """
    folder = Path(folder)
    if not (folder / "metrics.json").is_file():
        raise FileNotFoundError(f"no tuned model in {folder}: run notebooks/08_tune_model.ipynb")
    config, metrics = (
        json.loads((folder / name).read_text()) for name in ("config.json", "metrics.json")
    )
    parts = [_head(folder, config), *_opening(folder, config), *_training(config, metrics)]
    if workspace is not None and conversations is not None:
        parts += [*_data(workspace, conversations), *_results(workspace, folder.name)]
    text = "\n".join(parts) + "\n"
    write_text(folder / CARD, text)
    return folder / CARD


def write_results(workspace: Workspace, model: str) -> Path:
    """Replace the results on a model's card by the metrics that the run has now; return its path.

    The rest of the card stays as it is. A card that was deleted is written again, without the data.

    Args:
        model: the name of a tuned model of the run, as in `Workspace.model`.

    Raises:
        FileNotFoundError: the run has no such model.
    """
    card = workspace.model(model) / CARD
    if not card.is_file():
        write_card(card.parent)
    before = card.read_text(encoding="utf-8").partition(f"\n{_RESULTS}\n")[0].rstrip("\n")
    text = "\n".join([before, "", *_results(workspace, model)]) + "\n"
    write_text(card, text)
    return card


def _head(folder: Path, config: Mapping[str, Any]) -> str:
    """The metadata that model hubs read."""
    lora = config["train"] == "lora"
    data = ModelCardData(
        base_model=_base(config["base_model"]),
        library_name="peft" if lora else "transformers",
        pipeline_tag="image-text-to-text",
        tags=["medical", "biomed-vital", "not-for-clinical-use", *(["lora"] if lora else [])],
        model_name=folder.name,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _base(base_model: str) -> str:
    """The base model's name, without the folders of this machine."""
    return Path(base_model).name if Path(base_model).is_absolute() else base_model


def _opening(folder: Path, config: Mapping[str, Any]) -> list[str]:
    base, simulated = _base(config["base_model"]), config["base_model"] == _SIMULATED
    lines = [f"# {_text(folder.name)}: a tuned vision-language model", "", _USE, ""]
    if simulated:
        lines += ["Its base model is **simulated**: the clinic's tiny stand-in for a real one.", ""]
    if config["stopped"]:
        lines += ["**Its training was stopped before the last step.**", ""]
    base_line = f"- Base model: {_text(base)}, weights {config['base_fingerprint'][:12]}"
    what = {
        "lora": "LoRA matrices on the language model",
        "language": "the whole language model",
        "projector": "the projector alone",
    }[config["train"]]
    whole = ", ".join(_text(name) for name in config["trained_whole"]) or "none"
    lines += [base_line, f"- Trained: {what}; modules trained in full: {whole}", ""]
    lines += ["```python", "from vital_lib.models import load_model", ""]
    lines += [f'model = load_model({base!r}, adapter="{folder.name}")', "```", ""]
    if config["train"] == "lora":
        lines += ["`peft.PeftModel.from_pretrained(base, folder)` opens it too.", ""]
    return lines


def _training(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    prints = {
        "conversations": config["conversations_fingerprint"],
        "mixed-in conversations": config["mix_fingerprint"] or "none",
    }
    rows = [(name, config.get(name)) for name in _SETTINGS]
    measured = [(name, _number(metrics[name])) for name in _MEASURED if name in metrics]
    return [
        *("## Training", "", *_table(["setting", "value"], rows), ""),
        *(*_table(["measured", "value"], measured), ""),
        *(*_table(["data", "SHA-256"], prints.items()), ""),
        *(*_table(["software", "version"], config["versions"].items()), ""),
    ]


def _data(workspace: Workspace, conversations: pd.DataFrame) -> list[str]:
    """Where the conversations come from: figures, generator, annotators."""
    figures = workspace.read("figures").set_index("figure_id")
    used = figures.loc[
        [name for name in sorted(set(conversations["figure_id"])) if name in figures.index]
    ]
    named = used[["source", "licence", "credit"]].fillna("").astype(str)
    named["source"] = named["source"].map(_source)
    counted = named.value_counts().reset_index().values.tolist()
    rows = [(count, *(text or "not stated" for text in texts)) for *texts, count in counted]
    found = f"{len(used):,} of {conversations['figure_id'].nunique():,} figures are in the run"
    lines = ["## Data", "", f"Figures ({found}):", ""]
    lines += [*_table(["figures", "source", "licence", "credit"], rows), ""]
    if workspace.has("candidates"):
        lines += _written(workspace.read("candidates"), conversations)
    return [*lines, *_annotated(workspace)]


def _written(candidates: pd.DataFrame, conversations: pd.DataFrame) -> list[str]:
    kept = candidates[candidates["conversation_id"].isin(conversations["conversation_id"])]
    columns = ["generator", "prompt_version", "arm"]
    rows = kept.groupby(columns, dropna=False)["conversation_id"].nunique().reset_index()
    values = [(count, _source(who), *rest) for who, *rest, count in rows.values.tolist()]
    header = ["conversations", "generator", "prompt version", "demonstrations shown"]
    return ["Texts:", "", *_table(header, values), ""]


def _annotated(workspace: Workspace) -> list[str]:
    """Who judged the responses of the demonstrations, and how far they agree."""
    if not workspace.has("preferences"):
        return []
    names = workspace.read("preferences")["annotator"].dropna()
    counts = names.value_counts().items()
    votes = Votes.recorded(workspace.metrics, "preferences")
    said = f" Votes: {votes}." if votes else ""
    simulated = sum(is_simulated(name) for name in names.unique())
    who = f"{names.nunique()} annotators, {simulated} of them simulated.{said}"
    lines = [who, "", *_table(["annotator", "items"], counts), ""]
    return [*lines, *_metrics(workspace, ["preferences.alpha"])]


def _results(workspace: Workspace, name: str) -> list[str]:
    wanted = re.compile(rf"evaluation\.(?:open_recall|closed_accuracy|chat_score)_{name}")
    found = [metric for metric in workspace.metrics if wanted.fullmatch(metric)]
    lines = _metrics(workspace, found) or ["Not evaluated when this card was written.", ""]
    return [_RESULTS, "", *lines]


def _metrics(workspace: Workspace, wanted: Sequence[str]) -> list[str]:
    """The metrics in words; one measured on an input that has changed since is left out."""
    words = metrics_in_words(workspace.metrics, workspace.metric_origins())
    rows = words[words["metric"].isin(wanted) & (words["stale"] == "")]
    if rows.empty:
        return []
    columns = ["topic", "what", "value", "interval", "votes", "measured_on"]
    header = ["topic", "measured", "value", "95 % interval", "votes", "measured on"]
    return [*_table(header, rows[columns].values.tolist()), ""]


def _source(name: str) -> str:
    return f"{name} (simulated)" if name == _SIMULATED else name


def _table(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(_text(cell) for cell in row) + " |" for row in rows]


def _text(value: Any) -> str:
    """Return `value` as text that Markdown shows literally, in one line."""
    return _MARKS.sub(r"\\\1", html.escape(" ".join(str(value).split()), quote=False))


def _number(value: float) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
