"""Features of candidates: blocks, scaling, and variants without or with shuffled images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse
from selector_rows import WordEncoder, draft_rows, figure_rows

from vital_lib.selector import (
    ENCODED_BLOCKS,
    IMAGE_BLOCKS,
    Features,
    Scaling,
    candidate_features,
    shuffle_images,
)
from vital_lib.selector.blocks import (
    BREAK,
    HASHED_WORDS,
    hashed_words,
    longest_copy,
    wording,
    words,
)


@pytest.fixture
def encode(tmp_path):
    """A function that encodes drafts and figures; the images are six plain colours."""
    for k in range(6):
        Image.new("RGB", (8, 8), (40 * k, 10, 10)).save(tmp_path / f"F{k}.png")

    def encoded(drafts=None, figures=None, encoder=None, **options) -> Features:
        figures = figure_rows() if figures is None else figures
        return candidate_features(
            draft_rows() if drafts is None else drafts,
            figures.assign(image=[str(tmp_path / image) for image in figures["image"]]),
            encoder or WordEncoder(),
            **options,
        )

    return encoded


def answers(features: Features) -> np.ndarray:
    return features.blocks["text"][:, :64]


def test_a_long_caption_does_not_truncate_the_answer(encode):
    drafts = draft_rows()
    drafts["response"] = ["A nodule on the left.", "A nodule on the right."] * 6
    found = answers(encode(drafts, figure_rows().assign(caption="word " * 1000)))
    assert not np.allclose(found[0], found[1])
    assert np.array_equal(found, answers(encode(drafts)))


def test_a_long_instruction_does_not_truncate_the_answer(encode):
    found = answers(encode(draft_rows().assign(instruction="why " * 1000)))
    assert not np.allclose(found[0], found[1])


def test_every_text_block_covers_the_last_sentence_of_a_long_response(encode):
    drafts = draft_rows()
    drafts["response"] = [
        "It is plain. " * 40 + end for end in ("Truly.", "Perhaps mention of it.")
    ] * 6
    for name, block in encode(drafts).without(*IMAGE_BLOCKS).blocks.items():
        first, second = (block.toarray() if name == "words" else block)[:2]
        assert not np.allclose(first, second), name


def test_the_encoded_blocks_are_image_answer_response_context_and_products(encode):
    encoder = WordEncoder()
    found = encode(encoder=encoder)
    image, by_image = np.split(found.blocks["image"], 2, axis=1)
    answer, response, context, by_context = np.split(found.blocks["text"], 4, axis=1)
    assert np.allclose(by_image, image * answer) and np.allclose(by_context, context * answer)
    mean = encoder.texts(["caption of F2", "mention of F2"]).mean(axis=0)
    assert np.allclose(context[4], mean / np.linalg.norm(mean))
    assert np.allclose(response[4], encoder.texts(["Answer a to 2."])[0])
    assert np.allclose(answer[4], encoder.texts(["Answer a to 2.\nWhat is shown?"])[0])
    assert np.allclose(image[4], image[5]) and not np.allclose(image[4], image[2])
    assert encoder.encoded == 6  # each figure once, not each candidate
    assert found.encoder == encoder.fingerprint
    assert found.only(*ENCODED_BLOCKS).matrix().shape == (12, 6 * 64)


def test_closeness_is_computed_by_sentence(encode):
    encoder = WordEncoder()
    drafts = draft_rows().assign(response="Caption of F2 here. Wholly otherwise.")
    found = encode(drafts, encoder=encoder)
    sentences = encoder.texts(["Caption of F2 here.", "Wholly otherwise."])
    context = encoder.texts(["caption of F2", "mention of F2"])
    near = sentences @ context.T
    nearest = near.max(axis=1)
    wanted = [nearest.max(), nearest.mean(), nearest.min(), near[0].max(), near[0].min()]
    assert found.blocks["text_closeness"][4, :5] == pytest.approx(wanted, abs=1e-6)
    image = found.blocks["image"][4, :64]
    cosines = sentences @ image
    wanted = [cosines.max(), cosines.min(), cosines.mean(), cosines[0]]
    assert found.blocks["image_closeness"][4, :4] == pytest.approx(wanted, abs=1e-6)


def test_wording_counts_copied_and_new_words():
    context = [*words("A nodule in the left lung."), BREAK, *words("Truly seen in 2019.")]
    response = "Yes, in the left lung! Truly so"
    found = wording(response, words("Is it in the lung?"), context)
    assert found == pytest.approx([np.log(8), 2, 4, 5 / 7, 3 / 7, False, True, False])
    assert longest_copy(words("lung left the"), context) == 1
    assert longest_copy(words("no lungs"), context) == 0
    assert wording("", [], []) == [0, 0, 0, 0, 0, False, False, False]


def test_hashed_words_are_sparse_unit_rows_that_depend_on_word_order():
    found = hashed_words(["no nodule here", "nodule here no", "", "no nodule here"])
    assert sparse.issparse(found) and found.shape == (4, HASHED_WORDS)
    rows = found.toarray()
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 0, 1])
    assert np.array_equal(rows[0], rows[3]) and not np.array_equal(rows[0], rows[1])
    assert hashed_words([]).shape == (0, HASHED_WORDS)


@pytest.mark.parametrize(
    ("one", "other"),
    [("A tumour of grade 3.", "A tumour of grade 4."), ("It is 5 cm.", "It is 6 cm.")]
    + [("Hepatitis B.", "Hepatitis C."), ("Type I.", "Type V."), ("CIN 2", "CIN 3")],
)
def test_hashed_words_tell_grades_sizes_and_types_apart(one, other):
    rows = hashed_words([one, other]).toarray()
    assert not np.array_equal(rows[0], rows[1])


def test_hashed_words_leave_the_article_out():
    rows = hashed_words(["There is a nodule.", "There is nodule."]).toarray()
    assert np.array_equal(rows[0], rows[1])


def test_candidates_about_missing_figures_are_refused(encode):
    with pytest.raises(
        ValueError, match="2 of 12 candidates belong to none of the given figures, first 'F5'"
    ):
        encode(figures=figure_rows(5))


def test_a_duplicate_figure_is_refused(encode):
    figures = pd.concat([figure_rows(), figure_rows(1).assign(caption="another")])
    with pytest.raises(ValueError, match="1 of 7 figures occur twice, first figure_id 'F0'"):
        encode(draft_rows(), figures)


def test_an_empty_pool_gives_empty_features_with_the_same_blocks(encode):
    assert encode(draft_rows().iloc[:0]).widths == encode().widths


# Without and with shuffled images


def test_blocks_without_the_image_do_not_depend_on_it(encode):
    painted = figure_rows().assign(image=[f"F{5 - k}.png" for k in range(6)])
    plain, other = (encode(figures=frame) for frame in (figure_rows(), painted))
    for name in plain.without(*IMAGE_BLOCKS).blocks:
        first, second = plain.blocks[name], other.blocks[name]
        assert abs(first - second).max() == 0, name
    for name in IMAGE_BLOCKS:
        assert abs(plain.blocks[name] - other.blocks[name]).max() > 0


def test_shuffled_images_come_from_another_article_of_the_same_split():
    figures = pd.concat([figure_rows(30), figure_rows(30).assign(image="second.png")])
    figures = figures.reset_index(drop=True)
    figures["image"] = figures["split"] + "/" + figures["group_id"] + "/" + figures["image"]
    shuffled = shuffle_images(figures, seed=1)
    split, group = shuffled["image"].str.split("/", expand=True)[[0, 1]].to_numpy().T
    assert (split == figures["split"]).all() and (group != figures["group_id"]).all()
    assert sorted(shuffled["image"]) == sorted(figures["image"])
    assert shuffled.drop(columns="image").equals(figures.drop(columns="image"))
    assert shuffled.equals(shuffle_images(figures, seed=1))
    assert not shuffled.equals(shuffle_images(figures, seed=2))
    assert shuffle_images(figures.iloc[:1]).equals(figures.iloc[:1])


# Blocks and their scaling


def test_features_are_looked_up_by_id():
    features = Features(["x", "y", "z"], {"text": np.eye(3, dtype=np.float32)})
    assert features.rows(["z", "x", "z"]).tolist() == [2, 0, 2]
    with pytest.raises(ValueError, match="2 of 3 candidates have no features, first 'p'"):
        features.rows(["x", "p", "q"])
    with pytest.raises(ValueError, match="1 of 2 candidates occur twice"):
        Features(["x", "x"], {"text": np.eye(2)})
    with pytest.raises(ValueError, match=r"1 ids for block 'text' of shape \(2, 2\)"):
        Features(["x"], {"text": np.eye(2)})
    with pytest.raises(ValueError, match="no block 'image': the blocks are text"):
        features.without("image")
    with pytest.raises(ValueError, match="3 candidates without feature blocks"):
        features.without("text")


@pytest.mark.parametrize("make", [np.array, sparse.csr_array])
def test_non_finite_features_are_refused_with_block_and_candidate(make):
    rows = np.eye(3)
    rows[1, 2] = np.nan
    with pytest.raises(ValueError, match="block 'text' .* in 1 of 3 rows, first for 'y'"):
        Features(["x", "y", "z"], {"text": make(rows)})


def test_blocks_have_equal_weight_regardless_of_width_and_scale():
    rng = np.random.default_rng(0)
    wide, narrow = rng.normal(5, 100, (400, 300)), rng.normal(0, 0.01, (400, 3))
    features = Features([f"c{k}" for k in range(400)], {"wide": wide, "narrow": narrow})
    rows = Scaling.fit(features, np.arange(400)).apply(features)
    assert rows.dense.dtype == np.float32
    assert (rows.dense[:, :300] ** 2).sum(axis=1).mean() == pytest.approx(1, abs=1e-3)
    assert (rows.dense[:, 300:] ** 2).sum(axis=1).mean() == pytest.approx(1, abs=1e-3)


def test_a_constant_column_becomes_zero_and_an_outlier_is_clipped():
    column = np.r_[np.random.default_rng(0).normal(size=99), 1e6]
    block = np.c_[np.full(100, 7.0), column]
    features = Features([f"c{k}" for k in range(100)], {"text": block})
    scaling = Scaling.fit(features, np.arange(99))
    rows = scaling.apply(features).dense
    assert not rows[:, 0].any()
    assert rows[99, 1] == pytest.approx(6 / np.sqrt(2), abs=1e-5)
    assert np.isfinite(rows).all()


def test_products_of_scaled_rows_equal_those_of_the_full_matrix():
    rng = np.random.default_rng(0)
    words_block = sparse.random_array((40, 50), density=0.1, rng=rng, format="csr")
    blocks = {"words": words_block, "text": rng.normal(size=(40, 6))}
    features = Features([f"c{k}" for k in range(40)], blocks)
    rows = Scaling.fit(features, np.arange(40)).apply(features)
    whole = np.c_[rows.dense, rows.sparse.toarray()]
    weights = rng.normal(size=(56, 3))
    assert rows.dot(weights[:, 0]) == pytest.approx(whole @ weights[:, 0], abs=1e-4)
    assert rows.dot(weights) == pytest.approx(whole @ weights, abs=1e-4)
    some = rows.take(np.array([3, 1]))
    assert rows.gram(some) == pytest.approx(whole @ whole[[3, 1]].T, abs=1e-4)
    assert rows.lengths() == pytest.approx((whole**2).sum(axis=1), abs=1e-4)
    assert some.combine(np.array([2.0, -1.0])) == pytest.approx(2 * whole[3] - whole[1], abs=1e-5)


def test_scaling_matches_blocks_by_name_and_refuses_others():
    features = Features(["x", "y"], {"a": np.eye(2), "b": np.ones((2, 1))})
    scaling = Scaling.fit(features, np.arange(2))
    turned = Features(["x", "y"], {"b": np.ones((2, 1)), "a": np.eye(2)})
    assert np.array_equal(scaling.apply(turned).dense, scaling.apply(features).dense)
    with pytest.raises(
        ValueError, match=r"have blocks a \(2\): this selector needs blocks a \(2\), b"
    ):
        scaling.apply(features.only("a"))
