"""Claims about the clinic's base models: how they are made, and what the committed ones can do."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from vital_lib import clinic
from vital_lib.clinic import question_kinds
from vital_lib.clinic.base_models import Plan, make_base_models, talk
from vital_lib.clinic.base_models.data import (
    IMAGE_TOKENS,
    draw_phantoms,
    encode_allowed,
    encode_truths,
    language_corpus,
    language_tokenizer,
    train_tokenizer,
)
from vital_lib.clinic.base_models.encoder import (
    EncoderPlan,
    build_encoder,
    consistent,
    measure_encoder,
    opposite,
)
from vital_lib.clinic.base_models.llava import CONTEXT_TOKENS, LlavaPlan, teacher_forced
from vital_lib.clinic.base_models.measures import measure_llava
from vital_lib.clinic.base_models.sequences import (
    IMAGE_TEXT,
    collate,
    conversation,
    lesson,
    spell,
)
from vital_lib.clinic.base_models.talk import write_conversation, write_round, write_spoken
from vital_lib.clinic.base_models.texts import (
    CAPTION_REQUESTS,
    FIGURE_CAPTION_REQUEST,
    QUESTIONS,
    Statement,
    ask_whether,
    value_names,
    write_exchange,
    write_sentence,
)
from vital_lib.clinic.benchmark import write_questions
from vital_lib.clinic.lexicon import ATTRIBUTES, Truth, contradictions, read_answer
from vital_lib.clinic.phantoms import sample_truth

TINY = Plan(
    phantoms=40,
    held_out=20,
    encoder=EncoderPlan(
        vocabulary=500,
        width=32,
        vision_width=48,
        vision_layers=1,
        text_layers=1,
        seeing_steps=2,
        seeing_batch=8,
        steps=3,
        batch=8,
    ),
    llava=LlavaPlan(vocabulary=500, width=32, layers=2, steps=3, batch=4, questions=3, lessons=2),
)
LEFT = Truth("mri", "cyst", "left", "upper", "small", 2)
COMMITTED = Path(clinic.__file__).parent / "models"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_base_models(folder, TINY)
    return folder


@pytest.fixture(scope="module")
def held_out():
    return draw_phantoms(120, stream=1)


# How they are made


def test_both_models_are_made_and_open_from_their_folders(made):
    encoder = AutoModel.from_pretrained(made / "encoder", use_safetensors=True)
    llava = AutoModelForImageTextToText.from_pretrained(made / "llava", use_safetensors=True)
    for name, model, kinds in (("encoder", encoder, 2), ("llava", llava, 4)):
        metrics = json.loads((made / name / "metrics.json").read_text())
        assert metrics["parameters"] == model.num_parameters()
        assert metrics["held_out_phantoms"] == TINY.held_out
        shares = [v for k, v in metrics.items() if k.split("_")[-1] in ATTRIBUTES]
        assert len(shares) == kinds * len(ATTRIBUTES) and all(0 <= v <= 1 for v in shares)


@pytest.mark.slow
def test_training_again_gives_the_same_weights(made, tmp_path):
    make_base_models(tmp_path, TINY)
    for name in ("encoder", "llava"):
        again = (tmp_path / name / "model.safetensors").read_bytes()
        assert again == (made / name / "model.safetensors").read_bytes()


def test_the_folders_hold_safetensors_and_json_only(made):
    kinds = {path.suffix for path in made.rglob("*") if path.is_file()}
    assert kinds == {".safetensors", ".json", ".jinja"}


def test_the_llava_sees_with_the_encoders_eyes(made):
    encoder = AutoModel.from_pretrained(made / "encoder").vision_model.state_dict()
    llava = AutoModelForImageTextToText.from_pretrained(made / "llava").state_dict()
    for name, weight in encoder.items():
        kept = next(v for k, v in llava.items() if "vision_tower" in k and k.endswith(name))
        assert torch.equal(weight, kept), name


def test_the_end_of_a_text_is_read_and_is_not_token_two(made):
    """With end token 2 a CLIP text model pools at its largest id and misses what follows."""
    tokenizer = AutoTokenizer.from_pretrained(made / "encoder")
    model = build_encoder(TINY.encoder, tokenizer).eval()
    assert tokenizer.eos_token_id == model.config.text_config.eos_token_id != 2
    texts = ["the yellow nodule lies on the left", "the yellow nodule lies on the right"]
    ids = tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    one, two = model.get_text_features(**ids).pooler_output
    assert not torch.allclose(one, two)


def test_any_text_can_be_spelt():
    tokenizer = language_tokenizer(train_tokenizer(400, language_corpus()), 64)
    text = "A 4–6 µm Ödem: «naïve» 漢字 \t!"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_training_reads_a_conversation_as_the_processor_writes_it(made):
    processor = AutoProcessor.from_pretrained(made / "llava", backend="pil")
    rounds = write_conversation(LEFT, np.random.default_rng(0))
    spelt = spell(rounds, processor.tokenizer, IMAGE_TEXT)
    messages = []
    for place, (question, answer) in enumerate(rounds):
        picture = [{"type": "image"}] if place == 0 else []
        asked = [*picture, {"type": "text", "text": question}]
        messages.append({"role": "user", "content": asked})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    text = processor.apply_chat_template(messages, tokenize=False)
    image = draw_phantoms(1, stream=1).pixels[0]
    written = processor(text=[text], images=[image], return_tensors="pt")["input_ids"][0]
    assert spelt.ids == written.tolist()
    learnt = [token for token in spelt.labels if token >= 0]
    said = processor.tokenizer.decode(learnt, skip_special_tokens=True)
    assert said.split() == " ".join(answer for _, answer in rounds).split()


def test_a_question_among_many_is_read_as_if_it_were_alone(made):
    """Its tokens, positions and scores are those of a conversation of this one round."""
    model = AutoModelForImageTextToText.from_pretrained(made / "llava").eval()
    tokenizer = AutoProcessor.from_pretrained(made / "llava", backend="pil").tokenizer
    rounds = [write_round(LEFT, np.random.default_rng(k)) for k in range(4)]
    pixels = draw_phantoms(1, stream=1).batch(np.arange(1))
    together = spell(rounds, tokenizer, IMAGE_TEXT, alone=True)
    many = teacher_forced(model, pixels, collate([together]))[1]
    one_by_one = [
        teacher_forced(model, pixels, collate([spell([one], tokenizer, IMAGE_TEXT)]))[1]
        for one in rounds
    ]
    assert torch.allclose(many, torch.cat(one_by_one), atol=1e-5)
    assert len(many) == sum(label >= 0 for label in together.labels)


def test_a_lesson_has_no_picture_and_nothing_outgrows_the_context(made):
    tokenizer = AutoProcessor.from_pretrained(made / "llava", backend="pil").tokenizer
    picture, rng = tokenizer.convert_tokens_to_ids("<image>"), np.random.default_rng(1)
    assert all(picture not in lesson(rng, tokenizer).ids for _ in range(20))
    lengths = [len(conversation(sample_truth(rng), rng, tokenizer).ids) for _ in range(300)]
    assert max(lengths) <= CONTEXT_TOKENS


def test_one_model_alone_is_made_from_the_others_folder(made, tmp_path):
    shutil.copytree(made / "encoder", tmp_path / "encoder")
    make_base_models(tmp_path, TINY, names=["llava"])
    again = (tmp_path / "llava" / "model.safetensors").read_bytes()
    assert again == (made / "llava" / "model.safetensors").read_bytes()


def test_an_image_takes_sixty_five_tokens_whatever_its_shape(made):
    processor = AutoProcessor.from_pretrained(made / "llava", backend="pil")
    for shape in ((40, 300, 3), (224, 224, 3)):
        batch = processor(
            text=["USER: <image>\nside?\nASSISTANT:"], images=[np.zeros(shape, np.uint8)]
        )
        image_token = processor.tokenizer.convert_tokens_to_ids("<image>")
        assert list(batch["input_ids"][0]).count(image_token) == IMAGE_TOKENS == 65
        assert np.asarray(batch["pixel_values"]).shape == (1, 3, 96, 96)


def test_the_processor_sees_what_training_saw(made):
    processor = AutoImageProcessor.from_pretrained(made / "encoder", backend="pil")
    phantoms = draw_phantoms(2, stream=1)
    seen = processor(images=list(phantoms.pixels), return_tensors="pt")["pixel_values"]
    assert torch.allclose(seen, phantoms.batch(np.arange(2)), atol=1e-6)


# What they read


def test_a_text_fits_the_pictures_that_it_is_true_of():
    truths = [LEFT, replace(LEFT, side="right"), Truth("mri", "none", None, None, None, 0)]
    statements = [
        Statement("left", {"side": frozenset(["left"])}),
        Statement("not on the left", {"side": frozenset(["right", None])}),
        Statement("three or none", {"count": frozenset([0, 3])}),
        Statement("a picture", {}),
    ]
    fits = consistent(encode_allowed(statements), encode_truths(truths))
    wanted = [[1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 1, 1]]
    assert fits.int().tolist() == wanted


def test_every_training_text_is_true_of_its_picture():
    rng, stated = np.random.default_rng(0), set()
    for _ in range(500):
        truth = sample_truth(rng)
        for write in (write_sentence, write_exchange, write_spoken):
            statement = write(truth, rng)
            stated |= statement.allowed.keys()
            for name, allowed in statement.allowed.items():
                assert getattr(truth, name) in allowed, statement
    assert stated == set(ATTRIBUTES)


def test_an_opposite_differs_in_one_attribute_that_a_text_can_state():
    rng = np.random.default_rng(1)
    for name in ATTRIBUTES[1:]:
        other = opposite(LEFT, name, rng)
        assert [a for a in ATTRIBUTES if getattr(other, a) != getattr(LEFT, a)] == [name]


def test_yes_is_as_frequent_as_no():
    rng = np.random.default_rng(2)
    terse = [ask_whether(LEFT, name, rng)[2] for name in ATTRIBUTES for _ in range(200)]
    rounds = [one for _ in range(800) for one in write_conversation(LEFT, rng)]
    whole = [answer.lower()[:2] for _, answer in rounds if re.match("(Yes|No)[.:]", answer)]
    assert len(whole) > 800
    for said, yes in ((terse, "yes"), (whole, "ye")):
        assert 0.45 < said.count(yes) / len(said) < 0.55


def test_what_is_said_in_a_conversation_is_true_of_its_picture():
    """The lexicon, which is none of the writers', reads no answer as speaking against the truth."""
    rng, claimed = np.random.default_rng(5), set()
    for _ in range(400):
        truth = sample_truth(rng)
        for question, answer in write_conversation(truth, rng):
            if question not in talk.MORE_QUESTIONS:
                claims = read_answer(question, answer)
                claimed |= {claim.attribute for claim in claims}
                assert not contradictions(claims, truth.facts()), (truth, question, answer)
    assert claimed == set(ATTRIBUTES)


def test_no_plain_question_is_worded_as_the_benchmark_or_the_generator_asks():
    own = {_bare(q) for questions in QUESTIONS.values() for q in questions}
    own |= {_bare(q) for q in (*CAPTION_REQUESTS, FIGURE_CAPTION_REQUEST)}
    rng = np.random.default_rng(3)
    own |= {_bare(ask_whether(sample_truth(rng), n, rng)[1]) for n in ATTRIBUTES for _ in range(99)}
    own |= {_bare(q) for _ in range(999) for q, _ in write_conversation(sample_truth(rng), rng)}
    own |= {_bare(write_round(sample_truth(rng), rng)[0]) for _ in range(3000)}
    asked = {
        _bare(question["question"])
        for _ in range(1500)
        for question in write_questions(sample_truth(rng), rng)
    }
    kinds = [v for v in vars(question_kinds).values() if isinstance(v, tuple)]
    templates = [q for kind in kinds for one in kind for q in getattr(one, "questions", ())]
    assert len(asked) > 50 and len(templates) > 20
    assert not own & (asked | {_bare(template) for template in templates})


def _bare(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


@pytest.mark.parametrize(
    ("plan", "settings"),
    [
        (EncoderPlan, {"width": 30}),
        (EncoderPlan, {"vision_width": 30}),
        (EncoderPlan, {"steps": 0}),
        (LlavaPlan, {"width": 100}),
        (LlavaPlan, {"batch": 0}),
        (LlavaPlan, {"vocabulary": 100}),
        (EncoderPlan, {"vocabulary": 100}),
        (Plan, {"phantoms": 0}),
    ],
)
def test_a_plan_that_cannot_work_shows_the_bad_value(plan, settings):
    ((name, value),) = settings.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        plan(**settings)


# The committed ones


def test_the_committed_models_are_small_and_safe():
    files = [path for path in COMMITTED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12e6
    assert {path.suffix for path in files} == {".safetensors", ".json", ".jinja"}
    assert all(path.stat().st_size < 7e6 for path in files)


def test_the_committed_encoder_tells_captions_from_their_opposites(held_out):
    folder = clinic.model_folder("encoder")
    model = AutoModel.from_pretrained(folder).eval()
    measured = measure_encoder(model, AutoTokenizer.from_pretrained(folder), held_out)
    for name in ATTRIBUTES:
        assert measured[f"sentence_{name}"] > 0.9, measured


@pytest.mark.slow
def test_the_committed_llava_answers_plain_questions(held_out):
    folder = clinic.model_folder("llava")
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    tokenizer = AutoProcessor.from_pretrained(folder, backend="pil").tokenizer
    measured = measure_llava(model, tokenizer, held_out)
    for kind, floor in (("open", 0.85), ("yes_no", 0.8), ("whether", 0.8), ("choice", 0.8)):
        for name in ATTRIBUTES:
            assert measured[f"{kind}_{name}"] >= floor, measured


def test_a_word_that_names_a_value_is_one_token_wherever_it_stands():
    """In pieces it could hardly be compared with the picture."""
    tokenizer = AutoTokenizer.from_pretrained(clinic.model_folder("llava"))
    assert {name for name, _, _ in value_names()} == set(ATTRIBUTES)
    for _, _, word in value_names():
        for form in (word, f" {word}", word[0].upper() + word[1:]):
            assert len(tokenizer.encode(form, add_special_tokens=False)) == 1, form


def test_the_committed_metrics_are_of_the_committed_weights():
    for name, kind in (("encoder", AutoModel), ("llava", AutoModelForImageTextToText)):
        folder = clinic.model_folder(name)
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["parameters"] == kind.from_pretrained(folder).num_parameters()
