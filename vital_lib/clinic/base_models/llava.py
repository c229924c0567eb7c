"""The clinic's vision-language model: a tiny LLaVA that answers plain questions about phantoms.

Its vision tower starts as the encoder's (Liu and others 2023, at the size of a toy). It learns to
talk about pictures in a wording of its own, to write captions, and the English of a small textbook:
it can see and speak, but has still to learn how the benchmark asks and what clinicians prefer.
Knows nothing about the benchmark, candidates or tuning.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import (
    CLIPModel,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from vital_lib.clinic.base_models.data import (
    IMAGE_TOKENS,
    PATCH_SIDE,
    SPECIAL,
    Phantoms,
    check_vocabulary,
    image_processor,
)
from vital_lib.clinic.base_models.talk import (
    Round,
    ask_whether_so,
    choose_of_two,
    write_conversation,
    write_lesson,
    write_round,
)
from vital_lib.clinic.base_models.texts import (
    FIGURE_CAPTION_REQUEST,
    VALUES,
    ask_for_caption,
    ask_plainly,
    ask_whether,
    value_names,
)
from vital_lib.clinic.base_models.vision import Descent, random_shift
from vital_lib.clinic.captions import write_caption
from vital_lib.clinic.lexicon import ATTRIBUTES, Truth, contradictions, read_answer

LOG = logging.getLogger(__name__)
CONTEXT_TOKENS = 1024
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ 'ASSISTANT: ' }}"
    "{% elif message['role'] == 'user' %}{{ 'USER: ' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>\n' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% else %}{{ '\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
CAPTIONS = 0.12
_IGNORED = -100
_SELECTED = "full"
"""Patches and class token: the encoder's teacher put every attribute into the latter."""
IMAGE_TEXT = "<image>" * IMAGE_TOKENS + "\n"


@dataclass(frozen=True)
class LlavaPlan:
    """Size and training of the vision-language model."""

    vocabulary: int = 2_400
    width: int = 128
    layers: int = 4
    heads: int = 4
    steps: int = 1400
    batch: int = 24
    questions: int = 8  # about a picture, each by itself
    conversations: float = 0.25  # share of pictures that are talked about instead
    lessons: int = 4  # from the textbook, beside each batch
    reminding: float = 1.0  # weight of the reminder beside the answers
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        check_vocabulary(self.vocabulary)
        if self.width % (2 * self.heads):
            raise ValueError(f"width={self.width} is not a multiple of 2*heads={2 * self.heads}")
        if self.layers < 2:
            raise ValueError(f"layers={self.layers}: wanted at least 2, both are taught apart")
        if self.steps < 1 or self.batch < 1:
            raise ValueError(f"steps={self.steps}, batch={self.batch}: wanted at least 1")


@dataclass
class Spelt:
    """A text as tokens, each list as long as the text.

    ``labels`` are -100 outside the answers; ``weights`` say how much a token counts in the loss;
    ``rounds`` are 0 where all that follows may look, else the number of a round that stands alone.
    """

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)

    def add(self, tokens: list[int], *, place: int, learnt: bool = False) -> None:
        """Append `tokens`; of a learnt answer the first counts 1, others 1 / sqrt(its length)."""
        self.ids += tokens
        self.labels += tokens if learnt else [_IGNORED] * len(tokens)
        self.weights += _weights(len(tokens)) if learnt else [0.0] * len(tokens)
        self.rounds += [place] * len(tokens)


def _weights(length: int) -> list[float]:
    return [1.0] + [length**-0.5] * (length - 1)


class Reminder(nn.Module):
    """Linear heads that teach a question's tokens to compare words with the picture; thrown away.

    Whether "left?" is true is a comparison, and neither word nor picture alone tells it: a model
    this small stays at chance for thousands of steps. So the first layer of the language half is
    taught that every token of a question knows what the picture shows, and the second that a token
    which names a value knows whether the picture has it.
    """

    def __init__(self, width: int, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, len(VALUES[name])) for name in ATTRIBUTES)
        self.truth = nn.Linear(width, 1)
        self.register_buffer("named", _named_values(tokenizer))

    def loss(
        self, layers: Sequence[torch.Tensor], ids: torch.Tensor, labels: torch.Tensor,
        codes: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Sum of both mean cross-entropies.

        `layers` (b, L, width) are hidden states after each layer, the embedding first; `ids` and
        `labels` (b, L) are of the tokens, `codes` (b, 6) of the pictures.
        """
        asked = (labels == _IGNORED) & (ids > len(SPECIAL))
        wanted = codes[:, None, :].expand(*asked.shape, -1)  # (b, L, 6)
        known = layers[1][asked]
        knowing = [
            nn.functional.cross_entropy(head(known).float(), wanted[asked][:, place])
            for place, head in enumerate(self.heads)
        ]
        named = self.named[ids]  # (b, L, 2): attribute and code
        names = asked & (named[..., 0] >= 0)
        has = wanted.gather(2, named[..., :1].clamp(min=0))[..., 0] == named[..., 1]
        comparing = nn.functional.binary_cross_entropy_with_logits(
            self.truth(layers[2][names])[..., 0].float(), has[names].float()
        )
        return torch.stack(knowing).mean() + comparing


def _named_values(tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """Which value each token names: attribute and code, both -1 for most, (vocabulary, 2)."""
    named = torch.full((len(tokenizer), 2), -1)
    for name, value, word in value_names():
        place, code = ATTRIBUTES.index(name), VALUES[name].index(value)
        for form in {word, word[0].upper() + word[1:]}:
            for before in ("", " "):
                tokens = _ids(tokenizer, before + form)
                if len(tokens) == 1:
                    named[tokens[0]] = torch.tensor([place, code])
    return named


def build_llava(
    plan: LlavaPlan, encoder: CLIPModel, tokenizer: PreTrainedTokenizerFast
) -> LlavaForConditionalGeneration:
    """A LLaVA with fresh language weights and the vision tower of `encoder`."""
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = LlavaConfig(
        vision_config=encoder.config.vision_config,
        text_config=_language_config(plan, len(tokenizer), ids),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy=_SELECTED,
        tie_word_embeddings=True,
        **ids,
    )
    torch.manual_seed(plan.seed)
    model = LlavaForConditionalGeneration(config)
    tower = model.model.vision_tower
    tower = getattr(tower, "vision_model", tower)
    tower.load_state_dict(encoder.vision_model.state_dict())
    model.generation_config = GenerationConfig(max_new_tokens=48, do_sample=False, **ids)
    return model


def _language_config(plan: LlavaPlan, vocabulary: int, ids: dict[str, int]) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=plan.width,
        intermediate_size=int(2.5 * plan.width),
        num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads,
        num_key_value_heads=plan.heads,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        **ids,
    )


def make_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Image processor, tokenizer and chat template as one."""
    return LlavaProcessor(
        image_processor(),
        tokenizer,
        patch_size=PATCH_SIDE,
        vision_feature_select_strategy=_SELECTED,
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def train_llava(
    plan: LlavaPlan, encoder: CLIPModel, phantoms: Phantoms, tokenizer: PreTrainedTokenizerFast
) -> LlavaForConditionalGeneration:
    """A trained LLaVA: cross-entropy over the answers, the vision tower left as the encoder's.

    Most pictures come with many questions, each of which sees the picture and itself alone: that
    teaches what a conversation of one round each would, for a fraction of its tokens.
    """
    model = build_llava(plan, encoder, tokenizer)
    model.model.vision_tower.requires_grad_(False)
    model.set_attn_implementation("eager")  # for masks of any shape several times as fast
    reminder = Reminder(plan.width, tokenizer)
    descent = Descent([model, reminder], steps=plan.steps, learning_rate=plan.learning_rate)
    rng = np.random.default_rng(plan.seed)
    started = time.monotonic()
    model.train()
    for step in range(plan.steps):
        rows = rng.integers(len(phantoms.truths), size=plan.batch)
        read = [_about(phantoms.truths[k], plan, rng, tokenizer) for k in rows]
        read += [lesson(rng, tokenizer) for _ in range(plan.lessons)]
        pixels, words = phantoms.batch(rows, random_shift(rng)), collate(read)
        with torch.autocast("cpu", torch.bfloat16):
            said, reminded = _losses(model, reminder, pixels, words, phantoms.codes[rows])
        descent.step(said + plan.reminding * reminded)
        if step % 50 == 0 or step == plan.steps - 1:
            LOG.info(
                "llava step %d loss %.3f, reminder %.3f, %.0f s",
                step, said.item(), reminded.item(), time.monotonic() - started,
            )  # fmt: skip
    return model.eval()


def _about(truth: Truth, plan: LlavaPlan, rng, tokenizer: PreTrainedTokenizerFast) -> Spelt:
    """What is read beside one picture: a conversation, a caption, or many single questions."""
    if rng.random() < plan.conversations:
        return conversation(truth, rng, tokenizer)
    return quiz(truth, plan.questions, rng, tokenizer)


def conversation(
    truth: Truth, rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast
) -> Spelt:
    """One conversation about a picture, or its caption."""
    if rng.random() < CAPTIONS:
        rounds = [(FIGURE_CAPTION_REQUEST, write_caption(truth, rng))]
    else:
        rounds = write_conversation(truth, rng)
    return spell(rounds, tokenizer, IMAGE_TEXT)


def quiz(
    truth: Truth, questions: int, rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast
) -> Spelt:
    """`questions` rounds about a picture, each as if it were the only one."""
    rounds = [write_round(truth, rng) for _ in range(questions)]
    return spell(rounds, tokenizer, IMAGE_TEXT, alone=True)


def lesson(rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast) -> Spelt:
    """A lesson from the textbook, without a picture."""
    return spell(write_lesson(rng), tokenizer)


def spell(
    rounds: list[Round], tokenizer: PreTrainedTokenizerFast, before: str = "", alone: bool = False
) -> Spelt:
    """Rounds as tokens, `before` ahead of the first question.

    With `alone` every round follows `before` directly and sees no other round.
    """
    text = Spelt()
    text.add(_ids(tokenizer, f"USER: {before}"), place=0)
    for number, (question, answer) in enumerate(rounds):
        again = "" if number == 0 or alone else "USER: "
        place = number + 1 if alone else 0
        text.add(_ids(tokenizer, f"{again}{question}\nASSISTANT:"), place=place)
        text.add(_ids(tokenizer, f" {answer}</s>"), place=place, learnt=True)
    return text


def _ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def collate(texts: list[Spelt]) -> dict[str, torch.Tensor]:
    """Texts padded on the right with id 0: ids, labels, positions (n, longest) and what sees what.

    ``sees`` (n, 1, longest, longest) is True where a token may look at another: backwards, at
    what comes before the first round, and within its own round. A round's positions go on from
    what comes before the first.
    """
    longest = max(len(text.ids) for text in texts)
    padded = {
        name: torch.tensor([getattr(t, name) + [fill] * (longest - len(t.ids)) for t in texts])
        for name, fill in (("ids", 0), ("labels", _IGNORED), ("weights", 0.0), ("rounds", -1))
    }
    rounds, places = padded.pop("rounds"), torch.arange(longest)
    same = rounds[:, :, None] == rounds[:, None, :]
    sees = (same | (rounds == 0)[:, None, :]) & (places[:, None] >= places[None, :])
    positions = sees.sum(-1) - 1
    return {**padded, "positions": positions, "sees": sees[:, None]}


def _losses(
    model, reminder: Reminder, pixels: torch.Tensor, words: dict[str, torch.Tensor], codes
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of the answers' tokens, weighed as in `Spelt`, and the reminder's."""
    layers, scores = _read(model, pixels, words)
    learnt = words["labels"][:, 1:] != _IGNORED
    losses = nn.functional.cross_entropy(scores, words["labels"][:, 1:][learnt], reduction="none")
    weights = words["weights"][:, 1:][learnt]
    pictured = slice(len(codes))
    reminded = reminder.loss(
        [layer[pictured] for layer in layers], words["ids"][pictured], words["labels"][pictured],
        codes,
    )  # fmt: skip
    return (weights * losses).sum() / weights.sum(), reminded


def answer_scores(
    model: LlavaForConditionalGeneration, pixels: torch.Tensor, words: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Scores (t, vocabulary) for the t tokens that are learnt, as if all before each were given.

    `pixels` (b, 3, 96, 96) are of those of the collated `words` that have a picture, in order.
    """
    return _read(model, pixels, words)[1]


def _read(model, pixels, words) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    """Hidden states (n, L, width) of the language half by layer, and what `answer_scores` gives."""
    with torch.no_grad():
        seen = model.model.vision_tower(pixel_values=pixels, output_hidden_states=True)
    pictures = model.model.multi_modal_projector(seen.hidden_states[-1])  # (b, 65, width)
    embedded = model.get_input_embeddings()(words["ids"])
    places = (words["ids"] == model.config.image_token_index)[..., None]
    embedded = embedded.masked_scatter(places, pictures.to(embedded.dtype))
    out = model.model.language_model(
        inputs_embeds=embedded,
        attention_mask=_bias(words["sees"]),
        position_ids=words["positions"],
        output_hidden_states=True,
    )
    learnt = words["labels"][:, 1:] != _IGNORED
    scores = model.lm_head(out.last_hidden_state[:, :-1][learnt]).float()
    return out.hidden_states, scores


def _bias(sees: torch.Tensor) -> torch.Tensor:
    """What attention adds to its scores: nothing, or as good as minus infinity."""
    return torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min)


@torch.inference_mode()
def measure_llava(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, phantoms: Phantoms
) -> dict[str, float]:
    """Share of right answers about held-out `phantoms`, by attribute.

    Keys ``open_<attribute>`` (terse questions; pictures with a finding, and all for modality and
    finding), ``yes_no_<attribute>`` (terse), ``whether_<attribute>`` (yes/no in whole sentences),
    ``choice_<attribute>`` (one of two, in whole sentences) and ``caption``. An answer is right if
    it is the wanted one, to the letter; of whole sentences' answers the first word counts, and of
    choices that the lexicon reads the true value and no other.
    """
    processor = make_processor(tokenizer)
    found = {}
    for subject, tests in _tests(phantoms):
        right = 0
        for start in range(0, len(tests), 64):
            part = tests[start : start + 64]
            said = _answers(model, processor, phantoms, [(row, asked) for row, asked, _ in part])
            right += sum(test[2](text) for text, test in zip(said, part, strict=True))
        found[subject] = round(right / len(tests), 4)
    return found


_Test = tuple[int, str, Callable[[str], bool]]  # row, question, whether an answer is right


def _tests(phantoms: Phantoms) -> Iterator[tuple[str, list[_Test]]]:
    """Each subject with its questions."""
    truths = phantoms.truths
    everything = range(len(truths))
    shown = [row for row in everything if truths[row].count]
    for name in ATTRIBUTES:
        rows = everything if name in ("modality", "finding") else shown
        yield (
            f"open_{name}",
            [_exactly(row, ask_plainly(truths[row], name, _rng(row))) for row in rows],
        )
        yield (
            f"yes_no_{name}",
            [_exactly(row, ask_whether(truths[row], name, _rng(row))[1:]) for row in shown],
        )
        yield f"whether_{name}", [_whether(row, truths[row], name) for row in shown]
        yield f"choice_{name}", [_choice(row, truths[row], name) for row in shown]
    yield "caption", [_exactly(row, ask_for_caption(truths[row], _rng(row))) for row in everything]


def _rng(row: int) -> np.random.Generator:
    return np.random.default_rng((row, 7))


def _exactly(row: int, exchange: Round) -> _Test:
    question, answer = exchange
    return row, question, lambda said: said == answer


def _whether(row: int, truth: Truth, attribute: str) -> _Test:
    question, answer = ask_whether_so(truth, attribute, _rng(row))
    return row, question, lambda said: said[:2] == answer[:2]


def _choice(row: int, truth: Truth, attribute: str) -> _Test:
    question, *options = choose_of_two(truth, attribute, _rng(row))
    facts = {attribute: getattr(truth, attribute)}

    def right(said: str) -> bool:
        claims = {claim for claim in read_answer(question, said) if claim.attribute == attribute}
        named = [option.split()[-1].lower() in said.lower() for option in options]
        return not contradictions(claims, facts) and (bool(claims) or named == [True, False])

    return row, question, right


def _answers(model, processor, phantoms, questions: list[tuple[int, str]]) -> list[str]:
    texts = [f"USER: {IMAGE_TEXT}{question}\nASSISTANT:" for _, question in questions]
    tokenizer = processor.tokenizer
    words = tokenizer(
        texts, padding=True, padding_side="left", return_tensors="pt", return_token_type_ids=False
    )
    pixels = phantoms.batch(np.array([row for row, _ in questions]))
    tokens = model.generate(**words, pixel_values=pixels, max_new_tokens=32)
    new = tokens[:, words["input_ids"].shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]


def save_llava(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write model, generation settings and processor with its chat template to `folder`."""
    model.save_pretrained(folder)
    make_processor(tokenizer).save_pretrained(folder)
