"""Claims about several judges beside clinicians: stubs of known behaviour come out as they are."""

from __future__ import annotations

import pandas as pd
import pytest
from PIL import Image
from stub_judges import JUDGES, benchmark, clinicians, quality, stub_judge

from vital_lib import evaluation, judging
from vital_lib.annotators import Votes
from vital_lib.claims import claims
from vital_lib.evaluation import PEOPLE
from vital_lib.labels import LabelLog, comparison_rows, verdicts_of
from vital_lib.panels.arena import VERDICTS, Arena
from vital_lib.panels.preference_card.item_key import item_key
from vital_lib.statistics import LEAST_LABELLED


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Questions, answers, and the verdicts of every stub judge, asked through the client."""
    image = tmp_path_factory.mktemp("stub") / "image.png"
    Image.new("L", (32, 32), 90).save(image)
    questions, answers = benchmark(str(image))
    verdicts = pd.concat(
        [
            judging.compare_answers(questions, answers, "selected", "random", stub_judge(name))
            for name in JUDGES
        ],
        ignore_index=True,
    )
    return questions, answers, verdicts


@pytest.fixture(scope="module")
def corrected(asked):
    """By judge: its row of `corrected_win_rates`, with verdicts on 3 of 8 questions."""
    questions, answers, verdicts = asked
    few = clinicians(answers, share=0.375)
    both = pd.concat([verdicts, few], ignore_index=True)
    rows = {name: evaluation.corrected_win_rates(questions, both, name) for name in JUDGES}
    return pd.concat(rows).droplevel(1)


@pytest.fixture(scope="module")
def truth(asked):
    questions, answers, _ = asked
    return 100 * evaluation.win_values(questions, clinicians(answers))["value"].mean()


def test_the_raw_win_rates_are_those_of_the_judges_behaviour(corrected, truth):
    raw = corrected["raw"]
    assert 52 < truth < 68
    assert raw["perfect"] == truth
    assert raw["always-A"] == 50
    assert raw["long-winded"] > 90
    assert abs(raw["blind"] - 50) < 10


@pytest.mark.parametrize("judge", JUDGES)
def test_the_corrected_win_rate_is_the_clinicians(corrected, truth, judge):
    row = corrected.loc[judge]
    assert row["low"] < truth < row["high"]
    assert abs(row["corrected"] - truth) < 6
    assert (row["compared"], row["articles"], row["why"]) == (60, row["articles"], "")


def test_only_a_judge_that_agrees_makes_the_interval_narrower(corrected):
    width = corrected["high"] - corrected["low"]
    assert width["perfect"] < 0.75 * width["always-A"]
    assert width["blind"] > 0.9 * width["always-A"]
    assert corrected.loc["always-A", "corrected"] == pytest.approx(corrected["people"].iloc[0])


@pytest.mark.parametrize(
    ("unseeing", "same", "reliance"), [("perfect", 1.0, 0.0), ("blind", 0.45, 0.5)]
)
def test_a_judge_relies_on_images_as_far_as_it_agrees_less_without_them(
    unseeing, same, reliance, tmp_path
):
    Image.linear_gradient("L").save(tmp_path / "image.png")
    questions, answers = benchmark(str(tmp_path / "image.png"))
    compared = (answers, "selected", "random", stub_judge("perfect", unseeing))
    verdicts = pd.concat([judging.compare_answers(questions, *compared), clinicians(answers)])
    some = judging.blanked(questions.head(60), tmp_path)
    blanked = judging.compare_answers(some, *compared)
    found = evaluation.blanked_metrics(questions, verdicts, blanked)
    assert found["evaluation.judge_blanked_same"] == pytest.approx(same, abs=0.15)
    name = "evaluation.judge_image_reliance"
    assert found[name] == pytest.approx(reliance, abs=0.15)
    assert (found[f"{name}_low"] > 0) == (reliance > 0)
    alone = verdicts[verdicts["judge"] != "ann"]  # without people, without their measure
    assert name not in evaluation.blanked_metrics(questions, alone, blanked)


def test_without_verdicts_on_blanked_images_nothing_is_said_about_them(asked):
    questions, answers, verdicts = asked
    for people in (clinicians(answers), clinicians(answers).head(0)):
        both = pd.concat([verdicts, people])
        assert evaluation.blanked_metrics(questions, both, verdicts.head(0)) == {}
    assert evaluation.blanked_metrics(questions, verdicts.head(0), verdicts.head(0)) == {}


def test_too_few_labels_are_said_and_nothing_is_corrected(asked):
    questions, answers, verdicts = asked
    few = clinicians(answers, share=0.1)
    both = pd.concat([verdicts, few], ignore_index=True)
    row = evaluation.corrected_win_rates(questions, both, "perfect").iloc[0]
    assert row[["corrected", "low", "high"]].isna().all() and row["raw"] > 50
    assert row["articles"] < LEAST_LABELLED
    assert row["why"] == (
        f"too few labels: {row['articles']} articles with people's verdicts, 20 needed"
    )
    nobody = evaluation.corrected_win_rates(questions, verdicts, "perfect").iloc[0]
    assert nobody["why"].startswith("too few labels: 0 articles") and nobody["compared"] == 0


def test_a_judge_that_does_not_compare_is_one_clear_line(asked):
    _, answers, verdicts = asked
    said = evaluation.judges_that_do_not_compare(pd.concat([verdicts, clinicians(answers)]))
    assert said == [
        "always-A names the answer shown first in 320 of 320 replies: it does not compare, so its "
        "win rates say nothing; take another judge"
    ]
    ties = verdicts[verdicts["judge"] == "blind"].assign(winner="tie")
    assert "names a tie in 320 of 320" in evaluation.judges_that_do_not_compare(ties)[0]
    second = verdicts[verdicts["judge"] == "blind"].assign(winner=lambda rows: rows["order"].str[1])
    assert "the one shown second" in evaluation.judges_that_do_not_compare(second)[0]
    assert evaluation.judges_that_do_not_compare(ties.head(9)) == []


def test_the_agreement_with_people_is_the_judges_skill(asked):
    questions, answers, verdicts = asked
    both = pd.concat([verdicts, clinicians(answers)])
    found = evaluation.rater_agreement(questions, both)
    assert len(found) == 10  # every two of four judges and the people
    people = found[found["second"] == PEOPLE].set_index("first")
    assert people.loc["perfect", ["share", "alpha"]].tolist() == [1.0, 1.0]
    assert abs(people.loc["blind", "alpha"]) < 0.15
    assert people.loc["always-A", "alpha"] < 0
    row = people.loc["blind"]
    assert row["share_low"] < row["share"] < row["share_high"]
    assert row["alpha_low"] < row["alpha"] < row["alpha_high"]
    assert (row["compared"], row["articles"]) == (160, 80)


def test_the_agreement_of_the_judge_becomes_metrics(asked):
    questions, answers, verdicts = asked
    rows = evaluation.rater_agreement(questions, pd.concat([verdicts, clinicians(answers)]))
    found = evaluation.agreement_metrics(rows, "perfect")
    assert found["evaluation.judge_people_share"] == 1.0
    assert found["evaluation.judge_people_alpha_low"] == 1.0
    alone = evaluation.rater_agreement(questions, verdicts)
    assert evaluation.agreement_metrics(alone, "perfect") == {}


def test_every_two_people_are_compared_too(asked):
    questions, answers, _ = asked
    two = pd.concat([clinicians(answers), clinicians(answers, "bob", share=0.5)])
    row = evaluation.rater_agreement(questions, two, together=False).iloc[0]
    assert (row["first"], row["second"], row["compared"], row["share"]) == ("ann", "bob", 80, 1.0)
    assert evaluation.rater_agreement(questions, two).empty


def test_raters_without_a_common_question_have_no_agreement(asked):
    questions, answers, _ = asked
    ann, bob = clinicians(answers), clinicians(answers, "bob")
    apart = pd.concat(
        [ann.head(0), bob.iloc[:5], ann[~ann["question_id"].isin(bob["question_id"].iloc[:5])]]
    )
    row = evaluation.rater_agreement(questions, apart, together=False).iloc[0]
    assert row["compared"] == 0 and pd.isna(row["alpha"])


def test_agreement_from_few_articles_has_no_interval(asked):
    questions, answers, verdicts = asked
    few = clinicians(answers, share=0.05)
    found = evaluation.rater_agreement(questions, pd.concat([verdicts, few]))
    row = found[(found["first"] == "perfect") & (found["second"] == PEOPLE)].iloc[0]
    assert row["compared"] == 8 and row["share"] == 1.0 and pd.isna(row["share_low"])


def test_win_rates_by_question_type_and_modality_add_up(asked):
    questions, answers, verdicts = asked
    found = evaluation.win_table(questions, pd.concat([verdicts, clinicians(answers)]))
    own = found[found["judge"] == "perfect"].set_index(["by", "value"])
    assert own.loc[("all", "all"), "questions"] == 160
    types = own.loc["question type"]
    assert types["questions"].tolist() == [80, 80]
    assert types["win_rate"].mean() == pytest.approx(own.loc[("all", "all"), "win_rate"])
    assert own.loc[("modality", "mri"), "win_rate"] == own.loc[("all", "all"), "win_rate"]
    assert set(found["judge"]) == {*JUDGES, PEOPLE}
    assert (found["low"] <= found["win_rate"]).all()


def test_several_people_count_once_per_answer(asked):
    questions, answers, verdicts = asked
    judge = verdicts[verdicts["judge"] == "blind"]
    one, two = clinicians(answers, share=0.5), clinicians(answers, "bob", share=0.5)
    alone = evaluation.corrected_win_rates(questions, pd.concat([judge, one]), "blind")
    both = evaluation.corrected_win_rates(questions, pd.concat([judge, one, two]), "blind")
    pd.testing.assert_frame_equal(alone, both)


def test_the_corrected_rates_become_metrics(asked):
    questions, answers, verdicts = asked
    both = pd.concat([verdicts, clinicians(answers, share=0.5)])
    rows = evaluation.corrected_win_rates(questions, both, "long-winded")
    found = evaluation.corrected_metrics(rows)
    assert found["evaluation.win_rate_corrected_percent"] == rows["corrected"].iloc[0]
    assert found["evaluation.win_rate_corrected_percent_low"] == rows["low"].iloc[0]
    assert found["evaluation.compared_by_people"] == 80
    none = evaluation.corrected_win_rates(questions, verdicts, "long-winded")
    assert evaluation.corrected_metrics(none) == {
        "evaluation.compared_by_people": 0,
        "evaluation.compared_articles": 0,
    }


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o-2024-08-06", "GPT"),
        ("openai/chatgpt-4o-latest", "GPT"),
        ("o3-mini", "GPT"),
        ("claude-opus-4", "Claude"),
        ("google/medgemma-4b-it", "Gemini and Gemma"),
        ("Qwen/Qwen3-VL-4B-Instruct", "Qwen"),
        ("llava-hf/llava-v1.6-mistral-7b-hf", "LLaVA"),
        ("microsoft/llava-med-v1.5", "LLaVA"),
        ("meta-llama/Llama-3.2-11B-Vision", "Llama"),
        ("FreedomIntelligence/HuatuoGPT-Vision-7B", "HuatuoGPT"),
        ("sapphire-2", None),
        ("microsoft/Phi-4-multimodal", "Phi"),
        ("clinic-second", None),
        ("biogpt", None),
        ("HuggingFaceTB/SmolVLM2-2.2B", "SmolVLM"),
        ("mo1-large", None),
    ],
)
def test_a_family_is_told_by_the_models_name(model, family):
    assert evaluation.family_of(model) == family


def test_a_judge_of_the_generators_family_is_flagged_with_both_ids():
    said = evaluation.same_family("gpt-4o", "openai/gpt-4.1")
    assert "gpt-4o" in said and "openai/gpt-4.1" in said and "family GPT" in said
    assert evaluation.same_family("gpt-4o", "claude-sonnet-4") == ""
    assert evaluation.same_family("clinic-second", "clinic") == ""
    assert "my-model wrote the text itself" in evaluation.same_family("my-model", "my-model")


def test_the_warnings_name_every_judge_that_needs_one(asked):
    _, answers, verdicts = asked
    named = verdicts.assign(judge=verdicts["judge"].replace({"perfect": "qwen-vl-max"}))
    said = evaluation.judge_warnings(pd.concat([named, clinicians(answers)]), "Qwen/Qwen3-VL-8B")
    assert [words.split()[0] for words in said] == ["always-A", "the"] and "Qwen3-VL-8B" in said[1]
    assert evaluation.judge_warnings(clinicians(answers), "gpt-4o") == []


def test_a_panel_of_judges_answers_like_each_judge_alone(asked):
    questions, answers, verdicts = asked
    panel = [stub_judge("perfect"), stub_judge("blind")]
    found = judging.compare_answers(questions, answers, "selected", "random", panel)
    for name in ("perfect", "blind"):
        pd.testing.assert_frame_equal(
            found[found["judge"] == name].reset_index(drop=True),
            verdicts[verdicts["judge"] == name].reset_index(drop=True),
        )


def test_several_people_have_one_win_rate(asked):
    questions, answers, _ = asked
    two = pd.concat([clinicians(answers), clinicians(answers, "bob", share=0.5)])
    alone = evaluation.win_rate_metrics(questions, clinicians(answers), name="clinicians")
    assert evaluation.win_rate_metrics(questions, two, name="clinicians") == alone
    apart = two.assign(winner=two["winner"].where(two["judge"] == "ann", "b"))
    found = evaluation.win_rate_metrics(questions, apart, name="clinicians")
    assert (
        found["evaluation.win_rate_clinicians_percent"]
        < (alone["evaluation.win_rate_clinicians_percent"])
    )
    assert found["evaluation.win_rate_clinicians_nulls"] == 0


def test_self_preference_is_what_exceeds_the_peoples_opinion(asked):
    """Here the long-winded judge is a Qwen, and the model that writes more was taught by one."""
    questions, answers, verdicts = asked
    people = clinicians(answers)
    named = {"long-winded": "qwen-vl-max", "perfect": "qwen3-vl-4b", "blind": "gpt-4o"}
    both = pd.concat([verdicts.assign(judge=verdicts["judge"].replace(named)), people])
    authors = {"selected": "Qwen/Qwen3-VL-8B", "random": "claude-opus-4"}
    found = evaluation.self_preference(questions, both, authors).set_index("judge")
    assert set(found.index) == {"qwen-vl-max", "qwen3-vl-4b"}
    row = found.loc["qwen-vl-max"]
    assert row["win_rate"] > 90 and row["excess"] > 20 and row["low"] > 0
    assert row["excess"] == pytest.approx(row["win_rate"] - row["people"])
    assert (row["own"], row["other"]) == ("Qwen/Qwen3-VL-8B", "claude-opus-4")
    assert found.loc["qwen3-vl-4b", "excess"] == 0
    said = evaluation.self_preference_in_words(found.reset_index())
    assert said[0].startswith(
        "qwen-vl-max prefers the text of Qwen/Qwen3-VL-8B, of its own family, to that of "
        "claude-opus-4 in 9"
    )
    assert "on 160 answers that people compared too, more often than people: +" in said[0]
    assert "no clear difference from people" in said[1]
    swapped = {"selected": "claude-opus-4", "random": "Qwen/Qwen3-VL-8B"}
    turned = evaluation.self_preference(questions, both, swapped).set_index("judge")
    assert turned.loc["qwen-vl-max", "win_rate"] == pytest.approx(100 - row["win_rate"])
    assert turned.loc["qwen-vl-max", "own"] == "Qwen/Qwen3-VL-8B"


def test_without_people_self_preference_has_no_excess(asked):
    questions, _, verdicts = asked
    authors = {"selected": "gpt-4o", "random": "claude-opus-4"}
    named = verdicts.assign(judge=verdicts["judge"].replace({"blind": "gpt-4o-mini"}))
    row = evaluation.self_preference(questions, named, authors).iloc[0]
    assert pd.isna(row["excess"]) and pd.isna(row["people"]) and row["compared"] == 0
    [said] = evaluation.self_preference_in_words(pd.DataFrame([row]))
    assert said.endswith("% of the comparisons")
    same = dict.fromkeys(authors, "gpt-4o")
    assert evaluation.self_preference(questions, named, same).empty


@pytest.mark.parametrize("person", ["ann", "long-winded"])
def test_what_a_person_says_in_the_arena_corrects_the_judge(person, asked, truth, tmp_path):
    """A person, perhaps of the judge's name, judges 60 questions; the judge has judged all."""
    questions, answers, verdicts = asked
    log = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    rows = comparison_rows(questions, answers, "selected", ["random"], person)
    arena = Arena(rows, person, lambda image: b"", log)
    for place, row in enumerate(rows.head(60).itertuples()):
        apart = quality(row.left) - quality(row.right)
        label = "Tie" if not apart else "Left is better" if apart > 0 else "Right is better"
        arena.judge(item_key(row._asdict()), f"event {place}", **VERDICTS[label])
    said, old = verdicts_of(log.comparisons(), answers, list(JUDGES))
    assert (len(said), old) == (60, 0) and not said["judge"].isin(JUDGES).any()
    both = pd.concat([verdicts, said])
    row = evaluation.corrected_win_rates(questions, both, "long-winded").iloc[0]
    assert row["compared"] == 60 and row["raw"] > 90
    assert row["low"] < truth < row["high"] < row["raw"]
    metrics = evaluation.corrected_metrics(pd.DataFrame([row]))
    metrics |= {"evaluation.open_questions": 160, "evaluation.open_articles": 80}
    [claim] = claims(metrics | Votes(60).metrics("evaluation"), simulated=False).itertuples()
    assert claim.measured.endswith("by the second judge, corrected by clinicians")
    assert claim.on == "160 open questions, 80 articles, 60 verdicts of annotators"
