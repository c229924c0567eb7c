"""Claims about arms: the demonstrations drawn, policies and two arms compared blind."""

from __future__ import annotations

import json
import re
from collections import Counter

import pandas as pd
import pytest
from card_acts import choose
from generation_rows import (
    IMAGE_OF,
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
from loopback import in_process, said

from vital_lib.client import UNSENT, ChatClient, Control
from vital_lib.demonstrations import import_demonstrations
from vital_lib.figures import open_figure
from vital_lib.generation import (
    arm_to_select,
    draft_candidates,
    draft_prompts,
    generate_arms,
    generate_candidates,
    generation_prompts,
    paired_drafts,
)
from vital_lib.labels import LabelLog, Queue, accepted_by_arm, compare_arms, ticks_of_pairs
from vital_lib.modalities import MODALITIES
from vital_lib.panels.preference_card import PreferenceCard

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

    def opening(row):
        opened.append(row["image"])
        return open_figure(row)

    monkeypatch.setattr("vital_lib.generation.candidates.open_figure", opening)
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


def test_the_accepted_share_of_each_arm_is_of_its_own_candidates_with_an_interval(run):
    rows = pd.concat(two_arms(run))
    ticks = rows[["candidate_id"]].assign(accepted=(rows["arm"] == "clinician").to_numpy())
    found = accepted_by_arm(ticks, rows)
    assert found["candidates.accepted_share_clinician"] == 1
    assert found["candidates.accepted_share_none_high"] == 0
    assert found["candidates.accepted_share_clinician_minus_none_low"] == 1
    with pytest.raises(ValueError, match="ticks belong to none of the given candidates"):
        accepted_by_arm(ticks.assign(candidate_id="elsewhere"), rows)
