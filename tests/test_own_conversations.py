"""Claims about the conversations that stand for what the clinic's tiny model was made from."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from vital_lib.clinic import base_conversations


def test_each_conversation_is_about_an_image_of_its_own(tmp_path):
    conversations, figures = base_conversations(tmp_path, 3)
    assert conversations["figure_id"].tolist() == figures["figure_id"].tolist()
    assert conversations["conversation_id"].is_unique
    for image in figures["image"]:
        assert Path(image).is_absolute() and Image.open(image).size[0] >= 64
    for turns in conversations["turns"]:
        assert turns and all(turn["instruction"] and turn["response"] for turn in turns)


def test_more_of_one_seed_begin_with_the_same_ones(tmp_path):
    few, many = (base_conversations(tmp_path / str(n), n, seed=4) for n in (2, 4))
    assert many[0].head(2).equals(few[0])
    pairs = zip(few[1]["image"], many[1]["image"], strict=False)
    assert all(Path(a).read_bytes() == Path(b).read_bytes() for a, b in pairs)


def test_another_seed_draws_other_phantoms_under_other_names(tmp_path):
    one, two = (base_conversations(tmp_path, 3, seed=seed) for seed in (0, 1))
    assert not set(one[0]["conversation_id"]) & set(two[0]["conversation_id"])
    assert one[0]["turns"].tolist() != two[0]["turns"].tolist()


@pytest.mark.parametrize(("n", "seed"), [(0, 0), (1, -1)])
def test_what_cannot_be_drawn_is_shown_as_it_was_asked_for(tmp_path, n, seed):
    with pytest.raises(ValueError, match=f"n={n}, seed={seed}"):
        base_conversations(tmp_path, n, seed)
