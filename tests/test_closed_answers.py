"""What closed answers say: a table of real-looking answers, VQA-RAD, and LLaVA-Med's own measures.

The table has what models really answer: refusals, notices, file names, echoes, hedges, and yes and
no in many words.
"""

from __future__ import annotations

import time

import pandas as pd
import pytest

from vital_lib.evaluation import (
    accuracy_metrics,
    closed_accuracy,
    closed_point,
    closed_value,
    llava_med_closed,
    llava_med_recall,
    open_recall,
    read_questions,
    read_yes_no,
    unread_answers,
)

QUESTIONS = (
    "Is the heart enlarged?",
    "Is there a fracture?",
    "Is this an MRI?",
    "Are the lungs normal?",
    "Does this image show a pleural effusion?",
    "Is the lesion on the left side?",
    "Was contrast used?",
    "Is there evidence of a fracture in the left femur?",
)
NON_ANSWERS = (
    "I cannot see the image.",
    "I can't see the image.",
    "I can not view images.",
    "I'm sorry, but I can't help with that.",
    "I'm sorry, I cannot assist with this request.",
    "Sorry, I am not able to view images.",
    "I am unable to answer.",
    "As an AI language model, I cannot diagnose.",
    "I do not have access to the image.",
    "I don't see any image attached.",
    "No image was provided.",
    "No image provided",
    "Image not available.",
    "The image is not visible.",
    "The image could not be loaded.",
    "There is no image attached to this message.",
    "Please upload an image.",
    "I cannot determine that.",
    "Not enough information.",
    "It is not possible to say.",
    "I am not a doctor.",
    "I do not know.",
    "I don't know",
    "Don't know.",
    "Cannot say.",
    "Cannot be determined.",
    "This cannot be determined from the image.",
    "I would need more information.",
    "Unknown",
    "N/A",
    "n/a",
    "null",
    "nan",
    "",
    "   ",
    ".",
    "?",
    "...",
    "-",
    "Error",
    "Error 404: not found",
    "Error: no response",
    "no response",
    "No answer",
    "No comment.",
    "not applicable",
    "Not applicable.",
    "undefined",
    "unanswerable",
    "Copyright 2018 Elsevier Inc. All rights reserved.",
    "© 2020 The Authors. No part of this publication may be reproduced without permission.",
    "All rights reserved. Not for redistribution.",
    "This image is licensed under CC BY-NC 4.0; no commercial use is allowed.",
    "Not for clinical use.",
    "No copyright infringement intended.",
    "image_001.png",
    "no_finding.png",
    "images/synpic42202.jpg",
    "not_normal_02.dcm",
    "yes.png",
    "no.jpg",
    "/data/no/yes.png",
    "https://example.org/no/yes",
    "C:\\data\\no\\scan.png",
    "no finding.png",
    "1.2.840.113619.2.55.no.dcm",
    "yes or no",
    "Yes or no?",
    "yes/no",
    "Yes / No",
    "[yes, no]",
    "no or yes",
    "Answer yes or no.",
    "Please answer with yes or no.",
    '"yes" or "no"',
    "True or false",
    "true/false",
    "Yes. No.",
    "A. Yes B. No",
    "yes, no",
    "Yes\nNo",
    "(a) yes (b) no",
    "yes|no",
    "Yes and no.",
    "positive or negative",
    "present/absent",
    "I can't answer yes or no.",
    "I cannot answer with a simple yes or no.",
    "Maybe.",
    "Maybe",
    "Perhaps",
    "possibly",
    "It depends.",
    "Not necessarily.",
    "It may be.",
    "It might be",
    "It could be.",
    "Possibly yes.",
    "Maybe not",
    "The image",
    "The",
    "There is a",
    "This is a",
    "The image shows",
    "the the the the",
    "1",
    "0",
    "42",
    "A",
    "B",
    "lorem ipsum",
    "Hello!",
    "Sure!",
    "Certainly! I'd be happy to help.",
    "Of course.",
    "Thank you.",
    "Sure, I can help. Please provide the image.",
    "Medical image.",
    "A photograph of a dog.",
    "Please consult a doctor.",
    "I cannot provide medical advice.",
    "I won't speculate.",
    "I'd rather not say.",
    "I cannot.",
    "I can't.",
    "Cannot comply",
    "We are not able to process this.",
    "Nothing to report here about that, ask again",
    "No problem!",
    "No worries.",
    "not sure",
    "Not sure.",
    "I have no idea.",
    "No idea",
    "hard to say",
    "unclear",
    "indeterminate",
    "The question cannot be answered.",
    "The question is not clear.",
    "This question is about an image.",
    "The answer is not clear.",
    "The image quality is not good enough.",
    "I see nothing wrong with the question.",
    "I cannot see.",
    "I can't see it.",
    "Cannot see the picture.",
    "Can't see anything without the image.",
    "No caption available.",
    "no data",
    "None of the above",
    "<image>",
    "<pad><pad>",
    "### Assistant:",
    "USER: ASSISTANT:",
    "assistant",
    "No text was found.",
    "The model did not answer.",
    "Request blocked: no reason given.",
    "This content is not allowed.",
    "The request was rejected",
    "I'm not comfortable answering that.",
    "I don't think I should answer that.",
    "I do not think I can answer this.",
    "(A) Yes (B) No",
    "A) yes B) no",
    "Yes, No, Maybe",
    "yes / no / maybe",
    "Options: yes, no",
    "Please choose from the following two options: [Yes, No]",
    "option 1: yes, option 2: no",
    "1. Yes\n2. No",
    "Yes or No:",
    "Choose yes or no",
    "choices: ['yes', 'no']",
    "{yes, no}",
    "Select one: yes no",
    "Is the answer yes or no",
    "Answer yes if true, no if false.",
    "Either yes or no.",
    "Neither yes nor no.",
    "both yes and no",
    "I can neither confirm nor deny this.",
    "Let me think about that.",
    "I see an image.",
    "The image is a medical image.",
    "The scan shows the body.",
    "This is an image of a patient.",
    "There is an image.",
    "There are several findings.",
    "There are two options provided for the answer to this question. Please choose one of them.",
    "MedPix",
    "2019-05-22",
    "10.1007/s00330-020-06817-6",
    "Figure 1",
    "Fig. 2",
    "PMC1234567",
    "DXA: 877",
    "12th grade",
    "#",
    "©",
    "© 2015-2019 - all rights reserved.",
    "No. 12",
    "case no. 4",
    "My lungs hurt.",
    "Not a valid image.",
    "Invalid image: no pixels.",
    "The image is blank.",
    "The image is not clear.",
    "The picture is not of sufficient quality.",
    "It is not clear.",
    "There is not enough detail.",
    "There is insufficient information to answer.",
    "There is no information.",
    "There is no context.",
    "No information available",
    "No context is given.",
    "No question was asked.",
    "No clue",
    "There is no way to tell.",
    "No way to know.",
    "There is no way of knowing",
    "I have no information.",
    "I have no access to the image.",
    "I have no opinion.",
    "Nobody knows.",
    "It's not for me to say.",
    "That is not something I can answer.",
    "That's not something that can be determined.",
    "Not possible to determine.",
    "Not determinable",
    "Undetermined.",
    "I refuse.",
    "I must decline.",
    "I decline to answer",
    "Declined.",
    "Access denied.",
    "Rate limit exceeded",
    "500 Internal Server Error",
    "Timeout",
    "<html><body>not found</body></html>",
    "[no answer]",
    "(no answer)",
    "no output",
    "<no response>",
    "no_answer",
    "No answer provided.",
    "not answered",
    "NaN",
    "False positive rate",
    "True story.",
    "Yes-no question",
    "This is a yes/no question.",
    "The question requires a yes or no answer.",
    "I was asked a yes or no question.",
    "\u200b",
    "-1",
    "0.5",
    "NA",
    "n.a.",
    "tbd",
    "TODO",
    "skip",
    "pass",
    "no image",
    "No image",
    "no image available.",
    "no picture",
    "no attachment",
    "Image missing",
    "Missing image",
    "I need the image.",
    "Where is the image?",
    "Could you upload the image?",
    "Can you provide more details?",
    "What would you like to know?",
    "I'd be glad to help, but no image came through.",
    "It seems that the image did not come through.",
    "It looks like no image was attached.",
    "It appears you have not attached an image.",
    "You did not attach an image.",
    "You haven't provided an image.",
    "The file is not supported.",
    "This format is not supported.",
    "Unsupported image.",
    "The image does not load.",
    "The link does not work.",
    "This content may violate our policy.",
    "I'm not able to help with medical diagnosis.",
    "I am not allowed to interpret medical images.",
    "I'm not trained to read scans.",
    "I'm only a language model.",
    "I am a language model and have no eyes.",
    "For medical questions please see a doctor, not an AI.",
    "This is not medical advice.",
    "Not medical advice.",
    "Nein",
    "Ja",
    "Oui",
    "不",
    "是",
    "No sé",
    "Non",
    "noo",
    "Knee",
    "Note:",
    "Normalization",
    "know",
    "Nodule",
)
"""None of these says anything to any of the questions."""

PLAIN = (
    ("Yes", "yes"),
    ("No", "no"),
    ("yes.", "yes"),
    ("NO", "no"),
    ("**No**", "no"),
    ("Yes!", "yes"),
    ('"No"', "no"),
    ("No, it is not.", "no"),
    ("Yes, it is.", "yes"),
    ("Answer: No", "no"),
    ("The answer is yes.", "yes"),
    ("The answer is no.", "no"),
    ("The correct answer is: No.", "no"),
    ("True", "yes"),
    ("False", "no"),
    ("True.", "yes"),
    ("False.", "no"),
    ("That is true.", "yes"),
    ("That is false.", "no"),
    ("This statement is true.", "yes"),
    ("This statement is not true.", "no"),
    ("Not true.", "no"),
    ("It is not correct.", "no"),
    ("Correct.", "yes"),
    ("Incorrect.", "no"),
    ("Positive", "yes"),
    ("Negative", "no"),
    ("positive.", "yes"),
    ("Nope", "no"),
    ("Yep", "yes"),
    ("No it is not", "no"),
    ("No there is none", "no"),
    ('{"answer": "no"}', "no"),
    ('{"answer": true}', "yes"),
    ("<answer>Yes</answer>", "yes"),
    ("\\boxed{No}", "no"),
    ("Based on the image, no.", "no"),
    ("Based on the image, yes.", "yes"),
    ("I would say yes.", "yes"),
    ("I'd say no.", "no"),
    ("I think yes", "yes"),
    ("Final answer: No", "no"),
    ("No - not at all", "no"),
    ("No; see above.", "no"),
    ("Yes, but I cannot be certain.", "yes"),
    ("No, I cannot see it.", "no"),
    ("Unfortunately, yes.", "yes"),
    ("Yes, no doubt.", "yes"),
    ("No doubt: yes", "yes"),
    ("Not at all.", "no"),
    ("Not really.", "no"),
    ("It is not.", "no"),
    ("It isn't.", "no"),
    ("Unlikely.", "no"),
    ("Not likely.", "no"),
    ("Very unlikely", "no"),
    ("I'm afraid not.", "no"),
    ("Probably not.", "no"),
    ("Probably yes", "yes"),
    ("Likely.", "yes"),
    ("I don't think so.", "no"),
    ("No.\n\nQuestion: Is there a mass? Answer: Yes", "no"),
    ("Yes. Is there a mass? No.", "yes"),
    ("Sorry, no.", "no"),
    ("no no no", "no"),
    ("Yes yes", "yes"),
    ("yes: see no. 3", "yes"),
    ("Affirmative.", "yes"),
)
"""These say so to any question."""

ABOUT = {
    "Is the heart enlarged?": (
        ("No fracture; the heart is enlarged", "yes"),
        ("No fracture, the heart is enlarged.", "yes"),
        ("There is no fracture. The heart is enlarged.", "yes"),
        ("No effusion, but the heart is enlarged", "yes"),
        ("The heart is enlarged without effusion.", "yes"),
        ("The heart is enlarged, no effusion.", "yes"),
        ("The lungs are free of nodules and the heart is enlarged.", "yes"),
        ("The heart is enlarged; the lungs are not.", "yes"),
        ("The lungs are not enlarged; the heart is enlarged.", "yes"),
        ("The heart is not enlarged.", "no"),
        ("The heart is not enlarged, but there is a fracture.", "no"),
        ("There is a fracture; the heart is not enlarged.", "no"),
        ("A fracture, and the heart isn't enlarged", "no"),
        ("The heart is normal.", "no"),
        ("The heart is normal in size.", "no"),
        ("Heart size is within normal limits.", "no"),
        ("Normal heart size.", "no"),
        ("Normal.", "no"),
        ("The heart size is not normal, it is enlarged.", "yes"),
        ("The heart is unremarkable.", "no"),
        ("No cardiomegaly.", "no"),
        ("There is cardiomegaly.", "yes"),
        ("Cardiomegaly is present.", "yes"),
        ("The cardiac silhouette is enlarged.", "yes"),
        ("The cardiac silhouette is not enlarged.", "no"),
        ("Cardiac enlargement is unlikely.", "no"),
        ("Enlargement of the heart is unlikely.", "no"),
        ("It is unlikely that the heart is enlarged.", "no"),
        ("No enlargement of the heart", "no"),
        ("No evidence of heart enlargement.", "no"),
        ("Enlarged.", "yes"),
        ("It is enlarged.", "yes"),
        ("It's not enlarged.", "no"),
        ("Not enlarged.", "no"),
        ("The heart appears enlarged.", "yes"),
        ("The heart does not appear to be enlarged.", "no"),
        ("I do not think the heart is enlarged.", "no"),
        ("I think the heart is enlarged.", "yes"),
        ("There is no fracture.", None),
        ("No fracture.", None),
        ("The bones are normal.", None),
        ("No pneumothorax is seen.", None),
        ("The liver is not enlarged.", None),
        ("The liver is enlarged.", None),
        ("The heart.", None),
        ("The heart is beautiful", None),
        ("The heart may be enlarged.", None),
        ("The heart could be enlarged.", None),
        ("It cannot be excluded that the heart is enlarged.", None),
        ("The heart is possibly enlarged.", None),
        ("I cannot tell whether the heart is enlarged.", None),
        ("It is unclear if the heart is enlarged", None),
        ("Whether the heart is enlarged cannot be determined.", None),
        ("Heart enlargement cannot be assessed.", None),
        ("I am unable to determine if the heart is enlarged.", None),
        ("I cannot see the image, so I cannot tell whether the heart is enlarged.", None),
        ("Determine if the heart is enlarged.", None),
        ("I'm sorry, I can't help with whether the heart is enlarged.", None),
        ("The heart is enlarged. The heart is not enlarged.", None),
        ("Please tell me if the heart is enlarged", None),
        ("This question asks whether the heart is enlarged.", None),
        ("I cannot confirm that the heart is enlarged.", None),
        ("The heart is either enlarged or not", None),
    ),
    "Is there a fracture?": (
        ("There is no fracture.", "no"),
        ("No fracture.", "no"),
        ("No fractures are seen.", "no"),
        ("There is a fracture.", "yes"),
        ("A fracture is seen.", "yes"),
        ("A fracture is present.", "yes"),
        ("Fracture.", "yes"),
        ("A comminuted fracture of the tibia is seen.", "yes"),
        ("The image shows a fracture.", "yes"),
        ("The image does not show a fracture.", "no"),
        ("No evidence of fracture.", "no"),
        ("There is no evidence of a fracture.", "no"),
        ("No evidence of a fracture or dislocation.", "no"),
        ("Free of fracture.", "no"),
        ("The bones are free of fractures.", "no"),
        ("The image is fracture-free", "no"),
        ("Without fracture.", "no"),
        ("Without evidence of a fracture.", "no"),
        ("Negative for fracture.", "no"),
        ("The X-ray is negative for a fracture.", "no"),
        ("Positive for fracture.", "yes"),
        ("A fracture is unlikely.", "no"),
        ("Fracture is absent.", "no"),
        ("There is an absence of fracture.", "no"),
        ("Absence of fracture.", "no"),
        ("Fracture is not seen.", "no"),
        ("A fracture is not visible in this image.", "no"),
        ("A fracture cannot be seen.", "no"),
        ("I cannot see a fracture.", "no"),
        ("I do not see a fracture.", "no"),
        ("I don't see any fracture in the image.", "no"),
        ("I see a fracture.", "yes"),
        ("I see no fracture.", "no"),
        ("No dislocation or fracture.", "no"),
        ("No effusion, dislocation, or fracture.", "no"),
        ("No effusion, dislocation, or fracture is seen.", "no"),
        ("Neither a dislocation nor a fracture is seen.", "no"),
        ("No dislocation; fracture present.", "yes"),
        ("There is a fracture, but no dislocation.", "yes"),
        ("There is no dislocation but there is a fracture.", "yes"),
        ("There is a fracture without dislocation", "yes"),
        ("Normal.", "no"),
        ("Normal radiograph.", "no"),
        ("The image is normal.", "no"),
        ("No abnormality is seen.", "no"),
        ("No abnormalities.", "no"),
        ("Abnormal.", None),
        ("None.", "no"),
        ("None seen.", "no"),
        ("Absent.", "no"),
        ("Present.", "yes"),
        ("There is not.", "no"),
        ("There isn't.", "no"),
        ("There is.", "yes"),
        ("Not seen.", "no"),
        ("Not visible.", "no"),
        ("Not present.", "no"),
        ("There are none.", "no"),
        ("I don't see one.", "no"),
        ("Not that I can see.", "no"),
        ("The bones are intact without fracture", "no"),
        ("A fracture has been ruled out.", "no"),
        ("A fracture cannot be ruled out.", None),
        ("A fracture cannot be excluded.", None),
        ("There may be a fracture.", None),
        ("Possible fracture.", None),
        ("The heart is normal.", None),
        ("There is no dislocation.", None),
        ("There is no pneumothorax", None),
        ("I cannot determine whether there is a fracture.", None),
        ("I am unable to see a fracture because the image is missing.", None),
        ("No image was provided, so a fracture cannot be identified.", None),
        ("I cannot assist with identifying fractures.", None),
        ("I'm just an AI and can't diagnose a fracture.", None),
        ("Rule out fracture.", None),
        ("The patient denies a fracture", "no"),
        ("Lack of fracture", "no"),
        ("It is not without a fracture.", "yes"),
        ("The fracture is not absent.", "yes"),
        ("There is no absence of fracture", "yes"),
        ("It is false that there is a fracture", "no"),
        ("fracture_no_12.png", None),
        ("Findings: fracture", "yes"),
        ("Findings: no fracture", "no"),
        ("Impression: No acute fracture.", "no"),
        ("no", "no"),
        ("A fracture is likely.", "yes"),
        ("Likely fracture.", "yes"),
        ("There is no doubt about a fracture: it is there", "yes"),
        ("The images shows no sign of a fracture", "no"),
        ("No definite fracture", "no"),
        ("A fracture, in my opinion, cannot be confirmed.", None),
        ("A fracture and a dislocation cannot be confirmed.", None),
    ),
    "Are the lungs normal?": (
        ("The lungs are normal.", "yes"),
        ("Normal.", "yes"),
        ("Normal lungs", "yes"),
        ("Abnormal.", "no"),
        ("The lungs are abnormal.", "no"),
        ("The lungs are not normal.", "no"),
        ("No abnormality.", "yes"),
        ("No abnormality is seen in the lungs.", "yes"),
        ("The lungs are clear.", "yes"),
        ("The heart is normal.", None),
        ("The lungs are unremarkable.", "yes"),
        ("Not normal.", "no"),
        ("The lungs and the heart are normal", "yes"),
    ),
    "Is there any abnormality?": (
        ("Normal.", "no"),
        ("The image is normal.", "no"),
        ("No abnormality.", "no"),
        ("There is an abnormality.", "yes"),
        ("Abnormal.", "yes"),
        ("It is abnormal.", "yes"),
        ("Not normal.", "yes"),
        ("No.", "no"),
        ("There is nothing abnormal.", "no"),
    ),
    "Is there a fracture in the left femur?": (
        ("There is a fracture in the right femur.", None),
        ("There is a fracture in the left femur.", "yes"),
        ("There is no fracture in the left femur.", "no"),
        ("There is no fracture in the right femur.", None),
        ("No fracture.", "no"),
        ("There is a fracture.", "yes"),
        ("No fracture in the right femur, but there is a fracture in the left femur.", "yes"),
        ("There is a fracture in the tibia.", None),
        ("No fracture in the tibia.", None),
        ("Left femur.", None),
    ),
    "Is there a pleural effusion?": (
        ("There is a pericardial effusion.", None),
        ("No pericardial effusion.", None),
        ("No effusion.", "no"),
        ("No pleural effusion or pneumothorax.", "no"),
        ("No pneumothorax or pleural effusion.", "no"),
        ("Pleural effusions are seen bilaterally.", "yes"),
        ("There is no pneumothorax, and there is a pleural effusion.", "yes"),
    ),
    "Is the mass on the left?": (
        ("The mass is on the left.", "yes"),
        ("The mass is on the right.", "no"),
        ("The mass is not on the left.", "no"),
        ("The mass is on the right, not on the left.", "no"),
        ("On the left.", "yes"),
        ("Left.", "yes"),
        ("Right.", "no"),
        ("It is on the right side.", "no"),
        ("The mass is on the left, not on the right.", "yes"),
        ("Not on the left but on the right.", "no"),
    ),
    "Is this an MRI?": (
        ("This is an MRI.", "yes"),
        ("It is an MRI scan.", "yes"),
        ("This is not an MRI.", "no"),
        ("This is a CT, not an MRI.", "no"),
        ("MRI", "yes"),
        ("This is a CT.", None),
        ("Normal.", None),
    ),
    "Was this image taken without contrast?": (
        ("Without contrast.", "yes"),
        ("With contrast.", "no"),
        ("No contrast was used.", "yes"),
        ("No, with contrast", "no"),
    ),
    "Are the lungs free of nodules?": (
        ("The lungs are free of nodules.", "yes"),
        ("No nodules.", "yes"),
        ("There are nodules in the lungs.", "no"),
        ("Yes.", "yes"),
    ),
    "Is there more than one nodule?": (
        ("There is one nodule.", None),
        ("There is more than one nodule.", "yes"),
        ("There is not more than one nodule.", "no"),
        ("One nodule", None),
    ),
    "Is the heart not enlarged?": (
        ("The heart is not enlarged.", None),
        ("No, it is enlarged.", "no"),
    ),
    "Do you see a fracture?": (
        ("I do not.", "no"),
        ("I do.", "yes"),
        ("I don't see a fracture.", "no"),
        ("I do not see the image.", None),
    ),
    "Is there a false lumen?": (
        ("There is a false lumen.", "yes"),
        ("No false lumen.", "no"),
    ),
    "Is the heart enlarged or not?": (
        ("Enlarged.", "yes"),
        ("Not enlarged.", "no"),
        ("enlarged or not", None),
    ),
    "Is a lesion present in the left lung?": (
        ("A lesion is present.", "yes"),
        ("No lesion.", "no"),
        ("No lesion is present in the left lung.", "no"),
        ("No lesion in the right lung", None),
    ),
    "Can fluids be highlighted with this modality?": (
        (
            "Fluids cannot be highlighted with this modality as it does not provide contrast.",
            "no",
        ),
    ),
    "Does the liver show an enhancing mass or lesion?": (
        ("The liver shows an enhancing mass.", "yes"),
    ),
}
"""These speak of what was asked, or of something else."""


def _echoes(question):
    bare = question.rstrip("?")
    return (
        question,
        bare,
        question.lower(),
        question.upper(),
        bare[: len(bare) // 2],
        question[:-4],
        f"{question} {question}",
        f"Question: {question}",
        f"Q: {question}\nA:",
        f"The question is: {question}",
        f"**{question}**",
        f"{question} (yes/no)",
        f"{bare}, yes or no",
        f"{bare} or not",
    )


@pytest.mark.parametrize("answer", NON_ANSWERS)
def test_what_is_no_answer_is_neither_a_yes_nor_a_no(answer):
    assert {question: read_yes_no(question, answer) for question in QUESTIONS} == dict.fromkeys(
        QUESTIONS
    )


@pytest.mark.parametrize("question", [*QUESTIONS, *ABOUT])
def test_an_echo_of_the_question_or_of_its_choices_is_no_answer(question):
    assert {echo: read_yes_no(question, echo) for echo in _echoes(question)} == dict.fromkeys(
        _echoes(question)
    )


@pytest.mark.parametrize(("answer", "says"), PLAIN)
def test_what_answers_by_itself_is_read_to_any_question(answer, says):
    assert {question: read_yes_no(question, answer) for question in QUESTIONS} == dict.fromkeys(
        QUESTIONS, says
    )


@pytest.mark.parametrize(
    ("question", "answer", "says"),
    [(question, *row) for question, rows in ABOUT.items() for row in rows],
)
def test_a_negation_counts_only_inside_what_was_asked(question, answer, says):
    assert read_yes_no(question, answer) == says


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("<think>It may be. Yes?</think> No", "no"),
        ("<think>No fracture, so no.</think>The answer is yes.", "yes"),
        ("<think>Yes, there is a fracture", None),
        ("There isnt a fracture", "no"),
        ("Theres no fracture", "no"),
        ("I don't believe there is a fracture", "no"),
        ("A fracture is not unlikely", None),
        ("The radiograph shows no fracture but shows swelling.", "no"),
        ("No fracture, though one cannot be sure.", "no"),
        ("Fracture: absent", "no"),
    ],
)
def test_thoughts_are_no_answer_and_short_spellings_are_read(answer, says):
    assert read_yes_no("Is there a fracture?", answer) == says


@pytest.mark.parametrize("piece", ["a", "a.", "a_", "/a", "not the ", "i really ", "is there a "])
def test_an_answer_of_any_length_is_read_in_no_time(piece):
    started = time.perf_counter()
    assert read_yes_no("Is there a fracture?", "Yes. " + piece * 20_000) == "yes"
    assert time.perf_counter() - started < 2


# -- questions that offer a choice ---------------------------------------------------------------

SIDE = "Is the lesion on the left or right side of the brain?"
BOTH = "Are the opacities on the left, right, or both sides?"


@pytest.mark.parametrize(
    ("question", "reference", "answer", "point"),
    [
        (SIDE, "Left", "On the left.", 1.0),
        (SIDE, "Left", "On the right.", 0.0),
        (SIDE, "Left", "On the left and the right.", 0.0),
        (SIDE, "Left", "left or right", None),
        (SIDE, "Left", SIDE, None),
        (SIDE, "Left", "I cannot tell whether it is on the left.", None),
        (SIDE, "Left", "Unable to determine if left.", None),
        (SIDE, "Left", "I cannot see the image.", None),
        (SIDE, "Left", "left_brain_07.png", None),
        (SIDE, "Left", "Copyright 2018. All rights reserved.", None),
        (SIDE, "Left", "In the middle.", None),
        (SIDE, "Left", f"{SIDE} Left", 1.0),
        (BOTH, "Both", BOTH, None),
        (BOTH, "Both", "left, right, or both", None),
        (BOTH, "Both", "On both sides.", 1.0),
        (BOTH, "Both", "On the left.", 0.0),
        ("Is this a CT or a chest X-ray?", "Chest X-ray", "a chest radiograph", 1.0),
        ("Is this an MRI or a CT?", "MRI", "an MR image", 1.0),
        ("Is this an MRI or a CT?", "MRI", "computed tomography", 0.0),
        ("Is this a histology slide or a CT?", "Histology slide", "A tissue section.", 1.0),
        ("Is this a CT or a histology slide?", "CT", "microscopy", 0.0),
        ("Is this a gross specimen or an MRI?", "Gross specimen", "A specimen photograph.", 1.0),
        ("Is this a gross specimen or an MRI?", "MRI", "a macroscopic image", 0.0),
        ("Is this light or electron microscopy?", "Electron", "Electron microscopy.", 1.0),
        ("Is this a chest X-ray or a gross specimen?", "Chest X-ray", "Normal CXR.", 1.0),
        ("Is this a histology slide?", "Yes", "This is a light micrograph.", 1.0),
        ("Where are the nodules?", "Diffuse", "They are diffuse.", 1.0),
        ("Where are the nodules?", "Diffuse", "I cannot see the image.", None),
        ("Is this an infectious process?", "Maybe", "Maybe", 1.0),
        ("Would you expect it?", "Not sure", "Not sure", 1.0),
        ("Is the heart enlarged?", "True", "Yes.", 1.0),
        ("Is the heart enlarged?", "False", "Yes.", 0.0),
        ("Is the heart enlarged?", "Yes", "Maybe.", None),
    ],
)
def test_a_choice_counts_where_one_is_named(question, reference, answer, point):
    assert closed_point(question, reference, answer) == point
    assert closed_value(question, reference, answer) == (point or 0.0)


# -- metrics -------------------------------------------------------------------------------------


def _questions(*rows):
    columns = ["question", "reference", "kind"]
    frame = pd.DataFrame(rows, columns=columns)
    names = [f"q{k}" for k in range(len(frame))]
    return frame.assign(question_id=names, group_id=names, question_type=None, modality=None)


def _constant(questions, answer):
    return questions[["question_id"]].assign(model="m", control="none", draw=0, answer=answer)


def test_what_is_no_answer_is_counted_as_unanswered_and_can_be_looked_at():
    questions = _questions(
        ("Is it on the left or the right?", "left", "closed"),
        ("Is the heart enlarged?", "no", "closed"),
        ("What is it?", "a cyst", "open"),
    )
    answers = _constant(questions, "I cannot see the image.")
    assert not closed_accuracy(questions, answers)["answered"].any()
    found = accuracy_metrics(questions, answers)
    assert found["evaluation.closed_accuracy_m"] == 0.0
    assert found["evaluation.closed_unanswered_m"] == found["evaluation.unanswered_m"] == 2
    shown = unread_answers(questions, answers)
    assert shown["question"].tolist() == list(questions["question"][:2])
    assert set(shown["answer"]) == {"I cannot see the image."}
    assert unread_answers(questions, _constant(questions, None)).empty


@pytest.mark.realdata
def test_a_constant_that_is_no_answer_scores_nothing_on_vqa_rad(realdata, tmp_path):
    questions = read_questions(realdata / "vqa_rad", run=tmp_path)
    truth = questions["reference"].str.lower().str.extract(r"^(yes|no)\b")[0]
    asked = questions[(questions["kind"] == "closed") & truth.notna()]
    assert len(asked) == 251
    for constant in NON_ANSWERS[::6]:
        values = closed_accuracy(asked, _constant(asked, constant))
        assert (values["value"].sum(), values["answered"].sum()) == (0, 0), constant
    for echo in ("{}", "{} yes or no", "Question: {}"):
        said = asked["question"].map(echo.format)
        values = closed_accuracy(asked, _constant(asked, None).assign(answer=said))
        assert (values["value"].sum(), values["answered"].sum()) == (0, 0), echo


@pytest.mark.realdata
def test_vqa_rads_own_closed_answers_read_as_themselves(realdata, tmp_path):
    questions = read_questions(realdata / "vqa_rad", run=tmp_path)
    asked = questions[questions["kind"] == "closed"]
    values = closed_accuracy(asked, _constant(asked, None).assign(answer=asked["reference"]))
    assert values["answered"].all() and values["value"].eq(1.0).all()


# -- LLaVA-Med's own measures --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "answer", "recall"),
    [
        ("left upper lobe", "It lies in the left lobe.", 2 / 3),
        ("left lobe", "left left left", 3 / 4),
        ("left lobe", "the left lobe, the left one", 1.0),
        ("no no", "no", 1.0),
        ("none", "0", 1.0),
        ("2", "There are two.", 1.0),
        ("x-ray", "x ray", 1.0),
        ("x-ray", "a chest x-ray - frontal", 0.0),
        ("3.5 cm", "about 3.5 cm.", 1.0),
        ("right side", "right: side", 1 / 2),
        ("male", "a female patient", 0.0),
        ("a", "the", 0.0),
        ("left", "", 0.0),
    ],
)
def test_llava_meds_recall_counts_repeated_words(reference, answer, recall):
    assert llava_med_recall(reference, answer) == pytest.approx(recall)


@pytest.mark.parametrize(
    ("reference", "answer", "hit"),
    [
        ("Yes", "Yes, it is.", 1.0),
        ("No", "Yes, it is.", 0.0),
        ("No", "The heart is normal.", 1.0),
        ("No", "I do not know.", 1.0),
        ("Yes", "yes or no", 1.0),
        ("No", "yes or no", 1.0),
        ("No", "none", 0.0),
        ("Left", "left", 0.0),
        ("Left", "No, it is on the left.", 1.0),
    ],
)
def test_llava_meds_closed_metric_looks_for_letters(reference, answer, hit):
    assert llava_med_closed(reference, answer) == hit


def test_both_metrics_stand_beside_each_other():
    questions = _questions(
        ("Is the heart enlarged?", "no", "closed"), ("Where?", "left lobe", "open")
    )
    answers = _constant(questions, None).assign(answer=["I do not know.", "left left left"])
    assert closed_accuracy(questions, answers)["value"].tolist() == [0.0]
    assert closed_accuracy(questions, answers, metric="llava-med")["value"].tolist() == [1.0]
    assert open_recall(questions, answers)["value"].tolist() == [0.5]
    assert open_recall(questions, answers, metric="llava-med")["value"].tolist() == [0.75]
    found = accuracy_metrics(questions, answers, metric="llava-med")
    assert found["evaluation.llava_med_closed_accuracy_m"] == 1.0
    assert found["evaluation.llava_med_open_recall_m"] == 0.75
    assert not set(found) & set(accuracy_metrics(questions, answers))
    with pytest.raises(ValueError, match="metric 'bleu': give one of vital, llava-med"):
        closed_accuracy(questions, answers, metric="bleu")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is there a pneumothorax?", "History of pneumothorax."),
        ("Is there a pneumothorax?", "Clinical indication: pneumothorax."),
        ("Is there a pneumothorax?", "Evaluate for pneumothorax."),
        ("Is there a pneumothorax?", "Suspicion for pneumothorax."),
        ("Is there a pneumothorax?", "Differential diagnosis includes pneumothorax and bulla."),
        ("Is there a pneumothorax?", "Further imaging is needed to confirm pneumothorax."),
        ("Is there a pneumothorax?", "The image quality is too poor to evaluate for pneumothorax."),
        ("Is there a pneumothorax?", "A pneumothorax is the presence of air in the pleura."),
        ("Is there a pneumothorax?", "A pneumothorax would be shown by a pleural line."),
        ("Is there a pneumothorax?", "Signs of pneumothorax include absent lung markings."),
        ("Is there a pneumothorax?", "The probability of pneumothorax is 0.2."),
        ("Is there a pneumothorax?", "I can neither confirm nor deny a pneumothorax."),
        ("Is there a pneumothorax?", "? pneumothorax"),
        ("Is there a pneumothorax?", "Yes, I can help with that. Please upload the image."),
        ("Is there a pneumothorax?", "Yes, please provide the image."),
        ("Is there a pneumothorax?", "Yes, I can see the image."),
        ("Is there a pneumothorax?", "Yes, this is a common question."),
        ("Is there a pneumothorax?", "No, I cannot see any image attached."),
        ("Is there a pneumothorax?", "No. I can't help with that."),
        ("Is there a pneumothorax?", "I'm just an AI, no."),
        ("Is there a pneumothorax?", "Wrong image."),
        ("Is there consolidation?", "Consolidation or atelectasis."),
        ("Is there consolidation?", "Consolidation vs atelectasis."),
        ("Is there consolidation?", "Consolidation should be considered."),
        ("Is there consolidation?", "Consolidation typically shows as white opacities."),
        ("Is the heart enlarged?", "An enlarged heart is called cardiomegaly."),
        ("Does the appendix appear inflamed?", "The appendix is not visualized."),
        ("Are the lungs normal?", "The left lung is normal but the right lung is not."),
        ("Is the right kidney larger than the left?", "The left is not larger than the right."),
    ],
)
def test_offers_histories_definitions_and_alternatives_are_no_claims(question, answer):
    assert read_yes_no(question, answer) is None


@pytest.mark.parametrize(
    ("question", "answer", "says"),
    [
        ("Is there a pneumothorax?", "The previously seen pneumothorax has resolved.", "no"),
        ("Has the pneumothorax resolved?", "The pneumothorax has resolved.", "yes"),
        ("Has the pneumothorax resolved?", "The pneumothorax has not resolved.", "no"),
        ("Is the right kidney larger than the left?", "The left kidney is larger than the right.",
         "no"),
        ("Is the right kidney larger than the left?", "The right kidney is larger than the left.",
         "yes"),
        ("Is there a pneumothorax?", "No. Please provide the lateral view.", "no"),
        ("Is there a pneumothorax?",
         "Yes, it is a tension pneumothorax. Please share the image with a doctor.", "yes"),
        ("Is there a pneumothorax?", "Yes, I can try to describe it: there is a pneumothorax.",
         "yes"),
        ("Is there a mass or a cyst?", "There is a mass or a cyst.", "yes"),
        ("Can you see the liver?", "Yes, I can see the liver.", "yes"),
        ("Is there a pneumothorax?", "There is no concern for pneumothorax.", "no"),
        ("Is there an effusion?", "There is an effusion with no mass or nodule.", "yes"),
    ],
)  # fmt: skip
def test_what_has_resolved_or_is_compared_the_other_way_round_is_denied(question, answer, says):
    assert read_yes_no(question, answer) == says
