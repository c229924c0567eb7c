"""Claims about the sample to label and about demonstrations."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vital_lib.demonstrations import (
    choose_demonstrations,
    import_demonstrations,
    random_demonstrations,
)
from vital_lib.figures import choose_figures, joined_features, random_sample
from vital_lib.tables import TABLES, Workspace


def make_figures(n: int, *, splits=("train",), modalities=(("mri",),), seed: int = 0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "figure_id": [f"{i}_F1" for i in range(n)],
            "caption": [f"caption {i}" for i in range(n)],
            "mentions": [[f"mention {i}"] for i in range(n)],
            "modalities": [list(modalities[i % len(modalities)]) for i in range(n)],
            "split": [splits[i % len(splits)] for i in range(n)],
            "phash": [f"{rng.integers(2**63):016x}" for _ in range(n)],
        }
    )


def make_features(n: int, clusters: int, *, dimensions: int = 6, seed: int = 0) -> np.ndarray:
    """Rows in well separated clusters: row i belongs to cluster i % clusters."""
    rng = np.random.default_rng(seed)
    centres = 10 * np.eye(clusters, dimensions)
    return centres[np.arange(n) % clusters] + 0.1 * rng.normal(size=(n, dimensions))


def make_drafts(figure_ids, rounds: int = 2, splits=("train",)) -> pd.DataFrame:
    rows = [
        {
            "candidate_id": f"{figure}-draft-none-r{r}-{side}",
            "instruction_id": f"{figure}-draft-none-r{r}",
            "conversation_id": f"{figure}-draft-none",
            "figure_id": figure,
            "split": splits[place % len(splits)],
            "round": r,
            "instruction": f"question {r} of {figure}",
            "response": f"answer {side}{r} of {figure}",
        }
        for place, figure in enumerate(figure_ids)
        for r in range(1, rounds + 1)
        for side in "ab"
    ]
    return pd.DataFrame(rows)


def vote(annotator: str, item: str, a, b, *, swapped: bool = False) -> dict:
    """One row of preferences in which response a got tick `a`, whichever side it stood on."""
    ids, ticks = [f"{item}-a", f"{item}-b"], [a, b]
    if swapped:
        ids, ticks = ids[::-1], ticks[::-1]
    choice = {(1, 0): "left", (0, 1): "right", (1, 1): "both", (0, 0): "neither"}
    return {
        "item_id": item,
        "annotator": annotator,
        "left_id": ids[0],
        "right_id": ids[1],
        "left_accepted": ticks[0],
        "right_accepted": ticks[1],
        "choice": "skip" if a is None else choice[tuple(map(int, ticks))],
        "drawn_by": "random",
    }


def make_preferences(*votes: dict) -> pd.DataFrame:
    frame = pd.DataFrame(list(votes), columns=TABLES["preferences"].columns)
    return frame.astype({"left_accepted": "boolean", "right_accepted": "boolean"})


ITEM = "0_F1-draft-none-r1"


def responses(demonstrations: pd.DataFrame) -> list[list[str]]:
    return [[turn["response"] for turn in turns] for turns in demonstrations["turns"]]


# The sample to label


def test_every_cluster_gives_its_equal_share():
    sample = choose_figures(
        make_figures(60), make_features(60, 4), n=12, clusters=4, seed=0, evenly=True
    )
    assert sorted(Counter(sample["cluster"]).values()) == [3, 3, 3, 3]
    rows = sample["figure_id"].str.split("_").str[0].astype(int) % 4
    assert pd.crosstab(rows, sample["cluster"]).gt(0).sum().tolist() == [1, 1, 1, 1]


def test_the_nearest_to_its_centre_comes_first():
    features = make_features(20, 2)
    centre = features[::2].mean(axis=0)
    nearest = 2 * int(np.linalg.norm(features[::2] - centre, axis=1).argmin())
    sample = choose_figures(make_figures(20), features, n=2, clusters=2, seed=0, evenly=True)
    assert f"{nearest}_F1" in sample["figure_id"].tolist()


def test_two_near_identical_pictures_are_never_both_chosen():
    figures = make_figures(10)
    figures.loc[:4, "phash"] = ["00000000000000ff", "00000000000000fe"] + ["00000000000000ff"] * 3
    sample = choose_figures(figures, make_features(10, 2), n=10, clusters=2, seed=0, evenly=True)
    assert len(sample) == 6
    assert len(set(sample["figure_id"]) & {f"{i}_F1" for i in range(5)}) == 1


def test_a_short_cluster_leaves_its_places_to_the_others():
    features = np.concatenate([make_features(18, 1), make_features(2, 2)[1:] * 3])
    sample = choose_figures(make_figures(19), features, n=10, clusters=2, seed=0, evenly=True)
    assert sorted(Counter(sample["cluster"]).values()) == [1, 9]


def test_every_modality_is_sampled_even_a_single_figure():
    figures = make_figures(40, modalities=[("mri",), ("ct_scan",)])
    figures.at[37, "modalities"] = ["gross", "histology"]
    sample = choose_figures(figures, make_features(40, 3), n=4, clusters=3, seed=0, evenly=True)
    chosen = figures.set_index("figure_id").loc[sample["figure_id"], "modalities"]
    assert {flag for flags in chosen for flag in flags} == {"mri", "ct_scan", "gross", "histology"}


def test_figures_without_a_modality_may_be_sampled():
    figures = make_figures(8, modalities=[()])
    assert (
        len(choose_figures(figures, make_features(8, 2), n=4, clusters=2, seed=0, evenly=True)) == 4
    )


def test_the_same_seed_gives_the_same_sample():
    figures, features = make_figures(50), np.random.default_rng(3).normal(size=(50, 5))
    first = choose_figures(figures, features, n=10, clusters=5, seed=1, evenly=True)
    assert first.equals(choose_figures(figures, features, n=10, clusters=5, seed=1, evenly=True))
    assert not first.equals(
        choose_figures(figures, features, n=10, clusters=5, seed=2, evenly=True)
    )


def test_a_sample_fits_its_table_and_repeats_no_figure(tmp_path):
    figures = make_figures(30, splits=("train", "test"))
    sample = choose_figures(figures, make_features(30, 3), n=9, clusters=3, seed=0, evenly=True)
    assert Workspace(tmp_path).write("figures_sampled", sample) == 9
    assert sample["figure_id"].is_unique
    assert set(sample["chosen_by"]) == {"cluster"}
    assert sample["split"].tolist() == [
        figures.set_index("figure_id")["split"][name] for name in sample["figure_id"]
    ]


@pytest.mark.parametrize(("n", "clusters"), [(5, 6), (50, 40), (5, 0)])
def test_impossible_numbers_show_what_was_given(n, clusters):
    with pytest.raises(ValueError, match=rf"clusters={clusters}.*n={n}.*figures, 30"):
        choose_figures(
            make_figures(30), make_features(30, 3), n=n, clusters=clusters, seed=0, evenly=True
        )


def test_features_of_other_figures_are_refused():
    with pytest.raises(ValueError, match="29 rows of features for 30 figures"):
        choose_figures(make_figures(30), make_features(29, 3), n=5, clusters=3, seed=0, evenly=True)


def test_joined_parts_weigh_the_same_whatever_their_scale():
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(3, 4)), rng.normal(size=(3, 6))
    joined = joined_features(1000 * images, texts)
    assert joined.shape == (3, 10)
    assert joined == pytest.approx(joined_features(images, texts))
    assert np.linalg.norm(joined[:, :4], axis=1) == pytest.approx(np.ones(3))


def test_a_random_sample_has_no_cluster_and_no_repeats():
    sample = random_sample(make_figures(30), n=10, seed=0)
    assert sample["figure_id"].nunique() == 10
    assert set(sample["cluster"]) == {-1} and set(sample["chosen_by"]) == {"random"}
    assert sample.equals(random_sample(make_figures(30), n=10, seed=0))
    assert len(random_sample(make_figures(3), n=10, seed=0)) == 3


# Demonstrations from preferences


def test_the_response_that_most_accepted_makes_the_demonstration():
    names = [f"{i}_F1" for i in range(12)]
    items = [f"{name}-draft-none-r1" for name in names]
    votes = [
        vote(*ticks, swapped=swapped)
        for item in items
        for *ticks, swapped in (
            ("ada", item, True, True, False),
            ("ben", item, False, True, True),
            ("cem", item, True, True, False),
        )
    ]
    drafts = make_drafts(names)
    chosen = choose_demonstrations(make_preferences(*votes), drafts, make_figures(12))
    assert sorted(responses(chosen)) == sorted([f"answer b1 of {name}"] for name in names)
    assert chosen["annotators"].tolist() == [["ada", "ben", "cem"]] * 12


def test_only_those_who_accepted_are_recorded():
    preferences = make_preferences(
        vote("ada", ITEM, True, False),
        vote("ben", ITEM, True, False),
        vote("cem", ITEM, False, True),
    )
    chosen = choose_demonstrations(preferences, make_drafts(["0_F1"]), make_figures(1))
    assert responses(chosen) == [["answer a1 of 0_F1"]]
    assert chosen["annotators"].tolist() == [["ada", "ben"]]


def test_half_of_the_annotators_is_no_majority():
    preferences = make_preferences(vote("ada", ITEM, True, False), vote("ben", ITEM, False, False))
    drafts, figures = make_drafts(["0_F1"]), make_figures(1)
    assert len(choose_demonstrations(preferences, drafts, figures)) == 0
    assert len(choose_demonstrations(preferences, drafts, figures, rule="any")) == 1
    assert len(choose_demonstrations(preferences, drafts, figures, rule="all")) == 0


def test_a_skip_is_no_vote():
    preferences = make_preferences(vote("ada", ITEM, True, False), vote("ben", ITEM, None, None))
    chosen = choose_demonstrations(preferences, make_drafts(["0_F1"]), make_figures(1))
    assert chosen["annotators"].tolist() == [["ada"]]


def test_a_tie_is_decided_by_the_seeded_coin_both_ways():
    names = [f"{i}_F1" for i in range(40)]
    drafts, figures = make_drafts(names, rounds=1), make_figures(40)
    preferences = make_preferences(*(vote("ada", f"{n}-draft-none-r1", True, True) for n in names))
    once = responses(choose_demonstrations(preferences, drafts, figures, seed=1))
    sides = Counter(response[0].split()[1] for response in once)
    assert set(sides) == {"a1", "b1"} and min(sides.values()) > 8
    assert once == responses(
        choose_demonstrations(preferences[::-1], drafts[::-1], figures, seed=1)
    )
    assert once != responses(choose_demonstrations(preferences, drafts, figures, seed=2))


def test_rounds_stay_in_order_and_unaccepted_ones_are_left_out():
    votes = [vote("ada", f"0_F1-draft-none-r{r}", r != 2, False) for r in (3, 6, 1, 2, 5, 4)]
    drafts = make_drafts(["0_F1"], rounds=6).sample(frac=1, random_state=0)
    chosen = choose_demonstrations(make_preferences(*votes), drafts, make_figures(1))
    assert responses(chosen) == [[f"answer a{r} of 0_F1" for r in (1, 3, 4, 5, 6)]]
    assert chosen["turns"][0][0]["instruction"] == "question 1 of 0_F1"


def test_no_demonstration_comes_from_outside_the_training_split():
    splits = ("train", "validation", "test")
    figures = make_figures(3, splits=splits)
    names = figures["figure_id"].tolist()
    drafts = make_drafts(names, splits=splits)
    votes = [vote("ada", f"{name}-draft-none-r1", True, False) for name in names]
    chosen = choose_demonstrations(make_preferences(*votes), drafts, figures)
    drawn = random_demonstrations(drafts, figures, n=3, seed=0)
    assert chosen["figure_id"].tolist() == drawn["figure_id"].tolist() == ["0_F1"]


def test_demonstrations_fit_their_table_and_carry_their_figure(tmp_path):
    chosen = choose_demonstrations(
        make_preferences(vote("ada", ITEM, True, False)), make_drafts(["0_F1"]), make_figures(1)
    )
    workspace = Workspace(tmp_path)
    assert workspace.write("demonstrations", chosen) == 1
    row = workspace.read("demonstrations").iloc[0]
    assert (row["caption"], row["mentions"], row["modalities"]) == (
        "caption 0",
        ["mention 0"],
        ["mri"],
    )
    assert row["origin"] == "this run"
    assert row["demonstration_id"] == "0_F1-draft-none-accepted"


def test_no_preferences_make_no_demonstrations(tmp_path):
    chosen = choose_demonstrations(make_preferences(), make_drafts(["0_F1"]), make_figures(1))
    assert Workspace(tmp_path).write("demonstrations", chosen) == 0


def test_votes_for_drafts_that_are_gone_are_passed_over():
    preferences = make_preferences(
        vote("ada", "9_F1-draft-none-r1", True, False), vote("ada", ITEM, True, False)
    )
    chosen = choose_demonstrations(preferences, make_drafts(["0_F1"]), make_figures(1))
    assert chosen["figure_id"].tolist() == ["0_F1"]


def test_an_unknown_rule_shows_the_rules():
    with pytest.raises(ValueError, match="'most'.*majority, all, any"):
        choose_demonstrations(make_preferences(), make_drafts([]), make_figures(1), rule="most")


def test_drafts_of_unknown_figures_say_so():
    with pytest.raises(ValueError, match="1 drafted figures.*'7_F1'"):
        random_demonstrations(make_drafts(["7_F1"]), make_figures(1), n=1, seed=0)


# The control pool


def test_the_control_pool_is_n_whole_conversations_without_annotators(tmp_path):
    figures = make_figures(20)
    drawn = random_demonstrations(make_drafts(figures["figure_id"]), figures, n=7, seed=0)
    assert Workspace(tmp_path).write("demonstrations", drawn) == 7
    assert {len(turns) for turns in drawn["turns"]} == {2}
    assert drawn["annotators"].tolist() == [[]] * 7
    assert set(drawn["origin"]) == {"random"}
    assert drawn["demonstration_id"].is_unique


def test_the_control_pool_takes_both_responses_alike_and_hangs_on_the_seed():
    figures = make_figures(60)
    drafts = make_drafts(figures["figure_id"])
    drawn = random_demonstrations(drafts, figures, n=60, seed=0)
    sides = Counter(text.split()[1][0] for turns in responses(drawn) for text in turns)
    assert min(sides.values()) > 40
    again = random_demonstrations(drafts.sample(frac=1, random_state=1), figures, n=60, seed=0)
    assert responses(again) == responses(drawn)
    some = [
        random_demonstrations(drafts, figures, n=5, seed=s)["figure_id"].tolist() for s in (0, 1)
    ]
    assert some[0] != some[1]


def test_the_control_pool_leaves_out_what_refuses_or_echoes(caplog):
    figures = make_figures(4)
    drafts = make_drafts(figures["figure_id"])
    hollow = {
        "0_F1-draft-none-r1-a": ["refuses"],
        "1_F1-draft-none-r2-a": ["said_twice", "echoes_the_request"],
        "2_F1-draft-none-r1-a": ["said_twice"],
        "2_F1-draft-none-r1-b": ["said_twice"],
    }
    hollow |= {name: ["refuses"] for name in drafts["candidate_id"] if name.startswith("3_F1")}
    flagged = drafts.assign(flags=[hollow.get(name, []) for name in drafts["candidate_id"]])
    for seed in range(8):
        drawn = random_demonstrations(flagged, figures, n=3, seed=seed)
        said = dict(zip(drawn["figure_id"], responses(drawn), strict=True))
        assert list(said) == ["0_F1", "1_F1", "2_F1"]  # 3_F1 has no answer: another is drawn
        assert [len(rounds) for rounds in said.values()] == [2, 2, 2]
        assert said["0_F1"][0] == "answer b1 of 0_F1" and said["1_F1"][1] == "answer b2 of 1_F1"
    with caplog.at_level("INFO"):
        random_demonstrations(flagged, figures, n=3, seed=0)
    assert "6 of 16 drafts refuse or echo the request" in caplog.text


def test_the_control_pool_of_drafts_without_a_hollow_one_is_what_it_was():
    figures = make_figures(20)
    drafts = make_drafts(figures["figure_id"])
    plain = random_demonstrations(drafts, figures, n=7, seed=3)
    for flags in ([], ["said_twice"], None):
        alike = drafts.assign(flags=pd.Series([flags] * len(drafts), dtype=object))
        drawn = random_demonstrations(alike, figures, n=7, seed=3)
        pd.testing.assert_frame_equal(drawn, plain)
    none_left = drafts.assign(flags=[["refuses"]] * len(drafts))
    assert random_demonstrations(none_left, figures, n=7, seed=3).empty


# Imported demonstrations


def published(pair_id: str, *messages: tuple[str, str], **changes) -> dict:
    plain = {
        "pair_id": pair_id,
        "fig_caption": "A caption.",
        "in_text_mention": [{"tokens": "See Figure 1 ."}],
        "domain": {"mri": True, "ct_scan": False},
        "conversations": [{"from": who, "value": text} for who, text in messages],
    }
    return {**plain, **changes}


PAIR = (("human", "<image>\nWhat is it?"), ("gpt", "An MRI."))


def write_lines(path: Path, *records) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_answers_in_a_row_become_one_response(tmp_path):
    record = published("1_F1", *PAIR, ("gpt", "Of a brain."), ("human", "Side?"), ("gpt", "Left."))
    frame = import_demonstrations(write_lines(tmp_path / "pool.jsonl", record))
    assert frame["turns"][0] == [
        {"instruction": "What is it?", "response": "An MRI.\nOf a brain."},
        {"instruction": "Side?", "response": "Left."},
    ]
    assert Workspace(tmp_path).write("demonstrations", frame) == 1


def test_an_imported_figure_is_null_unless_it_is_at_hand_for_training(tmp_path):
    names = ["0_F1", "1_F1", "9_F1"]
    path = write_lines(tmp_path / "pool.jsonl", *(published(name, *PAIR) for name in names))
    assert import_demonstrations(path)["figure_id"].isna().tolist() == [True] * 3
    figures = make_figures(2, splits=("train", "test"))
    frame = import_demonstrations(path, figures)
    assert frame["demonstration_id"].tolist() == ["0_F1-pool", "9_F1-pool"]
    assert [None if pd.isna(name) else name for name in frame["figure_id"]] == ["0_F1", None]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([], "wanted an object"),
        (published("", *PAIR), "pair_id"),
        (published("2_F1"), "wanted a list of messages"),
        (published("2_F1", *PAIR, ("human", "And?")), "no answer to"),
        (published("2_F1", ("gpt", "An MRI.")), "out of order"),
        (published("2_F1", ("human", "What?"), *PAIR), "out of order"),
        (published("2_F1", ("system", "Hello")), "'system'"),
        (published("2_F1", ("human", 4)), "wanted text, received 4"),
        (published("2_F1", *PAIR, fig_caption=None), "fig_caption: wanted text, received None"),
        (published("2_F1", *PAIR, domain=3), "domain"),
        (published("1_F1", *PAIR), "already read"),
    ],
)
def test_a_bad_record_is_one_rejected_row_with_line_field_and_value(
    tmp_path, caplog, record, reason
):
    others = published("1_F1", *PAIR), published("3_F1", *PAIR)
    path = write_lines(tmp_path / "pool.jsonl", others[0], record, others[1])
    frame = import_demonstrations(path)
    assert frame["demonstration_id"].tolist() == ["1_F1-pool", "3_F1-pool"]
    (wrong,) = frame.attrs["rejected"]
    assert wrong["place"] == "pool.jsonl:2"
    assert reason in f"{wrong['field']}: {wrong['reason']}"
    assert "1 of 3 records are not demonstrations: pool.jsonl:2" in caplog.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "pool.jsonl is empty"), ("[]", "holds no records"), ("{", "0 of 1 .*pool.jsonl:1")],
)
def test_a_file_without_a_demonstration_is_an_error_that_says_so(tmp_path, text, reason):
    (tmp_path / "pool.jsonl").write_text(text)
    with pytest.raises(ValueError, match=reason):
        import_demonstrations(tmp_path / "pool.jsonl")


def test_llava_meds_few_shot_examples_are_read_as_published(tmp_path):
    """A Python file that assigns a list; its mentions are plain texts, with a record's pmid."""
    example = published("18627621_F2", *PAIR, in_text_mention=["See ( Figure 2 ) .", " "])
    example |= {"pmid": "18627621", "fig_label": "Figure 2", "fig_id": "F2"}
    (tmp_path / "examples.py").write_text(f"fs = [{example!r},\n      {example!r}]\n")
    frame = import_demonstrations(tmp_path / "examples.py")
    assert frame["mentions"].tolist() == [["See ( Figure 2 ) ."]]
    assert len(frame.attrs["rejected"]) == 1


def test_those_of_figures_outside_the_training_split_are_counted(tmp_path, caplog):
    path = write_lines(tmp_path / "pool.jsonl", *(published(f"{k}_F1", *PAIR) for k in range(3)))
    frame = import_demonstrations(path, make_figures(3, splits=("train", "test")))
    assert frame.attrs["not_for_training"] == ["1_F1"]
    assert (
        "1 of 3 demonstrations are left out: their figures are outside the training split"
        in caplog.text
    )


def test_a_text_that_is_only_an_image_tag_is_no_text(tmp_path):
    empty = published("2_F1", ("human", "<image>"), ("gpt", "An MRI."))
    path = write_lines(tmp_path / "pool.jsonl", published("1_F1", *PAIR), empty)
    assert len(import_demonstrations(path)) == 1


def test_importing_demonstrations_imports_nothing_heavy():
    heavy = "('torch', 'transformers', 'sklearn', 'scipy')"
    found = f"[m for m in {heavy} if m in sys.modules]"
    code = f"import sys, vital_lib.demonstrations; assert not {found}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


@pytest.mark.realdata
def test_all_58_published_demonstrations_are_imported(tmp_path, realdata):
    path = realdata / "clinician_demonstrations.jsonl"
    frame = import_demonstrations(path)
    assert Workspace(tmp_path).write("demonstrations", frame) == 58
    assert frame["demonstration_id"].is_unique and frame["figure_id"].isna().all()
    stated = [json.loads(line) for line in path.open()]
    rounds = {entry["id"]: len(turns) for entry, turns in zip(stated, frame["turns"], strict=True)}
    assert (rounds[17], rounds[34], rounds[49]) == (1, 4, 4)
    assert sum(rounds.values()) == 223 - 2
    assert Counter(flag for flags in frame["modalities"] for flag in flags) == {
        "ct_scan": 28,
        "mri": 15,
        "chest_xray": 12,
        "gross": 2,
        "histology": 2,
    }
    assert all(turn["response"] for turns in frame["turns"] for turn in turns)
    assert set(frame["origin"]) == {"clinician_demonstrations.jsonl"}


TOLD_OTHERWISE = {
    "a number for an id": {"pair_id": 7},
    "other names": {"pair_id": None, "fig_caption": None, "id": "7", "caption": "A caption."},
    "roles": {"conversations": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "An MRI."}]},
    ]},
    "capitals": {"conversations": [
        {"from": "Human", "value": "What is it?"}, {"from": "GPT", "value": "An MRI."},
    ]},
    "messages": {"conversations": None, "messages": [
        {"role": "user", "content": "What is it?"}, {"role": "model", "content": "An MRI."},
    ]},
}  # fmt: skip


@pytest.mark.parametrize("kind", ["json", "csv"])
@pytest.mark.parametrize("told", TOLD_OTHERWISE)
def test_a_demonstration_is_read_however_it_is_told(tmp_path, told, kind):
    changed = {**published("7", *PAIR), **TOLD_OTHERWISE[told]}
    row = {name: value for name, value in changed.items() if value is not None}
    path = tmp_path / f"d.{kind}"
    if kind == "csv":
        pd.DataFrame([row]).to_csv(path, index=False)
    else:
        path.write_text(json.dumps([row]))
    found = import_demonstrations(path).iloc[0]
    assert (found["demonstration_id"], found["caption"]) == ("7-d", "A caption.")
    assert (found["mentions"], found["modalities"]) == (["See Figure 1 ."], ["mri"])
    assert found["turns"] == [{"instruction": "What is it?", "response": "An MRI."}]
