"""Claims about candidates: what becomes of good and bad replies, their ids and their seeds."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from generation_rows import (
    ONE_EACH,
    conversation,
    demonstration,
    drafts,
    figures,
    generate,
    model,
    own_text,
    pool,
)
from loopback import Loopback, fault, in_process, said

from vital_lib.client import ChatClient
from vital_lib.generation import DROPPED, FEWER, HOLLOW, UNREAD_COLUMNS, draft_candidates
from vital_lib.generation.candidates import _draw
from vital_lib.modalities import MODALITIES
from vital_lib.tables import empty_frame

# ------------------------------------------------------------------ drafts


def test_every_drafted_instruction_has_two_responses_with_readable_ids(run):
    client, _ = model(drafts(questions=2))
    made, unread = draft_candidates(figures(1), client, questions=2)
    assert made["candidate_id"].tolist() == [
        "f0-draft-none-r1-a", "f0-draft-none-r1-b", "f0-draft-none-r2-a", "f0-draft-none-r2-b"
    ]  # fmt: skip
    assert made["response"].tolist() == 2 * ["Small.", "Large.\nVery."]
    assert made["instruction_id"].nunique() == 2 and made["round"].tolist() == [1, 1, 2, 2]
    assert set(made["stage"]) == {"draft"} and set(made["arm"]) == {"none"}
    assert set(made["generator"]) == {"generator"} and unread.empty


def test_drafts_and_candidates_fit_their_tables(run):
    made, _ = draft_candidates(figures(), model(drafts())[0])
    assert run.write("drafts", made) == 3 * 4 * 2
    made, _, _ = generate(run, figures(), ONE_EACH)
    assert run.write("candidates", made) == 3 * 5
    assert run.read("candidates")["demonstration_ids"].map(len).tolist() == 15 * [5]


def test_each_row_has_the_article_and_split_of_its_figure_from_the_beginning(run):
    made, _ = draft_candidates(figures(), model(drafts(1))[0], questions=1)
    generated, _, _ = generate(run, figures(), ONE_EACH, conversation(1))
    for rows in (made, generated):
        found = rows.drop_duplicates("figure_id").set_index("figure_id")
        assert found["group_id"].tolist() == ["article 0", "article 0", "article 1"]
        assert found["split"].tolist() == ["train", "test", "train"]


def test_no_figures_give_empty_tables_with_their_columns(run):
    none = figures(0).reindex(columns=["figure_id", "image"])
    made, unread = draft_candidates(none, ChatClient())
    assert list(made) == list(empty_frame("drafts")) and made.empty
    made, unread, _ = generate(run, none, ONE_EACH)
    assert list(made) == list(empty_frame("candidates")) and made.empty
    assert list(unread) == list(UNREAD_COLUMNS) and unread.empty
    assert run.write("candidates", made) == 0


# ------------------------------------------------------------------ bad replies


def test_an_unread_reply_is_a_row_of_unread_with_the_raw_reply(run):
    def answer(body, place):
        return said("no JSON") if "Caption 1." in own_text(body) else said(json.dumps(drafts()))

    client = ChatClient("generator", local=True, transport=in_process(answer))
    made, unread = draft_candidates(figures(), client)
    assert sorted(set(made["figure_id"])) == ["f0", "f2"]
    [row] = unread.to_dict("records")
    assert (row["figure_id"], row["text"]) == ("f1", "no JSON") and row["reason"] and row["sent"]
    assert client.ledger.trace(row["reply_id"])["text"] == "no JSON"


def test_an_image_that_cannot_be_read_costs_no_other_figure(run):
    (run.path / "images" / "f1.png").write_bytes(b"not an image")
    (run.path / "images" / "f2.png").unlink()
    client, bodies = model(drafts())
    made, unread = draft_candidates(figures(4), client)
    assert sorted(set(made["figure_id"])) == ["f0", "f3"] and len(bodies) == 2
    assert unread["figure_id"].tolist() == ["f1", "f2"] and unread["reply_id"].isna().all()
    assert unread["sent"].tolist() == [False, False]


def test_a_reply_after_a_server_error_becomes_candidates(run):
    def answer(body, place):
        return fault(500, retry_after_ms="1") if place == 0 else said(json.dumps(drafts()))

    with Loopback(answer) as server:
        client = ChatClient("generator", local=True, base_url=server.base_url)
        made, unread = draft_candidates(figures(1), client)
    assert len(made) == 8 and unread.empty


def test_a_shorter_conversation_is_kept_and_flagged(run):
    made, unread, _ = generate(run, figures(1), ONE_EACH, conversation(rounds=3), rounds=5)
    assert len(made) == 3 and unread.empty and made["flags"].tolist() == 3 * [[FEWER]]
    made, _, _ = generate(run, figures(1), ONE_EACH, conversation(rounds=6), rounds=5)
    assert len(made) == 6 and made["flags"].tolist() == 6 * [[]]


def test_a_round_that_says_nothing_costs_no_other_round_and_is_said(run):
    turns = conversation(rounds=5)
    turns["rounds"][2]["response"] = ""
    made, unread, _ = generate(run, figures(1), ONE_EACH, turns, rounds=5)
    assert made["response"].str[:2].tolist() == ["A0", "A1", "A3", "A4"] and unread.empty
    assert made["flags"].tolist() == 4 * [[FEWER, DROPPED]]
    one = drafts(questions=2)
    one["questions"][0]["response_b"] = None
    made, unread = draft_candidates(figures(1), model(one)[0], questions=1)
    assert made["flags"].tolist() == 2 * [[DROPPED]] and unread.empty


def test_a_courtesy_that_ends_an_answer_before_the_last_is_flagged(run):
    turns = conversation(rounds=2)
    turns["rounds"][0]["response"] += " Let me know if you need more!"
    made, _, _ = generate(run, figures(1), ONE_EACH, turns, rounds=2)
    assert made["flags"].tolist() == [["ends_in_courtesy"], []]


def test_a_multi_line_response_is_kept_whole(run):
    made, _, _ = generate(run, figures(1), ONE_EACH)
    assert made["response"].tolist()[0] == "A0.\nMore."


def test_only_the_figures_of_unread_are_asked_again_and_join_the_others(run):
    bodies = []

    def answer(body, place):
        bodies.append(own_text(body))
        bad = "Caption 1." in own_text(body) and len(bodies) <= 3
        return said("no JSON" if bad else json.dumps(drafts()))

    client = ChatClient("generator", local=True, transport=in_process(answer))
    made, unread = draft_candidates(figures(), client)
    failed = figures()[figures()["figure_id"].isin(unread["figure_id"])]
    same, still = draft_candidates(failed, client)
    assert same.empty and still["figure_id"].tolist() == ["f1"] and len(bodies) == 3
    more, unread = draft_candidates(failed, client, again=True)
    assert len(bodies) == 4 and "Caption 1." in bodies[3] and unread.empty
    whole = pd.concat([made, more])
    assert whole["candidate_id"].is_unique and whole["figure_id"].nunique() == 3
    read, unread = draft_candidates(figures(), client)  # the notebook run anew
    assert len(bodies) == 4 and unread.empty and len(read) == len(whole)


def test_what_goes_against_the_text_is_flagged_as_it_is_read(run):
    named = drafts(1)
    named["questions"][0]["response_a"] = "As described in the caption, it is small."
    made, _ = draft_candidates(figures(1), model(named)[0], questions=2)
    assert made["flags"].tolist() == [[FEWER, "names_the_text"], [FEWER]]


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({"response_b": "small"}, [["said_twice"], ["said_twice"]]),
        (
            {"response_a": "string", "response_b": "string"},
            [["said_twice", "echoes_the_request"]] * 2,
        ),
        ({"response_a": "<response>"}, [["echoes_the_request"], []]),
        ({"response_b": "..."}, [[], ["echoes_the_request"]]),
        ({"instruction": "string"}, [["echoes_the_request"]] * 2),
        ({"response_a": "How big?"}, [["echoes_the_request"], []]),
        ({"response_b": "I'm sorry, but I can't help with medical images."}, [[], ["refuses"]]),
        ({"response_b": "As an AI language model, I cannot see it."}, [[], ["refuses"]]),
        ({"response_b": "Large. However, I am unable to view the image."}, [[], ["refuses"]]),
        ({"response_b": "No image was provided."}, [[], ["refuses"]]),
        ({"response_a": "None.", "response_b": "Two."}, [[], []]),
        ({"response_a": "3.5 cm", "response_b": "35 cm"}, [[], []]),
        ({"response_a": "The side cannot be told.", "response_b": "It is sorry tissue."}, [[], []]),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_flagged_before_a_person_sees_it(run, changes, flags):
    question = {"instruction": "How big?", "question_type": None}
    question |= {"response_a": "Small.", "response_b": "Large.", **changes}
    client = model({"questions": [question]})[0]
    made, unread = draft_candidates(figures(1), client, questions=1)
    found = [[flag for flag in row if flag in HOLLOW] for row in made["flags"]]
    assert found == flags and unread.empty
    assert run.write("drafts", made) == 2


def test_a_round_that_comes_again_is_flagged_and_a_second_yes_is_not(run):
    turns = conversation(3)
    turns["rounds"][1] |= {"response": "Yes."}
    turns["rounds"][2] |= {"response": "Yes."}
    turns["rounds"].append(turns["rounds"][0])
    made, _, _ = generate(run, figures(1), ONE_EACH, turns, rounds=4)
    assert made["flags"].tolist() == [[], [], [], ["said_twice"]]


# ------------------------------------------------------------------ ids and seeds


def test_ids_never_clash_between_figures_stages_and_arms(run):
    frames = [draft_candidates(figures(5), model(drafts())[0])[0]]
    frames += [generate(run, figures(5), pool(), arm="none")[0]]
    frames += [generate(run, figures(5), ONE_EACH, arm=arm)[0] for arm in ("random", "clinician")]
    everything = pd.concat(frames)
    assert everything["candidate_id"].is_unique and len(everything) == 5 * (8 + 3 * 5)
    assert everything["conversation_id"].nunique() == 5 * 4
    assert frames[2]["conversation_id"][0] == "f0-final-random"


def test_a_figure_that_stands_twice_is_refused(run):
    twice = pd.concat([figures(2), figures(1)])
    with pytest.raises(ValueError, match="1 of 3 figures occur twice, first figure_id 'f0'"):
        draft_candidates(twice, ChatClient())


def test_the_same_seed_asks_the_same_and_another_seed_does_not(run):
    client, bodies = model(drafts())
    for seed in (1, 1, 2):
        draft_candidates(figures(2), client, seed=seed)
    assert len(bodies) == 4 and len({body["seed"] for body in bodies}) == 4


def test_adding_figures_changes_nothing_for_the_others(run):
    many = pool(*(demonstration(f"d{n}", MODALITIES[n % 5]) for n in range(40)))
    few, _, _ = generate(run, figures(3), many, seed=4)
    assert set(few["figure_id"]) == {"f0", "f1", "f2"}
    more, _, _ = generate(run, figures(8).iloc[::-1], many, seed=4)
    columns = ["candidate_id", "demonstration_ids", "seed"]
    shared = more[more["figure_id"].isin(few["figure_id"])].sort_values("candidate_id")
    pd.testing.assert_frame_equal(
        few[columns].reset_index(drop=True), shared[columns].reset_index(drop=True)
    )


def test_the_seed_in_the_table_is_the_one_that_was_sent(run):
    made, _, bodies = generate(run, figures(2), ONE_EACH)
    assert set(made["seed"]) == {body["seed"] for body in bodies}


def test_the_recorded_seed_alone_decides_which_demonstrations_are_drawn(run):
    """Two figures that record the same seed are shown the same, whatever their ids."""
    many = pool(*(demonstration(f"d{n}", "mri") for n in range(40)))
    made, _, _ = generate(run, figures(12), many)
    drawn = made.groupby("seed")["demonstration_ids"].agg(lambda ids: ids.iloc[0])
    rows = many.to_dict("records")
    assert len(drawn) == 12
    for seed, ids in drawn.items():
        assert [row["demonstration_id"] for row in _draw(rows, "another figure", seed)] == ids
