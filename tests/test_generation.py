"""Claims about candidates: ids, arms, demonstrations drawn, and what becomes of bad replies."""

from __future__ import annotations

import json
import re
from collections import Counter

import pandas as pd
import pytest
from card_acts import choose
from loopback import Loopback, fault, in_process, said

from vital_lib.client import UNSENT, ChatClient, Control
from vital_lib.demonstrations import import_demonstrations
from vital_lib.figures import open_image
from vital_lib.generation import (
    DROPPED,
    FEWER,
    HOLLOW,
    UNREAD_COLUMNS,
    arm_to_select,
    draft_candidates,
    draft_prompts,
    generate_arms,
    generate_candidates,
    generation_prompts,
    paired_drafts,
)
from vital_lib.generation.candidates import _draw, _pool
from vital_lib.labels import LabelLog, Queue, compare_arms, ticks_of_pairs
from vital_lib.modalities import MODALITIES
from vital_lib.panels.preference_card import PreferenceCard
from vital_lib.tables import empty_frame


def figures(count=3):
    rows = [
        {
            "figure_id": f"f{number}",
            "image": f"images/f{number}.png",
            "caption": f"Caption {number}.",
            "mentions": [f"Mention {number}."],
            "modalities": ["mri"],
            "group_id": f"article {number // 2}",
            "split": "test" if number % 2 else "train",
        }
        for number in range(count)
    ]
    return pd.DataFrame(rows)


def demonstration(name, *modalities, figure_id=None):
    turns = [{"instruction": f"What is {name}?", "response": f"This is {name}.\nSecond line."}]
    return {
        "demonstration_id": name,
        "figure_id": figure_id,
        "caption": f"Caption of {name}.",
        "mentions": [],
        "modalities": list(modalities),
        "turns": turns,
        "annotators": ["strict"],
        "origin": "this run",
    }


def pool(*rows):
    return pd.DataFrame(rows) if rows else empty_frame("demonstrations")


IMAGE_OF = {f"f{number}": f"images/f{number}.png" for number in range(12)}
ONE_EACH = pool(*(demonstration(f"d-{name}", name, figure_id="f9") for name in MODALITIES))


def drafts(questions=4):
    question = {"question_type": "size", "response_a": "Small.", "response_b": "Large.\nVery."}
    return {"questions": [question | {"instruction": f"How big {n}?"} for n in range(questions)]}


def conversation(rounds=5):
    return {
        "rounds": [
            {"instruction": f"Q{n}?", "response": f"A{n}.\nMore.", "question_type": None}
            for n in range(rounds)
        ]
    }


def replying(content):
    """A transport that always says `content`, and the bodies it was sent."""
    bodies = []

    def answer(body, place):
        bodies.append(body)
        return said(content if isinstance(content, str) else json.dumps(content))

    return in_process(answer), bodies


def model(content):
    transport, bodies = replying(content)
    return ChatClient("generator", local=True, transport=transport), bodies


def generate(run, frame, demonstrations, content=None, *, arm="clinician", **options):
    client, bodies = model(content or conversation())
    made, unread = generate_candidates(
        frame, demonstrations, client, arm=arm, image_of=IMAGE_OF, **options
    )
    return made, unread, bodies


def own_text(body):
    return body["messages"][-1]["content"][1]["text"]


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
    opened = _pool(many, {})
    assert len(drawn) == 12
    for seed, ids in drawn.items():
        assert [one.id for one in _draw(opened, "another figure", seed)] == ids


# ------------------------------------------------------------------ demonstrations


def test_one_demonstration_per_modality_is_shown_with_its_image(run):
    made, _, [body] = generate(run, figures(1), ONE_EACH)
    assert made["demonstration_ids"][0] == [f"d-{name}" for name in MODALITIES]
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["system", *(5 * ["user", "assistant"]), "user"]
    images = [
        part["image_url"]["url"]
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]
    assert len(images) == 6 and len(set(images)) == 2  # all demonstrations are of figure f9
    shown = json.loads(body["messages"][2]["content"])["rounds"][0]["response"]
    assert shown == f"This is d-{MODALITIES[0]}.\nSecond line."


def test_a_modality_without_a_demonstration_is_absent(run):
    two = ONE_EACH[ONE_EACH["demonstration_id"].isin(["d-mri", "d-gross"])]
    made, _, _ = generate(run, figures(1), two)
    assert made["demonstration_ids"][0] == ["d-mri", "d-gross"]


def test_a_demonstration_of_several_modalities_is_shown_once(run):
    made, _, _ = generate(run, figures(1), pool(demonstration("d", "ct_scan", "mri")))
    assert made["demonstration_ids"][0] == ["d"]


def test_a_demonstration_without_its_image_is_shown_by_its_text(run):
    (run.path / "images" / "f7.png").write_bytes(b"damaged")
    shown = pool(
        demonstration("null", "mri", figure_id=None),
        demonstration("elsewhere", "ct_scan", figure_id="not in this run"),
        demonstration("damaged", "gross", figure_id="f7"),
    )
    made, unread, [body] = generate(run, figures(1), shown)
    assert unread.empty and len(made["demonstration_ids"][0]) == 3
    texts = [message["content"] for message in body["messages"][1:-1:2]]
    assert len(texts) == 3
    assert all(isinstance(text, str) and text.startswith("Caption: Caption of") for text in texts)


def test_a_figure_is_never_its_own_demonstration(run):
    own = pool(
        *(demonstration(f"of-f{n}", "mri", figure_id=f"f{n}") for n in range(3)),
    )
    for seed in range(10):
        made, _, _ = generate(run, figures(3), own, seed=seed)
        assert set(made["figure_id"]) == {"f0", "f1", "f2"}
        for row in made.to_dict("records"):
            assert row["demonstration_ids"] != [f"of-{row['figure_id']}"]
            assert len(row["demonstration_ids"]) == 1


def test_demonstrations_are_drawn_evenly_whatever_their_order(run):
    many = pool(*(demonstration(f"d{n}", "mri") for n in range(4)))
    seen, backward = Counter(), Counter()
    for seed in range(30):
        for counter, demonstrations in ((seen, many), (backward, many.iloc[::-1])):
            made, _, _ = generate(run, figures(10), demonstrations, seed=seed)
            counter.update(ids[0] for ids in made["demonstration_ids"][::5])
    assert seen == backward
    assert all(40 < seen[f"d{n}"] < 110 for n in range(4)), seen  # 75 expected, sd 7.5


def test_the_arms_differ_in_their_pool_alone(run):
    _, _, [by_chance] = generate(run, figures(1), ONE_EACH, arm="random")
    _, _, [chosen] = generate(run, figures(1), ONE_EACH, arm="clinician")
    _, _, [bare] = generate(run, figures(1), pool(), arm="none")
    assert by_chance == chosen
    assert bare["messages"] == [chosen["messages"][0], chosen["messages"][-1]]


def test_several_arms_are_written_under_one_control_and_a_stop_lists_the_rest(run):
    plan = [("clinician", figures(2), ONE_EACH), ("none", figures(3), pool())]
    options = {"image_of": IMAGE_OF, "seed": 3}
    client, bodies = model(conversation())
    made, unread = generate_arms(plan, client, **options)
    assert made.groupby("arm")["figure_id"].nunique().to_dict() == {"clinician": 2, "none": 3}
    assert unread.empty and len(bodies) == 5
    control = Control()
    control.stop()
    client, bodies = model(conversation())
    made, unread = generate_arms(plan, client, control, **options)
    assert made.empty and not bodies
    assert unread["arm"].tolist() == ["clinician"] * 2 + ["none"] * 3
    assert set(unread["reason"]) == {UNSENT}
    assert not unread["sent"].any() and unread["reply_id"].isna().all()


def test_what_a_stop_left_unsent_stands_apart_from_what_came_back_unread(run, monkeypatch):
    """The first reply is unread; it stops the run, so that not even images are opened after it."""
    control, bodies, opened = Control(), [], []

    def answer(body, place):
        bodies.append(body)
        control.stop()
        return said("no JSON")

    def opening(image):
        opened.append(image)
        return open_image(image)

    monkeypatch.setattr("vital_lib.generation.candidates.open_image", opening)
    client = ChatClient("generator", local=True, transport=in_process(answer), concurrency=1)
    made, unread = draft_candidates(figures(12), client, control=control)
    assert made.empty and len(opened) < 6
    assert unread["figure_id"].tolist() == [f"f{n}" for n in range(12)]
    assert unread["sent"].sum() == len(bodies) < 6
    assert set(unread["reason"][~unread["sent"]]) == {UNSENT}
    assert (unread["text"][unread["sent"]] == "no JSON").all()


def test_what_is_kept_of_a_reply_that_was_read_is_not_its_raw_text(run, monkeypatch):
    kept, ask = [], ChatClient.ask

    def watched(self, prompts, **options):
        kept.extend(ask(self, prompts, **options))
        return kept

    monkeypatch.setattr(ChatClient, "ask", watched)
    generate(run, figures(2), ONE_EACH)
    assert len(kept) == 2 and "rounds" not in repr(kept) and "A4.\\nMore." in repr(kept)


OTHER_POLICY = "Write $rounds rounds about the last figure, as a radiologist would ask."


def test_two_policies_are_compared_in_one_call_and_blind_on_the_card(run):
    def answer(body, place):
        bodies.append(body)
        better = "radiologist" in body["messages"][0]["content"]
        return said(json.dumps(conversation(2)).replace("A", "Better A" if better else "A"))

    bodies = []
    client = ChatClient("generator", local=True, transport=in_process(answer))
    plan = [("clinician", figures(3), ONE_EACH), ("clinician", figures(3), ONE_EACH, OTHER_POLICY)]
    made, unread = generate_arms(plan, client, image_of=IMAGE_OF, rounds=2, seed=3)
    assert unread.empty and len(bodies) == 6 and made["candidate_id"].is_unique
    assert run.write("candidates", made) == 2 * 3 * 2
    own, other = (made[made["prompt_version"] == name] for name in made["prompt_version"].unique())
    assert own["conversation_id"].tolist()[0] == "f0-final-clinician"
    assert own["demonstration_ids"].tolist() == other["demonstration_ids"].tolist()
    assert own["seed"].tolist() == other["seed"].tolist()  # they differ in the policy alone
    items, key = paired_drafts(own, other)
    assert len(items) == 2 * len(own) and set(key["side"]) == {"a", "b"}
    log = LabelLog(f"sqlite:///{run.path / 'labels.sqlite'}")
    image = run.path / "images" / "f0.png"
    card = PreferenceCard(
        Queue(log, items, "ada", repeats=0), items, figures(3), lambda _: image.read_bytes(), log
    )
    telling = ["clinician", *made["prompt_version"].str[:6].unique()]
    assert not [word for word in telling if word in items.to_json()]
    texts = items.set_index("candidate_id")["response"]
    order = Queue(log, items, "ada", repeats=0).items().set_index("item_id")
    for _ in range(6):
        left = texts[order.at[card.item_id, "left_id"]]
        choose(card, "left" if left.startswith("Better") else "right")
    found = compare_arms(log.preferences(), key)
    assert (found["arms.a_wins"], found["arms.b_wins"]) == (0, 6)


def test_drafts_under_another_policy_have_ids_of_their_own(run):
    policy = "Write $questions questions, in short."
    own, _ = draft_candidates(figures(2), model(drafts())[0])
    client, bodies = model(drafts())
    other, _ = draft_candidates(figures(2), client, policy=policy)
    assert pd.concat([own, other])["candidate_id"].is_unique
    assert bodies[0]["messages"][0]["content"] == "Write 4 questions, in short."
    [prompt, _] = draft_prompts(figures(2), policy=policy)
    assert set(other["prompt_version"]) == {prompt.version} != set(own["prompt_version"])
    assert other["conversation_id"].str.endswith(f"-draft-none-{prompt.version[:6]}").all()
    with pytest.raises(ValueError, match=r"must name \['questions'\]"):
        draft_candidates(figures(1), client, policy="Write.")


def test_the_pairs_of_another_comparison_have_ids_of_their_own(run):
    a, b = two_arms(run, 2)
    first, _ = paired_drafts(a, b)
    again, _ = paired_drafts(a, b)
    other, _ = paired_drafts(a, b.assign(response="Another answer."))
    assert set(first["instruction_id"]) == set(again["instruction_id"])
    assert not set(first["instruction_id"]) & set(other["instruction_id"])


@pytest.mark.parametrize(
    ("arm", "rows", "words"),
    [
        ("experts", ONE_EACH, "arm='experts': give one of none, random, clinician"),
        ("none", ONE_EACH, "arm 'none' received 5 demonstrations"),
        ("clinician", pool(), "arm 'clinician' received 0 .* with notebooks/03"),
    ],
)
def test_an_arm_that_does_not_fit_its_pool_is_refused(run, arm, rows, words):
    with pytest.raises(ValueError, match=words):
        generate(run, figures(1), rows, arm=arm)


def test_the_caption_and_mentions_are_sent_with_the_figure(run):
    _, _, bodies = generate(run, figures(2), ONE_EACH)
    texts = sorted(own_text(body) for body in bodies)
    assert texts[1] == "Caption: Caption 1.\nMentions:\n- Mention 1.\nModalities: MRI"


def test_the_prompts_to_look_at_are_those_that_are_sent(run):
    (run.path / "images" / "f1.png").unlink()
    options = {"image_of": IMAGE_OF, "rounds": 3, "seed": 8}
    shown = list(generation_prompts(figures(3), ONE_EACH, **options))
    client, bodies = model(conversation(3))
    client.ask(shown)
    made, _ = generate_candidates(figures(3), ONE_EACH, client, arm="clinician", **options)
    assert len(bodies) == len(shown) == 2  # what was asked to look at is answered already
    assert made["figure_id"].unique().tolist() == ["f0", "f2"]


def test_progress_is_reported_figure_by_figure(run):
    counts = []
    generate(run, figures(4), ONE_EACH, on_reply=counts.append)
    assert counts == [1, 2, 3, 4]


def test_the_published_demonstrations_can_be_shown(run, realdata):
    published = import_demonstrations(realdata / "clinician_demonstrations.jsonl")
    made, unread, bodies = generate(run, figures(8), published)
    assert unread.empty and made["demonstration_ids"].map(len).min() == 5
    assert all(len(body["messages"]) == 12 for body in bodies)
    assert not re.search(r'"response":\s*""', json.dumps(bodies))


# ------------------------------------------------------------------ two prompts or arms, blind


def two_arms(run, count=6):
    """Candidates of two arms about the same figures; the answers of the second say "better"."""
    better = json.loads(json.dumps(conversation(2)).replace("A", "Better A"))
    a = generate(run, figures(count), pool(), conversation(2), arm="none")[0]
    b = generate(run, figures(count), ONE_EACH, better, arm="clinician")[0]
    return a, b


def test_two_arms_are_paired_by_figure_and_round_and_their_ids_tell_nothing(run):
    a, b = two_arms(run)
    items, key = paired_drafts(a, b[b["figure_id"] != "f5"])
    assert len(items) == 5 * 2 * 2 and items["candidate_id"].is_unique
    assert (items.groupby("instruction_id")["figure_id"].agg(["size", "nunique"]) == [2, 1]).all(
        axis=None
    )
    assert (
        not items.astype(str)
        .apply(lambda texts: texts.str.contains("none|clinician"))
        .any(axis=None)
    )
    for side, own in (("a", a), ("b", b)):
        rows = key[key["side"] == side]
        assert set(rows["original_id"]) <= set(own["candidate_id"]) and len(rows) == 10
    both = [*range(20)]
    first = items.drop_duplicates("instruction_id")["candidate_id"]
    order = items.assign(place=both).merge(key, on="candidate_id")
    lower = order.sort_values("candidate_id").drop_duplicates("instruction_id_x")
    assert 1 < (order[order["candidate_id"].isin(first)]["side"] == "a").sum() < 9
    assert 1 < (lower["side"] == "a").sum() < 9  # neither place nor the order of the ids tells


def test_instructions_that_differ_stand_above_their_responses(run):
    a, b = two_arms(run, 1)
    items, _ = paired_drafts(a, b)
    assert set(items["instruction"]) == {"Q0?", "Q1?"} and "A0.\nMore." in set(items["response"])
    items, _ = paired_drafts(a, b.assign(instruction="Why?"))
    assert items["instruction"].nunique() == 1
    assert "Question: Why?\n\nAnswer: Better A0.\nMore." in set(items["response"])


def test_of_a_drafted_instruction_the_first_response_is_paired(run):
    one, _ = draft_candidates(figures(2), model(drafts(2))[0])
    items, key = paired_drafts(one, one.assign(response="Other."))
    assert len(items) == 8 and key["original_id"].str.endswith("-a").all()


def test_two_sets_without_a_common_figure_are_refused(run):
    a, b = two_arms(run, 2)
    with pytest.raises(ValueError, match="share no figure and round"):
        paired_drafts(a[a["figure_id"] == "f0"], b[b["figure_id"] == "f1"])


def test_an_arm_that_wrote_nothing_makes_no_pairs(run):
    a, b = two_arms(run, 2)
    for sides in ((a, b[:0]), (a[:0], b), (a[:0], b[:0])):
        items, key = paired_drafts(*sides)
        assert items.empty and key.empty
        nobody = LabelLog(f"sqlite:///{run.path / 'labels.sqlite'}").preferences()
        assert ticks_of_pairs(nobody, key).empty


def test_what_was_said_of_the_pairs_are_ticks_of_the_candidates(run):
    a, b = two_arms(run, 3)
    items, key = paired_drafts(a, b)
    own = key.set_index("candidate_id")
    log = LabelLog(f"sqlite:///{run.path / 'labels.sqlite'}")
    for place, item in enumerate(Queue(log, items, "ada", repeats=0).take(4)):
        del item["figure_id"]
        ticks = {f"{side}_accepted": own.loc[item[f"{side}_id"], "side"] == "b"
                 for side in ("left", "right")}  # fmt: skip
        skip = dict.fromkeys(ticks) | {"cannot_judge": True}
        log.record(**item, annotator="ada", **(skip if place == 3 else ticks))
    found = ticks_of_pairs(log.preferences(), key)
    assert list(found.columns) == ["candidate_id", "figure_id", "annotator", "accepted"]
    assert len(found) == 6 and set(found["annotator"]) == {"ada"}
    assert (found["accepted"] == found["candidate_id"].isin(b["candidate_id"])).all()
    assert set(found["candidate_id"]) <= {*a["candidate_id"], *b["candidate_id"]}


def test_the_arm_that_is_selected_from_is_the_one_with_accepted_demonstrations_if_any(run):
    a, b = two_arms(run, 2)
    assert arm_to_select(pd.concat([a, b])) == "clinician"
    assert arm_to_select(a) == "none"


def test_a_pair_rated_on_the_card_is_won_by_the_arm_that_was_preferred(run):
    items, key = paired_drafts(*two_arms(run))
    log = LabelLog(f"sqlite:///{run.path / 'labels.sqlite'}")
    queue = Queue(log, items, "ada", repeats=0)
    image = run.path / "images" / "f0.png"
    card = PreferenceCard(queue, items, figures(6), lambda _: image.read_bytes(), log)
    texts = items.set_index("candidate_id")["response"]
    order = queue.items().set_index("item_id")
    for place in range(12):
        left = texts[order.at[card.item_id, "left_id"]]
        choose(card, "both" if place < 2 else "left" if left.startswith("Better") else "right")
    found = compare_arms(log.preferences(), key)
    assert (found["arms.a_wins"], found["arms.ties"], found["arms.b_wins"]) == (0, 2, 10)
    assert found["arms.a_win_rate"] == pytest.approx(1 / 12) and found["arms.pairs"] == 12
    assert found["arms.a_minus_b_accepted"] == pytest.approx(-10 / 12)
    assert 0 <= found["arms.a_win_rate_low"] < 1 / 12 < found["arms.a_win_rate_high"]
    turned = compare_arms(log.preferences(), key.assign(side=key["side"].map({"a": "b", "b": "a"})))
    assert turned["arms.a_win_rate"] == pytest.approx(11 / 12)


def test_judgements_of_other_items_and_skips_say_nothing_of_the_arms(run):
    items, key = paired_drafts(*two_arms(run, 1))
    pairs = [(item, *own["candidate_id"]) for item, own in items.groupby("instruction_id")]
    rows = [
        {"item_id": item, "left_id": left, "right_id": right} | ticks
        for (item, left, right), ticks in zip(
            [*pairs, ("elsewhere", "x", "y")],
            [
                {"left_accepted": True, "right_accepted": False},
                {"left_accepted": None, "right_accepted": None},
                {"left_accepted": True, "right_accepted": False},
            ],
            strict=True,
        )
    ]
    found = compare_arms(pd.DataFrame(rows), key)
    assert found["arms.pairs"] == 1 and found["arms.skips"] == 1
    with pytest.raises(ValueError, match="none of 1 labels is for a pair"):
        compare_arms(pd.DataFrame(rows[2:]), key)
