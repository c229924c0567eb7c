"""The simulated judges: half blind to sides, fond of length, and read from the request alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clinic_requests import any_image, sent

from vital_lib.clinic.judges import compare, rate, score
from vital_lib.clinic.rates import DEFAULT_RATES, JudgeRates, Rates
from vital_lib.clinic.requests import BadRequest
from vital_lib.prompts import chat_score_prompt, rating_prompt, verdict_prompt

FIGURE = {
    "caption": "Chest radiograph showing two small nodules.",
    "mentions": ["The nodules lie in the upper zone of the left lung."],
    "modalities": ["chest_xray"],
}
SIDE, RIGHT_SIDE, WRONG_SIDE = (
    "On which side are the nodules?",
    "The nodules lie in the left lung.",
    "The nodules lie in the right lung.",
)
# A judge that sees everything and adds nothing, to tell rules apart from chance.
KEEN = JudgeRates(
    sees=dict.fromkeys(DEFAULT_RATES.judge.sees, 1.0),
    minds=dict.fromkeys(DEFAULT_RATES.judge.minds, 1.0),
    false_alarm=0.0,
    noise_sd=0.0,
)
KEEN_RATES = Rates(judge=KEEN, second=replace(KEEN, first_bonus=0.0))


@pytest.fixture
def image(tmp_path):
    return any_image(tmp_path)


def rated(image, instruction, response, *, rates=DEFAULT_RATES, figure=FIGURE, **how):
    return rate(sent(rating_prompt(figure, image, instruction, response), **how), rates)


def mean_rating(image, instruction, response, *, number=500, **how):
    request = sent(rating_prompt(FIGURE, image, instruction, response), **how)
    return np.mean([rate({**request, "seed": seed})["overall"] for seed in range(number)])


def scored(image, question, reference, answer, *, rates=KEEN_RATES):
    reply = score(sent(chat_score_prompt(question, image, reference, answer)), rates)
    return reply["first"], reply["second"]


def test_the_clinics_judge_reads_a_request_with_a_caption_too(image):
    words = ("Which side?", image, "On the left.", "On the left.")
    told = score(sent(chat_score_prompt(*words, "CT of the chest.")), KEEN_RATES)
    assert {"first", "second"} <= told.keys()


def winners(image, question, reference, first, second, *, number=400, **how):
    request = sent(verdict_prompt(question, image, reference, first, second), **how)
    return [compare({**request, "seed": seed})["winner"] for seed in range(number)]


# ---------------------------------------------------------------- ratings


def test_a_keen_judge_takes_the_penalty_for_a_wrong_fact_and_nothing_for_a_sound_answer(image):
    assert rated(image, SIDE, RIGHT_SIDE, rates=KEEN_RATES)["overall"] == 8.0
    assert rated(image, SIDE, WRONG_SIDE, rates=KEEN_RATES)["overall"] == 4.0  # 4.5, to even


def test_the_default_judge_notices_every_second_wrong_side(image):
    lost = mean_rating(image, SIDE, RIGHT_SIDE) - mean_rating(image, SIDE, WRONG_SIDE)
    expected = 3.5 * 0.5 - 3.5 * 0.05 * 0.5  # unnoticed, it is blamed for something else at 0.05
    assert lost == pytest.approx(expected, abs=0.35)


def test_the_default_judge_notices_nearly_every_wrong_modality(image):
    question = "What kind of image is this?"
    sound, wrong = "This is a chest radiograph.", "This is an MRI scan."
    lost = mean_rating(image, question, sound) - mean_rating(image, question, wrong)
    assert lost == pytest.approx(3.5 * 0.95, abs=0.35)


def test_ratings_are_whole_numbers_from_0_to_10_that_differ_between_seeds(image):
    request = sent(rating_prompt(FIGURE, image, SIDE, WRONG_SIDE))
    ratings = {rate({**request, "seed": seed})["overall"] for seed in range(200)}
    assert all(rating == int(rating) and 0 <= rating <= 10 for rating in ratings)
    assert len(ratings) > 4


def test_the_same_request_gets_the_same_rating(image):
    assert rated(image, SIDE, RIGHT_SIDE) == rated(image, SIDE, RIGHT_SIDE)


def test_what_the_request_does_not_say_cannot_be_noticed(image):
    silent = {**FIGURE, "mentions": []}
    assert rated(image, SIDE, WRONG_SIDE, rates=KEEN_RATES, figure=silent)["overall"] == 8.0


def test_length_is_liked_up_to_a_limit(image):
    more = " The patient had been seen for a cough some weeks before." * 6
    assert rated(image, SIDE, RIGHT_SIDE + more, rates=KEEN_RATES)["overall"] == 10.0  # 8 + 1.5
    assert mean_rating(image, SIDE, RIGHT_SIDE + more) - mean_rating(image, SIDE, RIGHT_SIDE) > 1


@pytest.mark.parametrize(
    "response, fault",
    [
        ("It is hard to say from this image.", "vague"),
        ("The nodules definitely lie in the left lung.", "overconfident"),
        ("On the left: the nodules lie in the upper zone of the left lung.", "quoted"),
        ("The nodules lie in the left lung, and there", "truncated"),
    ],
)
def test_each_fault_of_style_costs_a_keen_judges_points_and_is_named(image, response, fault):
    reply = rated(image, SIDE, response, rates=KEEN_RATES)
    assert reply["overall"] == 6.0  # 6.5, to even
    named = {
        "vague": ("vague", "little"),
        "overconfident": ("sure", "certainty"),
        "quoted": ("repeats", "copied"),
        "truncated": ("breaks off", "not finished"),
    }
    assert any(word in reply["rationale"] for word in named[fault])


def test_the_second_judge_likes_a_confident_tone_and_the_first_does_not(image):
    sure = "The nodules definitely lie in the left lung."
    for model, sign in (("clinic", -1), ("clinic-second", 1)):
        plain = mean_rating(image, SIDE, RIGHT_SIDE, model=model, number=1500)
        difference = mean_rating(image, SIDE, sure, model=model, number=1500) - plain
        assert sign * difference > 0.1, model


def test_the_criteria_agree_with_the_overall_rating(image):
    for response in (RIGHT_SIDE, WRONG_SIDE, "It is hard to say.", f"{RIGHT_SIDE} Definitely"):
        request = sent(rating_prompt(FIGURE, image, SIDE, response))
        for seed in range(50):
            reply = rate({**request, "seed": seed})
            ratings = list(reply["criteria"].values())
            assert all(0 <= rating <= 10 for rating in ratings)
            assert abs(np.mean(ratings) - reply["overall"]) <= 1.0


def test_a_wrong_fact_that_is_noticed_shows_in_accuracy_and_in_the_rationale(image):
    reply = rated(image, SIDE, WRONG_SIDE, rates=KEEN_RATES)
    assert reply["criteria"]["accuracy"] < reply["criteria"]["scope"]
    assert any(word in reply["rationale"] for word in ("side", "left and right"))


def test_an_unnoticed_error_is_not_given_away_by_the_rationale(image):
    blind = JudgeRates(sees=dict.fromkeys(KEEN.sees, 0.0), false_alarm=0.0, noise_sd=0.0)
    sound, wrong = (
        {
            rated(image, SIDE, response, rates=Rates(judge=blind), seed=seed)["rationale"]
            for seed in range(60)
        }
        for response in (RIGHT_SIDE, WRONG_SIDE)
    )
    assert sound == wrong


def test_a_rating_request_without_a_response_is_refused(image):
    request = sent(rating_prompt(FIGURE, image, SIDE, RIGHT_SIDE))
    text = request["messages"][-1]["content"][-1]
    text["text"] = text["text"].split("\nResponse:")[0]
    with pytest.raises(BadRequest, match="Response"):
        rate(request)


# ---------------------------------------------------------------- chat scores


@pytest.mark.parametrize(
    "question, reference, good, bad",
    [
        (SIDE, "Left", "The nodules are on the left.", "The nodules are on the right."),
        ("Is there a nodule?", "Yes", "Yes, there is.", "No, there is none."),
        ("Is there a cavity?", "No", "No.", "Yes, there is a cavity."),
        ("How many cysts are there?", "Two", "There are two cysts.", "There are three cysts."),
        ("What abnormality is seen?", "None", "No abnormality is seen.", "A nodule is seen."),
        # Outside the closed world: by the reference's words.
        ("What is seen at the costophrenic angle?", "effusion", "An effusion.", "Some air."),
        ("Is the trachea deviated?", "yes", "Yes, it is deviated.", "No."),
    ],
)
def test_an_answer_that_agrees_with_the_reference_scores_above_one_that_does_not(
    image, question, reference, good, bad
):
    assert scored(image, question, reference, good)[1] > scored(image, question, reference, bad)[1]


def test_the_reference_is_not_blamed_for_its_own_brevity(image):
    first, second = scored(image, "What is seen?", "in the left lower lobe", "the left lower lobe")
    assert first == second == 8.0


def test_leaving_out_part_of_what_was_asked_costs_less_than_getting_it_wrong(image):
    question, reference = "Where are the nodules?", "upper zone of the left lung"
    whole = scored(image, question, reference, "They lie in the upper zone of the left lung.")[1]
    part = scored(image, question, reference, "They lie in the left lung.")[1]
    wrong = scored(image, question, reference, "They lie in the upper zone of the right lung.")[1]
    assert whole > part > wrong


def test_chat_scores_lie_between_1_and_10(image):
    hopeless = "It is a small tumour on the right of this MRI, definitely, and it"
    for seed in range(100):
        prompt = chat_score_prompt(SIDE, image, "Two large nodules on the left.", hopeless)
        reply = score(sent(prompt, seed=seed))
        assert 1 <= reply["second"] <= reply["first"] + 6 <= 16


# ---------------------------------------------------------------- verdicts


def test_the_right_answer_mostly_wins_whichever_stands_first(image):
    question, reference = "What kind of image is this?", "Chest radiograph"
    right, wrong = "This is a chest radiograph.", "This is an MRI scan."
    ahead = winners(image, question, reference, right, wrong)
    behind = winners(image, question, reference, wrong, right)
    assert ahead.count("first") > 300
    assert behind.count("second") > 300


def test_the_second_judge_favours_what_stands_first_and_the_first_judge_does_not(image):
    texts = (SIDE, "Left", "The nodules are on the left.", "They are found on the left side.")
    leaning = {}
    for model in ("clinic", "clinic-second"):
        found = winners(image, *texts, model=model, number=2000)
        leaning[model] = (found.count("first") - found.count("second")) / len(found)
    assert abs(leaning["clinic"]) < 0.06
    assert leaning["clinic-second"] > 0.08


def test_the_same_answer_twice_is_a_tie(image):
    same = "The nodules are on the left."
    assert set(winners(image, SIDE, "Left", same, same.upper(), number=50)) == {"tie"}


def test_a_difference_below_the_margin_is_a_tie(image):
    answers = ("The nodules are on the left.", "They are found on the left side.")
    request = sent(verdict_prompt(SIDE, image, "Left", *answers), model="clinic-second")
    ahead = replace(KEEN_RATES, second=replace(KEEN, first_bonus=0.5))
    assert compare(request, ahead)["winner"] == "tie"
    assert compare(request, replace(ahead, tie_within=0.4))["winner"] == "first"


def test_a_verdict_request_without_answers_is_refused(image):
    request = sent(verdict_prompt(SIDE, image, "Left", "Left.", "Right."))
    request["messages"][-1]["content"][-1]["text"] = "Question: Which side?"
    with pytest.raises(BadRequest, match="Answer 1"):
        compare(request)
