"""What is known of one candidate, as plain values: texts, judgements, score, prompt and cost."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vital_lib.english import counted
from vital_lib.generation.marking import marked
from vital_lib.modalities import MODALITY_LABELS
from vital_lib.panels._panel import listed, plain
from vital_lib.plots.selector import score_edges
from vital_lib.tables import ARMS, decimals, flags_in_words

if TYPE_CHECKING:
    from vital_lib.client import Ledger

_LONGEST = 20_000  # characters of one text that are sent to the page
_BINS = 40
_ROUND = ["candidate_id", "round", "instruction", "response"]
_ALIKE = ("conversation_id", "figure_id", "reply_id")  # columns that several rows share
_FACTS = ("stage", "split", "question_type", "generator", "prompt_version", "outcome")


class Details:
    """Looks up the parts of a candidate's detail in the tables given.

    Args:
        rows: from `joined_rows`.
        figures: columns figure_id, caption, mentions; sha256 to find the images of a prompt.
        ratings: columns candidate_id, judge, repeat, overall, criteria, rationale.
        ticks: columns candidate_id, annotator, accepted.
        demonstrations: columns demonstration_id, figure_id, turns, annotators.
        ledger: the ledger that holds the candidates' replies.
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        figures: pd.DataFrame,
        *,
        ratings: pd.DataFrame | None = None,
        ticks: pd.DataFrame | None = None,
        demonstrations: pd.DataFrame | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self._rows, self._ratings, self._ticks = rows, ratings, ticks
        # Numbers are compared a hundred times faster than ids, and a detail is made at every step.
        ids = pd.Index(rows["candidate_id"])
        self._place_of = {
            name: ids.get_indexer(table["candidate_id"])
            for name, table in (("ratings", ratings), ("ticks", ticks))
            if table is not None
        }
        self._codes = {name: pd.factorize(rows[name])[0] for name in _ALIKE if name in rows.columns}
        self._ledger, self._figures = ledger, figures.set_index("figure_id")
        known = demonstrations is not None
        self._shown = demonstrations.set_index("demonstration_id") if known else None
        self._scores = np.sort(rows["score"].dropna()) if "score" in rows else np.empty(0)
        self._scores = self._scores[np.isfinite(self._scores)]
        self._counts, self._edges = np.histogram(self._scores, score_edges(self._scores, _BINS))

    def of(self, place: int, *, with_prompt: bool = False) -> dict[str, Any]:
        """Return the detail of the row at `place`; the prompt only if asked for, it is long."""
        row = self._rows.iloc[place]
        caption, *mentions, response = self._marked(row)
        sent = self._sent(row) if self._ledger is not None else None
        return {
            "id": plain(row["candidate_id"]),
            "figure": plain(row["figure_id"]),
            "facts": self._facts(row),
            "flags": flags_in_words(_listed(row, "flags")),
            "caption": caption,
            "mentions": mentions,
            "rounds": self._rounds(place, response),
            "ratings": self._rated(place),
            "ticks": self._ticked(place),
            "score": self._scored(row),
            "demonstrations": [
                self._demonstration(name) for name in _listed(row, "demonstration_ids")
            ],
            "cost": self._cost(place, sent) if self._ledger is not None else None,
            "prompt": self._messages(sent) if sent and with_prompt else None,
            "has_prompt": sent is not None,
        }

    def alike(self, place: int, column: str) -> np.ndarray:
        """Return the places of the rows with the same value as row `place` in a column."""
        codes = self._codes[column]
        return np.flatnonzero(codes == codes[place])

    def _marked(self, row: pd.Series) -> list[list[tuple[str, bool]]]:
        texts = [""]
        if row["figure_id"] in self._figures.index:
            figure = self._figures.loc[row["figure_id"]]
            texts = [_text(figure["caption"]), *map(_text, listed(figure["mentions"]))]
        return marked(texts, _text(row["response"]), _listed(row, "flags"))

    def _facts(self, row: pd.Series) -> list[list[str]]:
        arm = plain(row.get("arm"))
        found = [("arm", ARMS.get(arm, arm))]
        found += [(name.replace("_", " "), plain(row.get(name))) for name in _FACTS]
        found.append(("modality", MODALITY_LABELS.get(row["modality"], row["modality"])))
        return [[name, value] for name, value in found if value]

    def _rounds(self, place: int, response: list) -> list[dict[str, Any]]:
        """Return the rounds of the conversation in order; the shown response is in pieces."""
        shown_id = self._rows.at[place, "candidate_id"]
        own = self._rows[_ROUND].take(self.alike(place, "conversation_id")).dropna(subset="round")
        lines = own.sort_values("round", kind="stable").head(200).to_dict("records")
        rounds = [list(rows) for _, rows in groupby(lines, key=itemgetter("round"))]
        return [
            {
                "round": int(rows[0]["round"]),
                "instruction": _text(rows[0]["instruction"]),
                "responses": [
                    {
                        "id": plain(other["candidate_id"]),
                        "shown": (shown := other["candidate_id"] == shown_id),
                        "text": response if shown else [(_text(other["response"]), False)],
                    }
                    for other in rows
                ],
            }
            for rows in rounds
        ]

    def _rated(self, place: int) -> dict[str, Any] | None:
        """Return one line per judge and repeat, its ratings in the order of `criteria`."""
        if self._ratings is None:
            return None
        own = self._ratings.iloc[np.flatnonzero(self._place_of["ratings"] == place)]
        parts = [
            {p["criterion"]: p["rating"] for p in given} for given in map(listed, own["criteria"])
        ]
        names = list(dict.fromkeys(name for given in parts for name in given))
        lines = [
            {
                "judge": plain(rating["judge"]),
                "repeat": int(rating["repeat"]),
                "overall": decimals(rating["overall"], 1),
                "criteria": [decimals(given.get(name), 1) for name in names],
                "reason": _text(rating["rationale"]),
            }
            for rating, given in zip(own.to_dict("records"), parts, strict=True)
        ]
        return {"criteria": [plain(name).replace("_", " ") for name in names], "lines": lines}

    def _ticked(self, place: int) -> list[list[Any]] | None:
        if self._ticks is None:
            return None
        own = self._ticks[["annotator", "accepted"]]
        own = own.take(np.flatnonzero(self._place_of["ticks"] == place)).dropna(subset="accepted")
        return [[plain(who), bool(accepted)] for who, accepted in own.to_numpy(dtype=object)]

    def _scored(self, row: pd.Series) -> dict[str, Any] | None:
        """Return the score, the share of candidates that score lower, and the distribution."""
        score = row.get("score")
        if score is None or pd.isna(score) or not np.isfinite(score):
            return None
        first, last = float(self._edges[0]), float(self._edges[-1])
        lower = int(np.searchsorted(self._scores, score, side="left"))
        return {
            "score": decimals(score, 3),
            "lower": lower,
            "of": len(self._scores),
            "bins": self._counts.tolist(),
            "place": float(score - first) / (last - first),
        }

    def _demonstration(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {"id": plain(name), "figure": "", "by": "", "turns": []}
        if self._shown is None or name not in self._shown.index:
            return found
        row = self._shown.loc[name]
        turns = [[_text(turn["instruction"]), _text(turn["response"])] for turn in row["turns"]]
        by = ", ".join(map(plain, row["annotators"]))
        return {**found, "figure": plain(row["figure_id"]), "by": by, "turns": turns}

    def _sent(self, row: pd.Series) -> dict[str, Any] | None:
        """Return request and reply from the ledger; None if it does not hold them."""
        try:
            return self._ledger.trace(plain(row.get("reply_id"))) if self._ledger else None
        except KeyError:
            return None

    def _cost(self, place: int, sent: dict[str, Any] | None) -> str:
        if sent is None:
            return "The ledger given does not hold this candidate's reply."
        shared = counted(len(self.alike(place, "reply_id")), "candidate")
        usd = "of unknown price" if sent["usd"] is None else f"{sent['usd']:.4f} USD"
        tokens = f"{sent['tokens_in']:,} tokens in, {sent['tokens_out']:,} tokens out"
        return f"{tokens}, {usd}, for the reply with {shared} of this table"

    def _messages(self, sent: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"role": plain(message["role"]), "parts": [self._part(p) for p in message["content"]]}
            for message in sent["messages"]
        ]

    def _part(self, part: Any) -> dict[str, Any]:
        """Return a text, or an image with its figure if that is among the figures given."""
        if isinstance(part, str):
            return {"text": _text(part)}
        hashes = self._figures.get("sha256", pd.Series(dtype=str))
        figure = next(iter(hashes.index[hashes == part["image"]]), None)
        width, height = part["size"]
        return {"image": plain(figure), "size": f"{width} × {height} pixels"}


def _listed(row: pd.Series, name: str) -> list[str]:
    return list(map(str, listed(row.get(name))))


def _text(value: Any) -> str:
    """Return a text as far as it is sent to the page."""
    text = plain(value)
    more = len(text) - _LONGEST
    return text if more <= 0 else f"{text[:_LONGEST]} … ({more:,} more characters)"
