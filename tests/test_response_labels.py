"""Property: the loss counts the responses and their end-of-turn tokens, and nothing else.

Every template is given hostile conversations. What is labelled is decoded by the tokenizer and
compared with what was asked for, so the test does not depend on how the labels were found.
"""

from __future__ import annotations

import copy
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_models import ARCHITECTURES, GEMMA_TEMPLATE, LLAVA_TEMPLATE, QWEN3_TEMPLATE

from vital_lib.models import UnusableTemplate, VisionLanguageModel, load_model
from vital_lib.tuning import IGNORED, encode_rounds

_TURN = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{% for part in message.content if part.type == 'image' %}<|image_pad|>{% endfor %}"
    "{% for part in message.content if part.type == 'text' %}"
    "{{ part.text.split('</think>')[-1] | trim }}{% endfor %}<|im_end|>\n{% endfor %}"
)
_BRACKETS = (
    "{% for message in messages %}{% set text = message.content[-1].text %}"
    "{% if message.role == 'user' %}[INST] {% if loop.first %}"
    "{% for part in message.content[:-1] %}<image>{% endfor %}\n{% endif %}"
    "{{ text }} [/INST]{% else %} {{ text }}END{% endif %}"
    "{% endfor %}"
)
_OPEN = "{% if add_generation_prompt %}<|im_start|>assistant\nTHINK{% endif %}"
# family -> name of a template of its own -> the template
OWN_TEMPLATES = {
    "qwen3": {
        "thinking in the last turn only": _TURN + _OPEN.replace("THINK", ""),
        "thinking opened by the prompt": _TURN + _OPEN.replace("THINK", "<think>\n\n</think>\n\n"),
        "the image after the question": QWEN3_TEMPLATE.replace(
            "{% for part in message['content'] %}",
            "{% for part in message['content'] | reverse %}",
        ),
    },
    "llava": {
        "brackets, an end token per turn": _BRACKETS.replace("END", "</s>"),
        "brackets, an end token after the last turn": _BRACKETS.replace(
            "END", "{% if loop.last %}</s>{% endif %}"
        ),
        "trimmed": LLAVA_TEMPLATE.replace("part['text'] }}", "part['text'] | trim }}"),
    },
}
FORMATS = [(family, None) for family in ARCHITECTURES]
FORMATS += [(family, name) for family, own in OWN_TEMPLATES.items() for name in own]

_MARKERS = [
    "USER:", "ASSISTANT:", "User:", "Assistant: ", "model\n", "[/INST]", "<think>", "</think>",
    "</s>", "<image>", "<|im_end|>", "<|im_start|>assistant\n", "<end_of_turn>", "<start_of_image>",
    "<end_of_utterance>", "<fake_token_around_image>", "<|image_pad|>", "<row_1_col_1>", "<pad>",
    "<im<image>age>", "{{ text }}", "{% endfor %}", "\ue0000\ue001", "Which modality is it?",
    "\n", "\n\n", "  ", "\t", " ", "\r\n", ".", "ja\u0301", "\u0301", "ガ", "שלום", "🫁", "\u200b",
]  # fmt: skip
_TEXTS = st.one_of(
    st.lists(st.one_of(st.sampled_from(_MARKERS), st.text(max_size=8)), max_size=6).map("".join),
    st.sampled_from(["x", "", "No.", "word " * 300, "\n \n", "<image>"]),
)
_ROUNDS = st.lists(st.tuples(_TEXTS, _TEXTS), min_size=1, max_size=4)
_EXAMPLES = settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The model of each family, loaded once."""
    return {
        name: load_model(make(tmp_path_factory.mktemp(name.replace(".", "_"))))
        for name, make in ARCHITECTURES.items()
    }


def _with_template(vlm, template):
    processor = copy.copy(vlm.processor)
    processor.chat_template = template
    return VisionLanguageModel(vlm.model, processor, vlm.name)


@pytest.fixture(params=FORMATS, ids=lambda pair: " - ".join(filter(None, pair)))
def vlm(models, request):
    family, own = request.param
    found = models[family]
    return found if own is None else _with_template(found, OWN_TEMPLATES[family][own])


def _said(vlm, text):
    """The text as a tokenizer of this family gives it back, without control tokens."""
    control = {*vlm.processor.tokenizer.all_special_tokens, vlm.processor.image_token}
    control |= {t.content for t in vlm.processor.tokenizer.added_tokens_decoder.values()}
    for token in sorted(control, key=len, reverse=True):
        text = text.replace(token, " ")
    if "qwen" in vlm.name:
        text = unicodedata.normalize("NFC", text.strip())
    return text.strip().replace("\u2581", " ")


def _labelled(vlm, tokens):
    """The consecutive stretches of labelled tokens, decoded."""
    runs, run = [], []
    for token, label in zip([*tokens["input_ids"], 0], [*tokens["labels"], IGNORED], strict=True):
        if label != IGNORED:
            assert label == token
            run.append(label)
        elif run:
            runs.append(vlm.processor.tokenizer.decode(run, skip_special_tokens=False))
            run = []
    return runs


_IMAGE = Image.new("RGB", (40, 30), "navy")


@_EXAMPLES
@given(rounds=_ROUNDS)
def test_what_is_labelled_is_each_response_and_its_end(vlm, rounds):
    tokens, _ = encode_rounds(vlm, rounds, _IMAGE)
    end = vlm.processor.tokenizer.convert_ids_to_tokens(
        next(k for k in reversed(tokens["labels"]) if k != IGNORED)
    )
    assert end in ("</s>", "<|im_end|>", "<end_of_utterance>", "<end_of_turn>")
    found = [text.lstrip(" ") for text in _labelled(vlm, tokens)]
    assert found == [(_said(vlm, response) + end).lstrip(" ") for _, response in rounds]


@_EXAMPLES
@given(rounds=_ROUNDS)
def test_what_is_not_labelled_is_the_prompt_of_the_last_round(vlm, rounds):
    """Up to the ends that are put in where the template writes none."""
    tokens, _ = encode_rounds(vlm, rounds, _IMAGE)
    prompt = vlm.chat([*rounds[:-1], (rounds[-1][0], None)])
    asked = vlm.tensors([prompt], [_IMAGE])["input_ids"][0].tolist()
    ids, labels = tokens["input_ids"], tokens["labels"]
    last = len(labels) - next(
        k for k, label in enumerate([*labels[::-1], IGNORED]) if label == IGNORED
    )
    if len(rounds) == 1 or vlm.format.ending.strip() in vlm.chat([("a", "b"), ("c", None)]):
        assert ids[:last] == asked
    unlabelled = sum(label == IGNORED for label in labels)
    alone, _ = encode_rounds(vlm, [(question, "") for question, _ in rounds], _IMAGE)
    if not any("\u0301" in text for pair in rounds for text in pair):
        assert unlabelled == sum(label == IGNORED for label in alone["labels"])


@_EXAMPLES
@given(rounds=_ROUNDS)
def test_no_image_token_is_lost_or_won(vlm, rounds):
    images = [_IMAGE, Image.new("RGB", (90, 200), "gray")]
    tokens, _ = encode_rounds(vlm, rounds, images)
    plain, _ = encode_rounds(vlm, [("Which?", "A CT.")], images)
    mark = vlm.model.config.image_token_id
    assert tokens["input_ids"].count(mark) == plain["input_ids"].count(mark) > 2
    assert mark not in tokens["labels"]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (LLAVA_TEMPLATE.replace("<image>", ""), "writes '<image>' 0 times for 1 images"),
        (LLAVA_TEMPLATE.replace("<image>", "<image><image>"), "'<image>' 2 times for 1 images"),
        ("{{ messages[0].content[-1].text }}", "writes 1 of 2 texts of 1 rounds"),
        ("{{ raise_exception('no images here') }}", "fails for 1 rounds .* no images here"),
        ("{% for message in messages %}{{ message.oops.gone }}{% endfor %}", "fails for 1 rounds"),
        (LLAVA_TEMPLATE.replace("{{ part['text'] }}", "{{ part['text'][:2] }}"), "writes 0 of 2"),
    ],
)
def test_a_template_that_loses_a_text_or_an_image_is_refused(models, template, said):
    with pytest.raises(UnusableTemplate, match=said):
        _with_template(models["llava"], template)


def test_a_template_that_refuses_a_system_turn_is_used_without_one(models):
    assert "raise_exception" in GEMMA_TEMPLATE
    assert models["gemma3"].chat([("Which?", None)]) == (
        "<bos><start_of_turn>user\n<start_of_image>Which?<end_of_turn>\n<start_of_turn>model\n"
    )
