"""The model card of a tuned model: README.md in its folder, as model hubs show it.

The card is built from the files of the folder and, for a model of a run, from the run's tables.
Texts of tables are data: they are shown as text, never as markup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import ModelCardData

from vital_lib import cards
from vital_lib.cards import CARD, as_text, table
from vital_lib.figures import is_cleared
from vital_lib.tables import Workspace, write_text

_RESULTS = "## Results"
_AGAIN = "tune the model again in notebook 08, with resume = False"
_USE = (
    "For research and teaching. **Not for clinical use**: it has not been tested on patients, it "
    "can be wrong with confidence, and nobody may base a diagnosis or a treatment on it."
)
_HELD = (
    "**{:,} of {:,} figures are not cleared to leave the workbench**, and not listed. The model "
    "may repeat their texts: share it only with those who may see these figures."
)
_SETTINGS = (
    *("train", "train_projector", "train_vision", "quantize", "epochs", "learning_rate"),
    *("batch_size", "mix_share", "lora_rank", "lora_alpha", "interpolation", "token_limit", "seed"),
)
_MEASURED = (
    *("conversations", "conversations_dropped", "rounds", "rounds_dropped", "mix_conversations"),
    *("pairs", "pairs_dropped"),
    *("steps", "steps_planned", "loss_first", "loss_last"),
    *("held_out_loss_first", "held_out_loss_last", "seconds"),
)


def write_card(
    folder: str | Path,
    workspace: Workspace | None = None,
    conversations: pd.DataFrame | None = None,
) -> Path:
    """Write the model card of the tuned model in `folder`; return its path.

    `tune` writes one without a run. With a run, the card also lists the cleared figures' sources,
    licences and credits, the number of the others, the generator, its prompts and whose
    demonstrations it was shown, the annotators and their agreement, and the model's metrics as far
    as the run has them; `write_results` states them anew.

    Args:
        workspace: the run that `conversations` are from.
        conversations: conversation_id, figure_id, as given to `tune`.

    Raises:
        FileNotFoundError, ValueError: as `read_written`.
        MissingTable: the run lacks its figures.
    """
    folder = Path(folder)
    config, metrics = read_written(folder, "config.json"), read_written(folder, "metrics.json")
    parts = [_head(folder, config), *_opening(folder, config), *_training(config, metrics)]
    if workspace is not None and conversations is not None:
        parts += [*_data(workspace, conversations), *_results(workspace, folder.name)]
    text = "\n".join(parts) + "\n"
    write_text(folder / CARD, text)
    return folder / CARD


def read_written(folder: Path, name: str) -> dict[str, Any]:
    """Return the JSON object in a file that `tune` wrote.

    Raises:
        FileNotFoundError: no tuned model in `folder`; the message names the notebook.
        ValueError: the file is damaged.
    """
    if not (folder / "metrics.json").is_file():
        raise FileNotFoundError(f"no tuned model in {folder}: run notebooks/08_tune_model.ipynb")
    try:
        found = json.loads((folder / name).read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{folder / name} is damaged ({error}): {_AGAIN}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{folder / name} holds a {type(found).__name__}, no object: {_AGAIN}")
    return found


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
        pipeline_tag=None if "pairs_fingerprint" in config else "image-text-to-text",
        tags=["medical", "biomed-vital", "not-for-clinical-use", *(["lora"] if lora else [])],
        model_name=folder.name,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _base(base_model: str) -> str:
    """The base model's name, without the folders of this machine."""
    return Path(base_model).name if Path(base_model).is_absolute() else base_model


def _opening(folder: Path, config: Mapping[str, Any]) -> list[str]:
    base, simulated = _base(config["base_model"]), config["base_model"] == cards.SIMULATED
    rewards = "pairs_fingerprint" in config
    kind = "a reward model" if rewards else "a tuned vision-language model"
    lines = [f"# {as_text(folder.name)}: {kind}", "", _USE, ""]
    if simulated:
        lines += ["Its base model is **simulated**: the clinic's tiny stand-in for a real one.", ""]
    if config["stopped"]:
        lines += ["**Its training was stopped before the last step.**", ""]
    base_line = f"- Base model: {as_text(base)}, weights {config['base_fingerprint'][:12]}"
    what = {
        "lora": "LoRA matrices on the language model",
        "language": "the whole language model",
        "projector": "the projector alone",
    }[config["train"]]
    whole = ", ".join(as_text(name) for name in config["trained_whole"]) or "none"
    lines += [base_line, f"- Trained: {what}; modules trained in full: {whole}", ""]
    lines += ["```python", *_loading(base, folder.name, rewards=rewards), "```", ""]
    if config["train"] == "lora":
        lines += ["`peft.PeftModel.from_pretrained(base, folder)` opens it too.", ""]
    return lines


def _loading(base: str, name: str, *, rewards: bool) -> list[str]:
    """The lines of Python that open the model."""
    if rewards:
        call = f"model = load_reward_model({base!r}, {name!r})"
        return ["from vital_lib.reward_model import load_reward_model", "", call]
    call = f'model = load_model({base!r}, adapter="{name}")'
    return ["from vital_lib.models import load_model", "", call]


def _training(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    prints = {
        "conversations": config.get("conversations_fingerprint"),
        "mixed-in conversations": config.get("mix_fingerprint") or "none",
    }
    if "pairs_fingerprint" in config:
        prints = {"preference pairs": config["pairs_fingerprint"]}
    rows = [(name, config.get(name)) for name in _SETTINGS]
    measured = [(name, _number(metrics[name])) for name in _MEASURED if name in metrics]
    return [
        *("## Training", "", *table(["setting", "value"], rows), ""),
        *(*table(["measured", "value"], measured), ""),
        *(*table(["data", "SHA-256"], prints.items()), ""),
        *(*table(["software", "version"], config["versions"].items()), ""),
    ]


def _data(workspace: Workspace, conversations: pd.DataFrame) -> list[str]:
    """Where the conversations come from: figures, generator, annotators."""
    figures, used = workspace.read("figures"), set(conversations["figure_id"])
    held = set(figures["figure_id"][~is_cleared(figures)]) & used
    lines = ["## Data", "", *cards.figures_used(figures, used - held)]
    if held:
        lines += [_HELD.format(len(held), len(used)), ""]
    if workspace.has("candidates"):
        lines += cards.texts_written(workspace.read("candidates"), conversations["conversation_id"])
    return [*lines, *cards.annotated(workspace)]


def _results(workspace: Workspace, name: str) -> list[str]:
    wanted = re.compile(rf"evaluation\.(?:open_recall|closed_accuracy|chat_score)_{name}")
    found = [metric for metric in workspace.metrics if wanted.fullmatch(metric)]
    none_yet = ["Not evaluated when this card was written.", ""]
    return [_RESULTS, "", *(cards.metric_table(workspace, found) or none_yet)]


def _number(value: float) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
