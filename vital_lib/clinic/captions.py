"""Write captions and in-text mentions of phantoms in the style of an article.

A caption states the finding or its absence, usually the modality, and some of side, level, size and
count. The mentions state most of the remaining facts. The lexicon reads only true claims in them.
Independent of images and questions.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from vital_lib.clinic.registers import NAMES, REGISTERS, Register, american
from vital_lib.clinic.world import ATTRIBUTES, LEVELS, NO_FINDING, Truth

STATES_MODALITY = 0.9
STATES_DETAIL = 0.5
MENTIONS_REST = 0.85

_OPTIONAL = ("side", "level", "size", "count")
_INLINE = 0.75  # a stated detail is in the main sentence; otherwise in a short second one

_T = TypeVar("_T")

# Nouns that take "the"; other images are named by their method ("MRI of ...").
_COUNTED = frozenset(
    ("radiograph", "x-ray", "scan", "image", "slice", "view", "micrograph", "photomicrograph")
    + ("section", "specimen", "photograph", "appearance", "field", "biopsy")
)
_HEAD = re.compile(r"(?!The )\S+(?: (?!of|from|through|on|at|after|as)\S+)*|The")
_COUNT_WORDS = {1: ("a single", "one", "a solitary"), 2: ("two", "2"), 3: ("three", "3")}
_SIZE_WORDS = {"small": ("small", "small", "tiny"), "large": ("large", "large", "sizeable")}


def write_caption(truth: Truth, rng: np.random.Generator) -> str:
    """Write a caption: the finding or none, usually the modality, other details with p = 0.5."""
    stated = {"finding"}
    if rng.random() < STATES_MODALITY:
        stated.add("modality")
    if truth.finding != NO_FINDING:
        stated |= {name for name in _OPTIONAL if rng.random() < STATES_DETAIL}
    opening = _opening(truth, stated, rng)
    if truth.finding == NO_FINDING:
        return _spelt(_absence(truth, opening, rng), rng)
    # Iterate in a fixed order: a set's order differs between processes.
    inline = {name for name in ATTRIBUTES if rng.random() < _INLINE or name not in _OPTIONAL}
    inline &= stated
    text = _main_sentence(truth, opening, inline, rng)
    later = [name for name in _OPTIONAL if name in stated - inline]
    if later:
        text += " " + _later_sentence(truth, set(later), rng)
    return _spelt(text, rng)


def write_mentions(truth: Truth, stated: Collection[str], rng: np.random.Generator) -> list[str]:
    """Write one to three mentions; each attribute not in `stated` is included with p = 0.85."""
    rest = [name for name in ATTRIBUTES if name in truth.facts() and name not in stated]
    drawn = {name for name in rest if rng.random() < MENTIONS_REST}
    if truth.finding == NO_FINDING:
        mentions = [_absent_mention(truth, "modality" in drawn, rng)]
    else:
        mentions = _mentions(truth, drawn, rng)
    if rng.random() < 0.5:
        mentions.insert(
            _pick((0, len(mentions)), rng), _pick(REGISTERS[truth.modality].context, rng)
        )
    spelling = rng.random() < 0.5
    return [american(text) if spelling else text for text in mentions]


def _opening(truth: Truth, stated: Collection[str], rng: np.random.Generator) -> str:
    """Return the opening, e.g. "Chest radiograph of a 54-year-old woman with cough"."""
    register = REGISTERS[truth.modality]
    image = _pick(register.images if "modality" in stated else register.plain, rng)
    if rng.random() < 0.4:
        return image
    preposition = "from" if truth.modality in ("histology", "gross") else "of"
    return f"{image} {preposition} {_person(register, rng)}"


def _person(register: Register, rng: np.random.Generator) -> str:
    age = int(rng.integers(19, 88))
    # "an 18-year-old", "an 80-year-old"
    article = "an" if str(age).startswith("8") else "a"
    person = f"{article} {age}-year-old {_pick(('man', 'woman', 'patient'), rng)}"
    if rng.random() < 0.6:
        person += f" {_pick(('with', 'presenting with'), rng)} {_pick(register.complaints, rng)}"
    return person


def _absence(truth: Truth, opening: str, rng: np.random.Generator) -> str:
    normal = _pick(REGISTERS[truth.modality].normal, rng)
    verb = "are" if normal.endswith("s") else "is"
    return _pick(
        (
            f"{opening} showing no abnormality.",
            f"{opening} without any focal lesion.",
            f"{opening}. No focal abnormality is seen.",
            f"{opening}. The {normal} {verb} unremarkable.",
            f"{opening}: no lesion identified.",
            f"{opening}, showing no pathological findings.",
            f"{opening}. The {normal} {verb} normal.",
            f"{opening}. There is no evidence of a focal lesion.",
            f"{opening} demonstrating no focal abnormality.",
            f"Unremarkable study. {opening}.",
            f"{opening}. No abnormality was detected by either reader.",
            f"No lesion is visible. {opening}.",
        ),
        rng,
    )


def _main_sentence(
    truth: Truth, opening: str, inline: Collection[str], rng: np.random.Generator
) -> str:
    named = _named(truth, inline, rng)
    place = _place(truth, inline, rng)
    thing = f"{named} {place}".strip()
    are = "is" if truth.count == 1 else "are"
    return _pick(
        (
            f"{opening} showing {thing}.",
            f"{opening} demonstrating {thing}.",
            f"{opening} revealing {thing}.",
            f"{opening} shows {thing}.",
            f"{opening}, with {thing}.",
            f"{opening}: {thing}.",
            f"{opening}. There {are} {thing}.",
            f"{opening}. Note {thing} (arrow).",
            f"{opening}. {_capital(thing)} {are} seen.",
            f"{opening} at the time of diagnosis. {_capital(thing)} can be made out.",
            f"{_capital(named)} {place or 'found by chance'}. {opening}.",
            f"{_capital(thing)}, as seen at first presentation. {opening}.",
            f"{opening} before treatment, demonstrating {thing}.",
        ),
        rng,
    )


def _named(truth: Truth, stated: Collection[str], rng: np.random.Generator) -> str:
    """Return the finding, with count and size if stated: "two small nodules", "a cyst"."""
    singular, plural = _pick(NAMES[truth.finding], rng)
    name = singular if truth.count == 1 else plural
    if "size" in stated:
        name = f"{_pick(_SIZE_WORDS[truth.size], rng)} {name}"
    if "count" in stated:
        return f"{_pick(_COUNT_WORDS[truth.count], rng)} {name}"
    return _with_article(name) if truth.count == 1 else name


def _place(truth: Truth, stated: Collection[str], rng: np.random.Generator) -> str:
    register = REGISTERS[truth.modality]
    level = register.level_words[LEVELS.index(truth.level)]
    patterns = {
        (True, True): register.places,
        (True, False): register.sides,
        (False, True): register.levels,
        (False, False): ("",),
    }["side" in stated, "level" in stated]
    return _pick(patterns, rng).format(side=truth.side, level=level)


def _later_sentence(truth: Truth, stated: Collection[str], rng: np.random.Generator) -> str:
    """Write a short sentence on details of a finding already named: "The lesion is large"."""
    one = truth.count == 1
    subject = _pick(("The lesion", "It") if one else ("The lesions", "They"), rng)
    are, lie = ("is", "lies") if one else ("are", "lie")
    place, parts = _place(truth, stated, rng), []
    if "count" in stated:
        number = _pick(_COUNT_WORDS[truth.count][:2], rng)
        parts.append("solitary" if one else f"{number} in number")
    if "size" in stated:
        parts.append(_pick(_SIZE_WORDS[truth.size], rng))
    if not parts:
        return f"{subject} {_pick((lie, f'{are} located'), rng)} {place}."
    tail = f" and {lie} {place}" if place else ""
    return f"{subject} {are} {' and '.join(parts)}{tail}."


def _mentions(truth: Truth, drawn: set[str], rng: np.random.Generator) -> list[str]:
    """Write one or two mentions that state the finding and the `drawn` attributes."""
    moved = {name for name in _OPTIONAL if rng.random() < 0.35} & drawn
    kept = drawn - moved if len(drawn) > 1 else drawn
    named, place = _named(truth, kept, rng), _place(truth, kept, rng)
    thing = f"{named} {place}".strip()
    image = _image(truth, "modality" in drawn, rng)
    was = "was" if truth.count == 1 else "were"
    first = _pick(
        (
            f"{image} showed {thing} (Figure).",
            f"{image} revealed {thing}.",
            f"As shown in the figure, {_small(image)} demonstrated {thing}.",
            f"{image} disclosed {thing}, as the figure illustrates.",
            f"{_capital(thing)} {was} found ({_small(image)} in the figure).",
            f"{image} (see figure) depicted {thing}.",
            f"On review, {thing} {was} reported. {image} is reproduced here.",
            f"{_capital(named)} {was} noted {place}. {image} is given in the figure."
            if place
            else f"{_capital(named)} {was} noted. {image} is given in the figure.",
            f"{image} was obtained the same day and displayed {thing} (Figure).",
            f"The referring physician had asked for imaging. {image} confirmed {thing}.",
            f"{image}, reproduced in the figure, demonstrated {thing}.",
            f"In this patient {thing} {was} observed. {image} is shown.",
        ),
        rng,
    )
    rest = drawn - kept
    return [first, _later_sentence(truth, rest, rng)] if rest else [first]


def _absent_mention(truth: Truth, tell_modality: bool, rng: np.random.Generator) -> str:
    image = _image(truth, tell_modality, rng)
    normal = _pick(REGISTERS[truth.modality].normal, rng)
    was = "were" if normal.endswith("s") else "was"
    return _pick(
        (
            f"{image} showed no abnormality (Figure).",
            f"{image} revealed no focal lesion.",
            f"The {normal} {was} unremarkable. {image} is reproduced in the figure.",
            f"No lesion was seen. {image} is shown in the figure.",
            f"{image} was obtained for comparison and demonstrated no lesion.",
            f"{image} (see figure) was reported as normal.",
            f"There was no evidence of focal disease. {image} is given in the figure.",
            f"{image} showed no pathological changes.",
            f"Two readers found no abnormality. {image} is shown.",
            f"{image} served as a control; no focal lesion was present.",
            f"As the figure illustrates, no abnormality was found. {image} is shown.",
            f"{image} depicted no focal abnormality.",
        ),
        rng,
    )


def _image(truth: Truth, tell_modality: bool, rng: np.random.Generator) -> str:
    """Return the image as a sentence's subject: "The chest radiograph", "MRI of the brain"."""
    register = REGISTERS[truth.modality]
    image = _pick(register.images if tell_modality else register.plain, rng)
    head = _HEAD.match(image)
    counted = head is not None and head[0].split()[-1].lower() in _COUNTED
    return f"The {_small(image)}" if counted else image


def _small(image: str) -> str:
    """Return `image` in lower case, unless it begins with an abbreviation."""
    return image[0].lower() + image[1:] if image.split()[0][1:].islower() else image


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _spelt(text: str, rng: np.random.Generator) -> str:
    return american(text) if rng.random() < 0.5 else text


def _pick(choices: Sequence[_T], rng: np.random.Generator) -> _T:
    return choices[int(rng.integers(len(choices)))]
