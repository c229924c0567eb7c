"""Checks that the selector learns more than phrases, and how much it learns from images.

The tests print their measurements in every case; `pytest -s` shows them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vital_lib import encoders, selector
from vital_lib.clinic import asides
from vital_lib.statistics import Interval, mean_interval
from vital_lib.study import world as worlds

HELD_OUT_PHRASES = [
    phrase
    for phrases in (
        *(asides.VAGUE, asides.VAGUE_MORE),
        *(asides.CERTAIN_ENDS, asides.CERTAIN_SENTENCES),
    )
    for phrase in phrases[1::2]
]


def uses_held_out(response: str) -> bool:
    """Whether a response contains a held-out phrase, without its leading comma and full stop."""
    text = response.lower()
    return any(phrase.strip(",. ").lower() in text for phrase in HELD_OUT_PHRASES)


@pytest.mark.slow
def test_faults_in_phrases_unseen_in_training_are_recognised(tmp_path, capsys):
    """Half of the phrases of vague and overconfident answers are in no training response."""
    grounds = worlds.draw_grounds(tmp_path, articles=160)
    world = worlds.open_world(grounds, "world")
    candidates = worlds.write(world, worlds.accepted_pool(world))
    ratings = worlds.rate(world, candidates)
    everything = pd.concat([world.drafts, candidates]).set_index("candidate_id")
    held_out = everything["response"].map(uses_held_out)
    of_test = set(world.drafts.query("split == 'test'")["candidate_id"])  # not used in training
    seen = {name for name, uses in held_out.items() if not uses} | of_test
    preferences = world.preferences
    kept = preferences["left_id"].isin(seen) & preferences["right_id"].isin(seen)
    narrow = worlds.learn(
        replace(world, preferences=preferences[kept]),
        candidates,
        ratings[ratings["candidate_id"].isin(seen)],
    )
    whole = worlds.learn(world, candidates, ratings)
    pairs = selector.human_pairs(preferences, world.drafts).query("split == 'test'")
    uses = (pairs["left_id"].map(held_out) | pairs["right_id"].map(held_out)).to_numpy()
    groups = np.array(whole.groups)[uses]
    found = {
        name: mean_interval(learned.selector_hits[uses], groups)
        for name, learned in (("half of the phrases held out", narrow), ("all seen", whole))
    }
    shown(capsys, "test pairs that use a held-out phrase", found)
    assert found["half of the phrases held out"].low > 0.5


@pytest.mark.realdata
@pytest.mark.slow
def test_agreement_on_real_questions_is_measured_with_shuffled_and_without_images(
    realdata, tmp_path, capsys
):
    """VQA-RAD: the reference answer against the answer to another question of the same type."""
    figures, drafts, ticks, pairs = vqa_rad_pairs(realdata / "vqa_rad", questions=1_200)
    encoder = encoders.load_encoder("clinic", cache=tmp_path / "features")
    found = {}
    for name, shown_figures in (
        ("with the image", figures),
        ("images shuffled", selector.shuffle_images(figures)),
    ):
        features = selector.candidate_features(drafts, shown_figures, encoder)
        found[name] = agreement_of(features, ticks, pairs)
        if name == "with the image":
            found["text only"] = agreement_of(
                features.without(*selector.IMAGE_BLOCKS), ticks, pairs
            )
    shown(capsys, "VQA-RAD, held-out images", found)
    assert [one.n for one in found.values()] == [len(pairs)] * 3 and len(pairs) > 300


def agreement_of(features: selector.Features, ticks: pd.DataFrame, pairs: pd.DataFrame) -> Interval:
    learned = selector.train_selector(features, ticks)
    return mean_interval(selector.pair_agreement(pairs, learned.scores(features)), pairs["group"])


def vqa_rad_pairs(folder: Path, *, questions: int) -> tuple[pd.DataFrame, ...]:
    """VQA-RAD's training questions as figures, drafts, training ticks and test pairs.

    Each image is an article; two of three images are in the training split.
    """
    with (folder / "vqa_rad_train.jsonl").open() as file:
        rows = pd.DataFrame([json.loads(line) for line in file])
    rows = rows.sample(questions, random_state=0).reset_index(drop=True)
    rows["answer"] = rows["answer"].astype(str).str.strip().str.lower()
    rng = np.random.default_rng(0)
    kind = rows["answer_type"] + rows["question_type"]
    others = [
        rows["answer"][(kind == k) & (rows["answer"] != a)]
        for k, a in zip(kind, rows["answer"], strict=True)
    ]
    rows = rows[[len(other) > 0 for other in others]]
    wrong = [rng.choice(other.to_numpy()) for other in others if len(other)]
    names = rows["image"].unique()
    split = {name: ("train", "train", "test")[k % 3] for k, name in enumerate(names)}
    figures = pd.DataFrame(
        {
            "figure_id": names,
            "group_id": names,
            "caption": "",
            "image": [folder / name for name in names],
        }
    )
    figures["split"], figures["mentions"] = figures["figure_id"].map(split), [[]] * len(names)
    sides = [
        pd.DataFrame({
            "candidate_id": rows["question_id"] + end, "figure_id": rows["image"],
            "instruction": rows["question"], "response": answers, "accepted": accepted,
            "group_id": rows["image"], "split": rows["image"].map(split), "annotator": "reference",
        })
        for end, answers, accepted in (("-a", rows["answer"], 1.0), ("-b", wrong, 0.0))
    ]  # fmt: skip
    drafts = pd.concat(sides, ignore_index=True)
    pairs = pd.DataFrame({
        "left_id": rows["question_id"] + "-a", "right_id": rows["question_id"] + "-b",
        "preferred": 1.0, "group": rows["image"],
    })[(rows["image"].map(split) == "test").to_numpy()].reset_index(drop=True)  # fmt: skip
    return figures, drafts, drafts[drafts["split"] == "train"], pairs


def shown(capsys, title: str, found: dict[str, Interval]) -> None:
    with capsys.disabled():
        print(f"\n{title}: " + "; ".join(f"{name} {one}" for name, one in found.items()))
