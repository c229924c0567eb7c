"""Write benchmark questions about a phantom, with true reference answers.

Each figure gets three short questions, open and closed mixed as in VQA-RAD. Half of the figures
also get a chat question (conversation or detail, as in LLaVA-Med's open visual chat). Closed
questions are about as often true as false, and the correct choice comes first as often as second.
Its wording differs from the captions and the generator. Independent of images and models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from vital_lib.clinic.world import FINDINGS, LEVELS, NO_FINDING, SIDES, SIZES, Truth

SHORT_QUESTIONS = 3
OPEN = 0.5
CHAT = 0.5
DETAIL = 0.26  # 50 of the 193 chat questions of LLaVA-Med ask for a detailed description
PRESENT = 0.75  # in figures with a finding; in all others the answer is no

_T = TypeVar("_T")
_Asked = tuple[str, str]  # question, reference
_Maker = Callable[[Truth, np.random.Generator], _Asked]


@dataclass(frozen=True)
class _Scene:
    """Words for one modality."""

    names: tuple[str, ...]  # with article, for closed questions and descriptions
    answers: tuple[str, ...]  # as reference answers
    half: str  # noun after left or right
    levels: tuple[str, str, str]
    part: str  # noun after a level
    intact: str  # start of "Are the lungs normal?"

    def level(self, truth: Truth) -> str:
        return self.levels[LEVELS.index(truth.level)]

    def place(self, truth: Truth) -> str:
        return f"the {self.level(truth)} {self.part} of the {truth.side} {self.half}"


_VERTICAL, _AXIAL = ("upper", "middle", "lower"), ("anterior", "central", "posterior")
_SCENES = {
    "chest_xray": _Scene(
        ("a chest X-ray", "a chest radiograph"),
        ("X-ray", "Chest X-ray", "Plain film"),
        "lung",
        _VERTICAL,
        "zone",
        "Are the lungs",
    ),
    "ct_scan": _Scene(
        ("a CT", "a CT scan"), ("CT", "CT scan"), "hemisphere", _AXIAL, "part", "Is the brain"
    ),
    "mri": _Scene(
        ("an MRI", "an MR image"), ("MRI", "MR imaging"), "hemisphere", _AXIAL, "part",
        "Is the brain",
    ),
    "histology": _Scene(
        ("a histology slide", "a micrograph"), ("Microscopy", "Histology"), "half of the field",
        _VERTICAL, "third", "Is the tissue",
    ),
    "gross": _Scene(
        ("a gross specimen", "a gross photograph"), ("Gross photograph", "Gross pathology"),
        "half of the organ", _VERTICAL, "third", "Is the organ",
    ),
}  # fmt: skip

# Finding -> singular, plural, and the form in "Is there ...?".
_WORDS = {
    "nodule": ("nodule", "nodules", "a nodule"),
    "consolidation": ("area of consolidation", "areas of consolidation", "consolidation"),
    "cavity": ("cavity", "cavities", "a cavity"),
    "haemorrhage": ("haemorrhage", "haemorrhages", "a haemorrhage"),
    "infarct": ("infarct", "infarcts", "an infarct"),
    "calcification": ("calcification", "calcifications", "calcification"),
    "tumour": ("tumour", "tumours", "a tumour"),
    "cyst": ("cyst", "cysts", "a cyst"),
    "plaque": ("plaque", "plaques", "a plaque"),
    "granuloma": ("granuloma", "granulomas", "a granuloma"),
    "necrosis": ("focus of necrosis", "foci of necrosis", "necrosis"),
    "lymphoid aggregate": ("lymphoid aggregate", "lymphoid aggregates", "a lymphoid aggregate"),
    "metastasis": ("metastasis", "metastases", "a metastasis"),
    "abscess": ("abscess", "abscesses", "an abscess"),
    "infarction scar": ("infarction scar", "infarction scars", "an infarction scar"),
}
_NUMBERS = ("none", "one", "two", "three")


def write_questions(truth: Truth, rng: np.random.Generator) -> list[dict[str, str]]:
    """Return questions with the fields kind, question_type, question and reference.

    Three are of kind open or closed, each on its own topic. With probability 0.5 a fourth is of
    kind chat, with question_type conversation or detail. The lexicon reads every reference as true.
    """
    questions, used = [], set()
    while len(questions) < SHORT_QUESTIONS:
        kind = "open" if rng.random() < OPEN else "closed"
        makers = _makers(truth, kind)
        topic = _pick(tuple(name for name in makers if name not in used), rng)
        used.add(topic)
        question, reference = makers[topic](truth, rng)
        questions.append(_row(kind, topic, question, reference))
    if rng.random() < CHAT:
        detail = rng.random() < DETAIL
        question, reference = (_detail if detail else _conversation)(truth, rng)
        topic = "detail" if detail else "conversation"
        questions.append(_row("chat", topic, question, reference))
    return questions


def _row(kind: str, topic: str, question: str, reference: str) -> dict[str, str]:
    return {
        "kind": kind,
        "question_type": topic,
        "question": question,
        "reference": reference[0].upper() + reference[1:],
    }


def _makers(truth: Truth, kind: str) -> dict[str, _Maker]:
    if truth.finding == NO_FINDING:
        return _OPEN_NORMAL if kind == "open" else _CLOSED_NORMAL
    return _OPEN if kind == "open" else _CLOSED


def _open_modality(truth: Truth, rng: np.random.Generator) -> _Asked:
    questions = (
        "What imaging modality is this?",
        "What kind of image is this?",
        "How was this image obtained?",
        "Which technique was used?",
    )
    return _pick(questions, rng), _pick(_SCENES[truth.modality].answers, rng)


def _open_abnormality(truth: Truth, rng: np.random.Generator) -> _Asked:
    questions = (
        "What abnormality is seen?",
        "What is the main finding?",
        "What type of lesion is this?",
        "What pathology is shown?",
        "What is abnormal in this image?",
    )
    if truth.finding == NO_FINDING:
        questions = ("What abnormality is seen?", "What pathology is shown, if any?")
        return _pick(questions, rng), _pick(("None", "No abnormality"), rng)
    return _pick(questions, rng), truth.finding


def _open_side(truth: Truth, rng: np.random.Generator) -> _Asked:
    half, thing = _SCENES[truth.modality].half, _thing(truth, rng)
    questions = (
        f"Which {half} is affected?",
        f"On which side {_be(truth)} the {thing}?",
        f"Which side {_be(truth)} the {thing} on?",
        f"In which {half} {_be(truth)} the {thing} found?",
    )
    return _pick(questions, rng), _pick((truth.side, f"{truth.side} {half}"), rng)


def _open_level(truth: Truth, rng: np.random.Generator) -> _Asked:
    scene, thing = _SCENES[truth.modality], _thing(truth, rng)
    first, second, third = scene.levels
    questions = (
        f"At what level {_be(truth)} the {thing}: {first}, {second} or {third}?",
        f"At which level {_be(truth)} the {thing} found?",
    )
    answers = (scene.level(truth), f"{scene.level(truth)} {scene.part}")
    return _pick(questions, rng), _pick(answers, rng)


def _open_position(truth: Truth, rng: np.random.Generator) -> _Asked:
    scene, thing = _SCENES[truth.modality], _thing(truth, rng)
    be, level = _be(truth), scene.level(truth)
    questions = (
        f"Where {be} the {thing}?",
        f"Where {be} the {thing} located?",
        f"What is the location of the {thing}?",
    )
    answers = (f"{level} {scene.part} of the {truth.side} {scene.half}", f"{truth.side} {level}")
    return _pick(questions, rng), _pick(answers, rng)


def _open_size(truth: Truth, rng: np.random.Generator) -> _Asked:
    be, thing = _be(truth), _thing(truth, rng)
    questions = (
        f"How large {be} the {thing}?",
        f"What is the size of the {thing}?",
        f"How big {be} the {thing}?",
    )
    return _pick(questions, rng), truth.size


def _open_count(truth: Truth, rng: np.random.Generator) -> _Asked:
    things = "lesions" if truth.finding == NO_FINDING else _WORDS[truth.finding][1]
    questions = (
        f"How many {things} are there?",
        f"How many {things} are seen?",
        f"What is the number of {things}?",
    )
    return _pick(questions, rng), _NUMBERS[truth.count]


def _closed_modality(truth: Truth, rng: np.random.Generator) -> _Asked:
    scene = _SCENES[truth.modality]
    other = _SCENES[_other(tuple(_SCENES), truth.modality, rng)]
    if rng.random() < 0.5:
        first, second = _shuffled((scene.names[0], other.names[0]), rng)
        return f"Is this {first} or {second}?", scene.names[0].split(" ", 1)[1]
    true = rng.random() < 0.5
    name = _pick((scene if true else other).names, rng)
    return f"{_pick(('Is this', 'Is the image'), rng)} {name}?", _yes(true)


def _closed_presence(truth: Truth, rng: np.random.Generator) -> _Asked:
    true = truth.finding != NO_FINDING and rng.random() < PRESENT
    kinds = FINDINGS[truth.modality]
    kind = truth.finding if true else _other(kinds, truth.finding, rng)
    name = _WORDS[kind][2]
    questions = (
        f"Is there {name}?",
        f"Is {name} present?",
        f"Is there evidence of {name}?",
        f"Does the image show {name}?",
        f"Can {name} be seen?",
    )
    return _pick(questions, rng), _yes(true)


def _closed_abnormality(truth: Truth, rng: np.random.Generator) -> _Asked:
    abnormal = truth.finding != NO_FINDING
    if rng.random() < 0.5:
        return f"{_SCENES[truth.modality].intact} normal?", _yes(not abnormal)
    questions = ("Is there any abnormality?", "Is any lesion visible?", "Is a lesion present?")
    return _pick(questions, rng), _yes(abnormal)


def _closed_side(truth: Truth, rng: np.random.Generator) -> _Asked:
    half, thing = _SCENES[truth.modality].half, _thing(truth, rng)
    be = _be(truth).capitalize()
    if rng.random() < 0.5:
        first, second = _shuffled(SIDES, rng)
        return f"{be} the {thing} on the {first} or the {second}?", truth.side
    true = rng.random() < 0.5
    side = truth.side if true else _other(SIDES, truth.side, rng)
    questions = (f"{be} the {thing} on the {side}?", f"{be} the {thing} in the {side} {half}?")
    return _pick(questions, rng), _yes(true)


def _closed_level(truth: Truth, rng: np.random.Generator) -> _Asked:
    scene, thing = _SCENES[truth.modality], _thing(truth, rng)
    be, level = _be(truth).capitalize(), scene.level(truth)
    other = _other(scene.levels, level, rng)
    if rng.random() < 0.5:
        first, second = _shuffled((level, other), rng)
        return f"{be} the {thing} in the {first} or the {second} {scene.part}?", level
    true = rng.random() < 0.5
    return f"{be} the {thing} in the {level if true else other} {scene.part}?", _yes(true)


def _closed_size(truth: Truth, rng: np.random.Generator) -> _Asked:
    be, thing = _be(truth).capitalize(), _thing(truth, rng)
    if rng.random() < 0.5:
        first, second = _shuffled(SIZES, rng)
        return f"{be} the {thing} {first} or {second}?", truth.size
    true = rng.random() < 0.5
    size = truth.size if true else _other(SIZES, truth.size, rng)
    return f"{be} the {thing} {size}?", _yes(true)


def _closed_count(truth: Truth, rng: np.random.Generator) -> _Asked:
    one, many, _ = _WORDS[truth.finding]
    if rng.random() < 0.5:
        several = rng.random() < 0.5
        question = f"Is there {'more than' if several else 'only'} one {one}?"
        return question, _yes(several == (truth.count > 1))
    true = truth.count > 1 and rng.random() < 0.75  # a third have one finding: half are true
    count = truth.count if true else _other((2, 3), truth.count, rng)
    return f"Are there {_NUMBERS[count]} {many}?", _yes(true)


_OPEN: dict[str, _Maker] = {
    "modality": _open_modality,
    "abnormality": _open_abnormality,
    "side": _open_side,
    "level": _open_level,
    "position": _open_position,
    "size": _open_size,
    "count": _open_count,
}
_CLOSED: dict[str, _Maker] = {
    "modality": _closed_modality,
    "presence": _closed_presence,
    "abnormality": _closed_abnormality,
    "side": _closed_side,
    "level": _closed_level,
    "size": _closed_size,
    "count": _closed_count,
}
# Each table needs at least SHORT_QUESTIONS topics: all questions of a figure may be of one kind.
_OPEN_NORMAL = {name: _OPEN[name] for name in ("modality", "abnormality", "count")}
_CLOSED_NORMAL = {name: _CLOSED[name] for name in ("modality", "presence", "abnormality")}


def _conversation(truth: Truth, rng: np.random.Generator) -> _Asked:
    """Return a question on one or two facts, and an answer of one sentence."""
    scene = _SCENES[truth.modality]
    image = _pick(scene.names, rng)
    if truth.finding == NO_FINDING:
        questions = (
            "What does this image show?",
            "Which abnormality would you report here?",
            "What can you see in this picture?",
        )
        return _pick(questions, rng), f"This is {image} on which no abnormality is seen."
    one, many, _ = _WORDS[truth.finding]
    are, lie = ("is", "lies") if truth.count == 1 else ("are", "lie")
    thing = one if truth.count == 1 else many
    return _pick(
        (
            ("What does this image show?", f"This is {image} with {_noun(truth)} in "
             f"{scene.place(truth)}."),
            (f"Where {are} the {thing}, and how large {are} {_it(truth)}?", f"The {thing} {lie} in "
             f"{scene.place(truth)}, and {_it(truth)} {are} {truth.size}."),
            (f"How many {many} are there, and on which side?", f"There {are} "
             f"{_NUMBERS[truth.count]} {thing}, found on the {truth.side} side."),
            ("What kind of lesion is this, and at what level is it?", f"{_noun(truth)} can be seen "
             f"in the {scene.level(truth)} {scene.part}."),
            ("What kind of image is this, and what is abnormal in it?", f"It is {image} showing "
             f"{_noun(truth)}."),
        ),
        rng,
    )  # fmt: skip


def _detail(truth: Truth, rng: np.random.Generator) -> _Asked:
    """Return a request for a description, and an answer that states every fact."""
    question = _pick(
        (
            "Describe this image in detail.",
            "Please write a detailed description of the figure.",
            "Give a detailed report of what you can see here.",
        ),
        rng,
    )
    scene = _SCENES[truth.modality]
    image = _pick(scene.names, rng)
    if truth.finding == NO_FINDING:
        return question, f"This is {image}. No abnormality is seen, and there is no focal lesion."
    are, lie = ("is", "lies") if truth.count == 1 else ("are", "lie")
    return question, (
        f"This is {image}. There {are} {_noun(truth)}. {_it(truth).capitalize()} {lie} in "
        f"{scene.place(truth)}."
    )


def _noun(truth: Truth) -> str:
    """Return the finding with number and size: "one small nodule", "two large cysts"."""
    one, many, _ = _WORDS[truth.finding]
    return f"{_NUMBERS[truth.count]} {truth.size} {one if truth.count == 1 else many}"


def _thing(truth: Truth, rng: np.random.Generator) -> str:
    """Return the noun for a finding that a question presupposes: its name, or "lesion"."""
    one, many, _ = _WORDS[truth.finding]
    if rng.random() < 0.3:
        one, many = "lesion", "lesions"
    return one if truth.count == 1 else many


def _be(truth: Truth) -> str:
    return "is" if truth.count == 1 else "are"


def _it(truth: Truth) -> str:
    return "it" if truth.count == 1 else "they"


def _yes(true: bool) -> str:
    return "Yes" if true else "No"


def _other(values: Sequence[_T], value: object, rng: np.random.Generator) -> _T:
    return _pick(tuple(other for other in values if other != value), rng)


def _shuffled(pair: tuple[_T, _T], rng: np.random.Generator) -> tuple[_T, _T]:
    return pair if rng.random() < 0.5 else (pair[1], pair[0])


def _pick(choices: Sequence[_T], rng: np.random.Generator) -> _T:
    return choices[int(rng.integers(len(choices)))]
