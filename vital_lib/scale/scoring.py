"""Score candidates in Ray's workers, which compute the features too.

Features of a million candidates take gigabytes; a worker holds those of one shard, and only scores
come back.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from vital_lib.encoders import Encoder, load_encoder
from vital_lib.figures import open_image
from vital_lib.scale.encoding import UNREADABLE, RayEncoder, local_copy, other_weights
from vital_lib.scale.shards import read_shard, run_shards, sole_use, write_shards
from vital_lib.selector import Features, Selector, candidate_features
from vital_lib.tables import refuse_strays, refuse_twice

_log = logging.getLogger("vital_lib.scale")
_SIZE = 1024  # candidates in a shard
_OF_FIGURE = ["figure_id", "image", "caption", "mentions"]
_OF_CANDIDATE = ["candidate_id", "figure_id", "instruction", "response"]


def score_candidates(
    selector: Selector,
    candidates: pd.DataFrame,
    figures: pd.DataFrame,
    encoder: Encoder,
    *,
    features: Features | None = None,
    name: str = "selector",
) -> pd.DataFrame:
    """Score candidates where `encoder` encodes: in this process, or in Ray's workers.

    Args:
        candidates, figures: as for ``selector.candidate_features``.
        encoder: from `load_encoder`; its engine is used.
        features: of these candidates, if there are any already, for the engine "local". Workers
            compute their own.
        name: of the selector, for the column `selector`.

    Returns:
        The columns of table `scores`, in the order of the candidates. In Ray, a candidate without
        a readable image has a null score, and a warning gives the reason.

    Raises:
        ValueError: a candidate's figure is not in `figures`, or is there twice.
        ShardsFailed, FolderInUse: see ``shards.run_shards``.
    """
    if not isinstance(encoder, RayEncoder):
        features = features or candidate_features(candidates, figures, encoder)
        return selector.score_table(features, name=name)
    refuse_twice(figures["figure_id"], "figures")
    refuse_strays(candidates, "figure_id", figures["figure_id"], what="candidates", to="figures")
    rows = candidates[_OF_CANDIDATE].merge(figures[_OF_FIGURE], on="figure_id", how="left")
    source, target = encoder.folder / "scores" / "in", encoder.folder / "scores" / "out"
    task = partial(_Scoring, selector, encoder.name, encoder.fingerprint, encoder.cache)
    with sole_use(source.parent):
        shutil.rmtree(source, ignore_errors=True)
        # Sorted by figure, so that few figures are encoded for two shards.
        write_shards(rows.sort_values("figure_id", kind="stable"), source, size=_SIZE)
        shards = run_shards(task, source, target, workers=encoder.workers)
        found = pd.concat([read_shard(target, shard.name) for shard in shards])
        for folder in (source, target):
            shutil.rmtree(folder)
    bad = found.dropna(subset="reason")
    if len(bad):
        first = f"first {bad['candidate_id'].iloc[0]}: {bad['reason'].iloc[0]}"
        _log.warning("%d of %d candidates have no score, %s", len(bad), len(found), first)
    found = found.set_index("candidate_id").loc[candidates["candidate_id"]].reset_index()
    return found.assign(selector=name)[["candidate_id", "selector", "score", "uncertainty"]]


class _Scoring:
    """A worker's task: scores of the candidates of one shard (see ``shards.Task``)."""

    def __init__(self, selector: Selector, encoder: str, fingerprint: str, cache: Path) -> None:
        self._selector, self._encoder = selector, load_encoder(encoder, cache=cache)
        if self._encoder.fingerprint != fingerprint:
            raise ValueError(other_weights(encoder))
        weights = selector.weights
        digest = hashlib.sha256(json.dumps(selector.config, sort_keys=True).encode())
        for array in (weights.score, weights.constant, weights.covariance):
            digest.update(array.tobytes())
        self.made_by = f"score {fingerprint} {digest.hexdigest()}"

    def __call__(self, rows: pd.DataFrame) -> pa.Table:
        """Return candidate_id, score, uncertainty and reason."""
        images = rows.drop_duplicates("figure_id").set_index("figure_id")["image"]
        reasons: dict[str, str] = {}
        with ExitStack() as held:
            paths = {}
            for figure_id, image in images.items():
                try:
                    paths[figure_id] = str(held.enter_context(local_copy(image)))
                    open_image(paths[figure_id])
                except UNREADABLE as error:
                    reasons[figure_id] = str(error)
            good = rows[~rows["figure_id"].isin(reasons)]
            figures = good.drop_duplicates("figure_id")[_OF_FIGURE]
            figures = figures.assign(image=figures["figure_id"].map(paths))
            found = rows[["candidate_id"]].assign(score=np.nan, uncertainty=np.nan)
            if len(good):
                features = candidate_features(good[_OF_CANDIDATE], figures, self._encoder)
                scored = self._selector.score_table(features)[["score", "uncertainty"]]
                found.loc[good.index, scored.columns] = scored.to_numpy()
        reason = rows["figure_id"].map(reasons).astype("str")
        table = pa.Table.from_pandas(found, preserve_index=False)
        return table.append_column("reason", pa.array(reason, pa.string(), from_pandas=True))
