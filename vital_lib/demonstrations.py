"""Chooses the figures to be labelled, and turns accepted responses into demonstrations.

The sample is diverse by K-means over image and text features; a demonstration is a conversation
made of responses that people accepted, and beside it stands a control pool drawn without looking
at what anyone accepted. This module shows nothing to anyone and knows no prompt and no model.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.figures.images import Rejected, shown
from vital_lib.figures.records import (
    check_unicode,
    mentions_of,
    modalities_of,
    records_of,
    required_text,
)
from vital_lib.tables import TABLES, empty_frame

NEAR_IDENTICAL_BITS = 4
"""Two pictures whose perceptual hashes differ in at most so many of 64 bits are near-identical."""

RULES: dict[str, Callable[[int, int], bool]] = {
    "majority": lambda accepted, judged: 2 * accepted > judged,
    "all": lambda accepted, judged: accepted == judged,
    "any": lambda accepted, judged: accepted >= 1,
}
"""When a response counts as accepted, from how many accepted it and how many judged it."""


# The sample to label


def joined_features(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Image (n, d) and text (n, e) features as rows (n, d + e): each part brought to length 1.

    So that neither part outweighs the other by its scale; the published code joins them raw.
    """
    parts = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (images, texts)]
    return np.concatenate(parts, axis=1)


def diverse_sample(
    figures: pd.DataFrame, features: np.ndarray, *, n: int, clusters: int, seed: int
) -> pd.DataFrame:
    """A few figures from every K-means cluster (BioMed-VITAL, stage 1).

    First one figure of every modality there is, rarest first; then always from the cluster that
    has given fewest, nearest to its centre first, and never two near-identical pictures.

    Args:
        figures: table `figures`.
        features: (n figures, d), rows as in `figures`; see `joined_features`.
        n: how many figures, at least `clusters`; fewer come where no distinct ones are left.

    Returns:
        Table `figures_sampled` with chosen_by "cluster", in the order chosen.

    Raises:
        ValueError: rows that do not match, or numbers that cannot be met.
    """
    if len(features) != len(figures):
        raise ValueError(f"{len(features)} rows of features for {len(figures)} figures")
    if not 1 <= clusters <= min(n, len(figures)):
        raise ValueError(
            f"clusters={clusters}: give between 1 and the lesser of n={n} and the "
            f"{len(figures)} figures there are"
        )
    cluster, distance = _clustered(features, clusters, seed)
    picker = _Picker(figures, cluster, distance)
    for modality in _rarest_first(figures["modalities"]):
        picker.take_modality(modality, n)
    while len(picker.chosen) < n and picker.take_from_fewest():
        pass
    return _sampled(figures.iloc[picker.chosen], cluster[picker.chosen], "cluster")


def random_sample(figures: pd.DataFrame, *, n: int, seed: int) -> pd.DataFrame:
    """`n` figures drawn at random without repetition (all of them where there are fewer).

    Agreement measured on these is free of the clusters' choice.

    Returns:
        Table `figures_sampled` with chosen_by "random" and cluster -1.
    """
    order = np.random.default_rng(seed).permutation(len(figures))[:n]
    return _sampled(figures.iloc[order], np.full(len(order), -1), "random")


def cluster_figures(features: np.ndarray, *, clusters: int, seed: int) -> np.ndarray:
    """Each figure's K-means cluster (n,), from 0, of features (n, d); as in `diverse_sample`."""
    return _clustered(features, clusters, seed)[0]


def _clustered(features: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Each row's cluster (n,) and its distance to that cluster's centre (n,)."""
    from sklearn.cluster import KMeans

    means = KMeans(clusters, n_init=4, random_state=seed).fit(features)
    distances = means.transform(features)  # (n, clusters)
    return means.labels_, distances[np.arange(len(features)), means.labels_]


def _rarest_first(modalities: Iterable[list[str]]) -> list[str]:
    counts = Counter(modality for flags in modalities for modality in flags)
    return sorted(counts, key=lambda modality: (counts[modality], modality))


class _Picker:
    """Picks rows, nearest to their centre first, leaving out near-identical pictures."""

    def __init__(self, figures: pd.DataFrame, cluster: np.ndarray, distance: np.ndarray) -> None:
        self.chosen: list[int] = []
        self._cluster = cluster
        self._modalities = list(figures["modalities"])
        self._hashes = [int(phash, 16) for phash in figures["phash"]]
        self._nearest = np.lexsort((figures["figure_id"].to_numpy(str), distance))
        sizes = Counter(cluster.tolist())
        self._queues = {
            k: [i for i in self._nearest if cluster[i] == k] for k, _ in sizes.most_common()
        }
        self._given: Counter[int] = Counter()

    def take_modality(self, modality: str, limit: int) -> None:
        """The most typical figure of `modality`, unless one is chosen already."""
        if len(self.chosen) >= limit:
            return
        if any(modality in self._modalities[i] for i in self.chosen):
            return
        for i in self._nearest:
            if modality in self._modalities[i] and self._take(i):
                return

    def take_from_fewest(self) -> bool:
        """One figure from the cluster that has given fewest; False when none is left."""
        for k in sorted(self._queues, key=lambda k: self._given[k]):
            while self._queues[k]:
                if self._take(self._queues[k].pop(0)):
                    return True
        return False

    def _take(self, i: int) -> bool:
        code = self._hashes[i]
        if any((code ^ self._hashes[j]).bit_count() <= NEAR_IDENTICAL_BITS for j in self.chosen):
            return False
        self.chosen.append(int(i))
        self._given[self._cluster[i]] += 1
        return True


def _sampled(figures: pd.DataFrame, cluster: np.ndarray, chosen_by: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "figure_id": figures["figure_id"].to_numpy(),
            "cluster": cluster.astype(np.int64),
            "split": figures["split"].to_numpy(),
            "chosen_by": chosen_by,
        }
    )


# Demonstrations


def choose_demonstrations(
    preferences: pd.DataFrame,
    drafts: pd.DataFrame,
    figures: pd.DataFrame,
    *,
    rule: str = "majority",
    seed: int = 0,
) -> pd.DataFrame:
    """Conversations made of accepted responses, from figures of the training split only.

    One response for each instruction: of its accepted ones that with more acceptances, on a tie
    the one a seeded coin picks. An instruction without an accepted response is left out, and a
    conversation without any. Votes for candidates that are not in `drafts` are passed over.

    Args:
        preferences: table `preferences`; a skipped item (null ticks) is no vote.
        drafts: table `drafts`.
        figures: table `figures`.
        rule: a response is accepted by the "majority" of those who judged it, by "all", by "any".

    Returns:
        Table `demonstrations`: origin "this run", annotators those who accepted a chosen response.

    Raises:
        ValueError: an unknown rule, or drafts of a figure that is not in `figures`.
    """
    if rule not in RULES:
        raise ValueError(f"rule={rule!r}: give one of {', '.join(RULES)}")
    votes = _votes(preferences)
    counted = votes.groupby("candidate_id")["accepted"].agg(ticks="sum", judged="count")
    accepted = {
        row.Index: int(row.ticks)
        for row in counted.itertuples()
        if RULES[rule](row.ticks, row.judged)
    }
    kept = _training(drafts, figures)
    kept = kept[kept["candidate_id"].isin(accepted)]
    chosen = _one_per_instruction(kept, accepted, seed)
    ticks = votes[votes["accepted"]].groupby("candidate_id")["annotator"].agg(set)
    return _conversations(chosen, figures, "this run", ticks.to_dict())


def random_demonstrations(
    drafts: pd.DataFrame, figures: pd.DataFrame, *, n: int, seed: int
) -> pd.DataFrame:
    """The control pool: `n` drafted conversations drawn without looking at preferences.

    From the training split, one response per instruction by a seeded coin; all of them where
    there are fewer than `n`.

    Returns:
        Table `demonstrations` with origin "random" and no annotators.

    Raises:
        ValueError: drafts of a figure that is not in `figures`.
    """
    kept = _training(drafts, figures)
    conversations = np.array(sorted(kept["conversation_id"].unique()), dtype=object)
    drawn = np.random.default_rng(seed).permutation(conversations)[:n]
    kept = kept[kept["conversation_id"].isin(drawn)]
    return _conversations(_one_per_instruction(kept, {}, seed), figures, "random", {})


def import_demonstrations(path: str | Path, figures: pd.DataFrame | None = None) -> pd.DataFrame:
    """Demonstrations from a file, in the form in which BioMed-VITAL published its 58.

    One JSON object a line: `pair_id`, `fig_caption`, `in_text_mention`, `domain`, and
    `conversations` of {from: human or gpt, value}. Answers in a row become one response.

    Args:
        figures: table `figures`; where it has the figure, `figure_id` names it, else it is null.
            Demonstrations of its figures outside the training split are left out.

    Returns:
        Table `demonstrations`: origin the file's name, annotators empty (the file names none).

    Raises:
        ValueError: a record that cannot be read; the message names line, field and value.
    """
    file = Path(path)
    known = {} if figures is None else figures.set_index("figure_id")["split"].to_dict()
    rows: dict[str, dict] = {}
    for place, record in records_of(file):
        try:
            row = _imported(record, file.name)
            if row["demonstration_id"] in rows:
                raise Rejected("pair_id", f"{row['figure_id']!r} was already read")
        except Rejected as wrong:
            raise ValueError(f"{place}: {wrong}; mend or remove this record") from None
        rows[row["demonstration_id"]] = row
    kept = [row for row in rows.values() if known.get(row["figure_id"], "train") == "train"]
    absent = {"figure_id": None}
    return _frame([row if row["figure_id"] in known else {**row, **absent} for row in kept])


def _votes(preferences: pd.DataFrame) -> pd.DataFrame:
    """One row per response that someone judged: candidate_id, annotator, accepted."""
    sides = [
        preferences[[f"{side}_id", "annotator", f"{side}_accepted"]].set_axis(
            ["candidate_id", "annotator", "accepted"], axis=1
        )
        for side in ("left", "right")
    ]
    votes = pd.concat(sides, ignore_index=True).dropna(subset="accepted")
    return votes.astype({"accepted": bool})


def _training(drafts: pd.DataFrame, figures: pd.DataFrame) -> pd.DataFrame:
    unknown = sorted(set(drafts["figure_id"]) - set(figures["figure_id"]))
    if unknown:
        raise ValueError(
            f"{len(unknown)} drafted figures are not in the table figures, {unknown[0]!r} among "
            "them: run notebook 02 again after 01"
        )
    training = figures.loc[figures["split"] == "train", "figure_id"]
    return drafts[drafts["figure_id"].isin(training)]


def _one_per_instruction(
    drafts: pd.DataFrame, accepted: Mapping[str, int], seed: int
) -> pd.DataFrame:
    """Of each instruction's rows the one with most acceptances; the coin decides between equals."""
    rank = [(-accepted.get(name, 0), _coin(seed, name)) for name in drafts["candidate_id"]]
    order = sorted(range(len(drafts)), key=rank.__getitem__)
    best = drafts.iloc[order].drop_duplicates("instruction_id")
    return best.sort_values(["conversation_id", "round"])


def _coin(seed: int, candidate_id: str) -> bytes:
    """A seeded draw that hangs on the candidate alone, not on which others there are."""
    return hashlib.sha256(f"{seed} {candidate_id}".encode()).digest()


def _conversations(
    chosen: pd.DataFrame, figures: pd.DataFrame, origin: str, ticks: Mapping[str, set[str]]
) -> pd.DataFrame:
    described = figures.set_index("figure_id")[["caption", "mentions", "modalities"]]
    kind = "random" if origin == "random" else "accepted"
    rows = []
    for conversation_id, turns in chosen.groupby("conversation_id", sort=True):
        figure_id = turns["figure_id"].iloc[0]
        who = set().union(*(ticks.get(name, set()) for name in turns["candidate_id"]))
        row = {
            "demonstration_id": f"{conversation_id}-{kind}",
            "figure_id": figure_id,
            **described.loc[figure_id].to_dict(),
            "turns": turns[["instruction", "response"]].to_dict("records"),
            "annotators": sorted(who),
            "origin": origin,
        }
        rows.append(row)
    return _frame(rows)


def _imported(record: Any, origin: str) -> dict:
    if isinstance(record, Rejected):
        raise record
    if not isinstance(record, dict):
        raise Rejected("record", f"wanted an object, received {shown(record)}")
    check_unicode(record)
    figure_id = required_text(record, "pair_id")
    return {
        "demonstration_id": f"{figure_id}-{Path(origin).stem}",
        "figure_id": figure_id,
        "caption": required_text(record, "fig_caption"),
        "mentions": mentions_of(record.get("in_text_mention")),
        "modalities": modalities_of(record.get("domain")),
        "turns": _turns(record.get("conversations")),
        "annotators": [],
        "origin": origin,
    }


def _turns(messages: Any) -> list[dict[str, str]]:
    """Rounds from alternating messages; answers in a row are one response of two paragraphs."""
    if not isinstance(messages, list) or not messages:
        raise Rejected("conversations", f"wanted a list of messages, received {shown(messages)}")
    turns: list[dict[str, str]] = []
    answered = True
    for message in messages:
        speaker, text = _message(message)
        if speaker == "human" and answered:
            turns.append({"instruction": text, "response": ""})
        elif speaker == "gpt" and turns:
            before = turns[-1]["response"]
            turns[-1]["response"] = f"{before}\n{text}" if before else text
        else:
            raise Rejected("conversations", f"out of order: {shown(message)}")
        answered = speaker == "gpt"
    if not answered:
        raise Rejected("conversations", f"no answer to {shown(messages[-1])}")
    return turns


def _message(message: Any) -> tuple[str, str]:
    if not isinstance(message, dict) or message.get("from") not in ("human", "gpt"):
        wanted = "wanted {from: human or gpt, value: text}"
        raise Rejected("conversations", f"{wanted}, received {shown(message)}")
    value = required_text(message, "value").replace("<image>", "").strip()
    return message["from"], value


def _frame(rows: list[dict]) -> pd.DataFrame:
    columns = TABLES["demonstrations"].columns
    return pd.DataFrame(rows, columns=columns) if rows else empty_frame("demonstrations")
