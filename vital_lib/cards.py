"""Parts of a card (README.md) of a model or a dataset, made from a run's tables and metrics.

Texts of tables are data: a card shows them as text, never as markup. Each part is a list of lines
of Markdown that ends with an empty line, or an empty list if there is nothing to say.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pandas as pd

from vital_lib.annotators import Votes, is_simulated
from vital_lib.licences import spdx, terms
from vital_lib.tables import Workspace, metrics_in_words, without_folders

CARD = "README.md"
"""The card's file, as model hubs and dataset hubs show it."""
SIMULATED = "clinic"
"""The name of the embedded stand-in for figures, models and people."""

_MARKS = re.compile(r"([\\`*_{}\[\]|#~])")


def figures_used(figures: pd.DataFrame, figure_ids: Iterable[str]) -> list[str]:
    """List the sources, licences and credits of the figures that are used, with their numbers.

    Args:
        figures: column figure_id; source, licence and credit if they are known.
        figure_ids: the used figures, each any number of times.
    """
    ids = set(figure_ids)
    used = figures[figures["figure_id"].isin(ids)].drop_duplicates("figure_id")
    named = used.reindex(columns=["source", "licence", "credit"]).astype(object)
    named = named.fillna("").astype(str)
    named["source"] = named["source"].map(source_name)
    counted = named.value_counts().reset_index().values.tolist()
    rows = [(count, *(words or "not stated" for words in texts)) for *texts, count in counted]
    found = f"{len(used):,} of {len(ids):,} figures are in the run"
    lines = table(["figures", "source", "licence", "credit"], rows)
    return [f"Figures ({found}):", "", *lines, ""]


def credits_of(figures: pd.DataFrame, figure_ids: Iterable[str]) -> pd.DataFrame:
    """Return the credit of each used figure: figure, credit, licence, name, terms, source, url.

    `licence` is as the source states it, `name` its SPDX name and `terms` what it demands; `url` is
    null unless it is an address on the web. What is not stated is null.

    Args:
        figures: column figure_id; source, source_url, licence and credit if they are known.
        figure_ids: the used figures, each any number of times.
    """
    used = figures[figures["figure_id"].isin(set(figure_ids))].drop_duplicates("figure_id")
    columns = ["figure_id", "credit", "licence", "source", "source_url"]
    rows = used.reindex(columns=columns).astype(object)
    rows = rows.where(rows.notna(), None)
    made = rows[["figure_id", "credit", "licence"]].rename(columns={"figure_id": "figure"})
    made["name"] = [spdx(text) for text in rows["licence"]]
    made["terms"] = [", ".join(terms(text)) for text in rows["licence"]]
    made["source"] = [None if name is None else source_name(name) for name in rows["source"]]
    made["url"] = list(map(web_address, rows["source_url"]))
    made = made.reset_index(drop=True).astype(object)
    return made.where(made.notna(), None)


def credit_lines(credit: pd.DataFrame) -> list[str]:
    """Return a Markdown table of the rows of `credits_of`; a source with an address is a link."""
    stated = credit.fillna({"name": "not known", "source": "not stated"})
    columns = (
        stated[name].fillna("not stated") for name in ("figure", "credit", "licence", "name")
    )
    rows = zip(*columns, map(Link, stated["source"], credit["url"]), strict=True)
    return [*table(["figure", "credit", "licence as stated", "licence", "source"], rows), ""]


class Link(NamedTuple):
    """A cell of a table: a text, and the address that it leads to or None."""

    text: str
    url: str | None


def web_address(url: Any) -> str | None:
    """Return an http or https address with all that Markdown or HTML could misread encoded.

    Anything else, such as a `javascript:` address, is None.
    """
    if not isinstance(url, str) or any(ord(mark) < 33 for mark in url.strip()):
        return None
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # such as an incomplete IPv6 address
        return None
    return quote(url.strip(), safe="%:/?#@&=+$,;~!.-_") if valid else None


def texts_written(candidates: pd.DataFrame, conversation_ids: Iterable[str]) -> list[str]:
    """List who wrote the conversations, by which prompt and with whose demonstrations.

    Args:
        candidates: columns conversation_id, generator, prompt_version, arm.
    """
    kept = candidates[candidates["conversation_id"].isin(set(conversation_ids))]
    columns = ["generator", "prompt_version", "arm"]
    rows = kept.groupby(columns, dropna=False)["conversation_id"].nunique().reset_index()
    values = [(count, model_name(who), *rest) for who, *rest, count in rows.values.tolist()]
    header = ["conversations", "generator", "prompt version", "demonstrations shown"]
    return ["Texts:", "", *table(header, values), ""]


def annotated(workspace: Workspace) -> list[str]:
    """List who judged the run's responses, and how far they agree."""
    if not workspace.has("preferences"):
        return []
    names = workspace.read("preferences")["annotator"].dropna()
    counts = names.value_counts().items()
    votes = Votes.recorded(workspace.metrics, "preferences")
    said = f" Votes: {votes}." if votes else ""
    simulated = sum(is_simulated(name) for name in names.unique())
    who = f"{names.nunique()} annotators, {simulated} of them simulated.{said}"
    lines = [who, "", *table(["annotator", "items"], counts), ""]
    return [*lines, *metric_table(workspace, ["preferences.alpha"])]


def metric_table(workspace: Workspace, wanted: Sequence[str]) -> list[str]:
    """List metrics in words; one measured on an input that has changed since is left out."""
    words = metrics_in_words(workspace.metrics, workspace.metric_origins())
    rows = words[words["metric"].isin(wanted) & (words["stale"] == "")]
    if rows.empty:
        return []
    columns = ["topic", "what", "value", "interval", "votes", "measured_on"]
    header = ["topic", "measured", "value", "95 % interval", "votes", "measured on"]
    return [*table(header, rows[columns].values.tolist()), ""]


def source_name(name: str) -> str:
    """Return the name of a source; the clinic's says that it is simulated."""
    return f"{name} (simulated)" if name == SIMULATED else name


def model_name(name: str) -> str:
    """Return the name of a model without the folders that it may lie in."""
    return source_name(str(without_folders(name)))


def table(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(as_text(cell) for cell in row) + " |" for row in rows]


def as_text(value: Any) -> str:
    """Return `value` as text that Markdown shows literally, in one line."""
    if isinstance(value, Link) and isinstance(value.url, str):
        return f"[{as_text(value.text)}]({value.url})"
    value = value.text if isinstance(value, Link) else value
    return _MARKS.sub(r"\\\1", html.escape(" ".join(str(value).split()), quote=False))
