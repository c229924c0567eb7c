"""Puts facts into the words that fill the generator's templates.

True and mistaken facts are worded alike. Knows nothing of rates, of requests, of questions, or of
which facts are true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random

IMAGES = {
    "chest_xray": ("a chest radiograph", "a chest X-ray", "a plain chest radiograph"),
    "ct_scan": ("a CT scan", "a computed tomography slice", "an axial CT image"),
    "mri": ("an MRI scan", "a magnetic resonance image", "an MR image"),
    "histology": ("a stained histology section", "a photomicrograph", "a micrograph of a section"),
    "gross": ("a photograph of a gross specimen", "a gross pathology image", "a macroscopic view"),
    "ultrasound": ("an ultrasound image", "a sonogram"),  # captions name it, though no flag does
}
NOUNS = {
    "nodule": (("nodule", "nodules"), ("nodular opacity", "nodular opacities")),
    "consolidation": (
        ("consolidation", "consolidations"),
        ("airspace opacity", "airspace opacities"),
    ),
    "cavity": (("cavity", "cavities"), ("cavitary lesion", "cavitary lesions")),
    "haemorrhage": (("haemorrhage", "haemorrhages"), ("haematoma", "haematomas")),
    "infarct": (("infarct", "infarcts"), ("ischaemic lesion", "ischaemic lesions")),
    "calcification": (("calcification", "calcifications"), ("calcified focus", "calcified foci")),
    "tumour": (("tumour", "tumours"), ("neoplasm", "neoplasms")),
    "cyst": (("cyst", "cysts"), ("cystic lesion", "cystic lesions")),
    "plaque": (("plaque", "plaques"), ("demyelinating plaque", "demyelinating plaques")),
    "granuloma": (("granuloma", "granulomas"),),
    "necrosis": (("necrotic area", "necrotic areas"), ("necrotic focus", "necrotic foci")),
    "lymphoid aggregate": (
        ("lymphoid aggregate", "lymphoid aggregates"),
        ("lymphoid follicle", "lymphoid follicles"),
    ),
    "metastasis": (("metastasis", "metastases"), ("metastatic deposit", "metastatic deposits")),
    "abscess": (("abscess", "abscesses"),),
    "infarction scar": (
        ("infarction scar", "infarction scars"),
        ("post-infarction scar", "post-infarction scars"),
    ),
}
NUMBER_WORDS = {1: "one", 2: "two", 3: "three"}
NUMBERS = {1: ("a single", "one", "a solitary"), 2: ("two",), 3: ("three",)}
_FRONT_TO_BACK = {"upper": "anterior", "middle": "central", "lower": "posterior"}

# How a region is spoken of: (on the side, at the level, both). "plain" fits any image.
_PLACES = {
    "lung": (
        ("in the {side} lung", "in the {side} hemithorax", "on the patient's {side}"),
        ("in the {level} zone", "at the height of the {level} zone", "in the {level} lung zone"),
        ("in the {level} zone of the {side} lung", "in the {side} lung, in its {level} zone"),
    ),
    "brain": (
        ("in the {side} hemisphere", "on the patient's {side}", "in the {side} half of the brain"),
        ("in the {level} part of the brain", "in the {level} part of the slice"),
        ("in the {level} part of the {side} hemisphere", "in the {side} hemisphere, {level} part"),
    ),
    "field": (
        ("in the {side} half of the field", "on the {side} of the field"),
        ("in the {level} part of the field", "at the {level} level of the field"),
        ("in the {level} part of the field, on the {side}", "in the {side} half, {level} part"),
    ),
    "specimen": (
        ("in the {side} half of the specimen", "on the {side} of the specimen"),
        ("in the {level} part of the specimen", "at the {level} level of the specimen"),
        ("in the {level} part of the specimen, on the {side}", "on the {side}, {level} part"),
    ),
    "plain": (
        ("on the patient's {side}", "on the {side}"),
        ("in the {level} part", "at the {level} level"),
        ("in the {level} part, on the patient's {side}", "on the {side}, at the {level} level"),
    ),
}


NOTHING_FOUND = (
    "No focal abnormality is seen.",
    "There is no focal lesion.",
    "The image shows no abnormality.",
    "The appearances are normal.",
)
"""Answers to what is found, where nothing is said to be."""

NONE_OF_IT = ("no {one} can be seen.", "there is no {one}.", "the image shows no {one}.")
"""What follows "No, " where the finding that was asked about is denied."""

BOTH = ("{a_f} can be seen, together with {other}.", "there {is_} {a_f}, and also {other}.")
"""What follows "Yes, " where a finding is invented beside the one that is there."""

NOTHING_DESCRIBED = (
    "{this_image} shows no focal abnormality.",
    "There is no focal lesion on {this_image}.",
    "{this_image} shows no abnormality.",
)

_PLURALS = re.compile(
    r"\b(?:"
    + "|".join(sorted({form[1].split()[-1] for forms in NOUNS.values() for form in forms}))
    + r"|foci|areas|tumors|hemorrhages|hematomas)\b",
    re.IGNORECASE,
)
_REGION_WORDS = {
    "ct_scan": ("brain", re.compile(r"brain|cerebr|crani|hemispher|\bhead\b", re.IGNORECASE)),
    "mri": ("brain", re.compile(r"brain|cerebr|crani|hemispher|\bhead\b", re.IGNORECASE)),
    "gross": ("specimen", re.compile(r"specimen|\borgan\b|autopsy|cut surface", re.IGNORECASE)),
    "chest_xray": ("lung", re.compile(r"chest|lung|pulmon|thora", re.IGNORECASE)),
    "histology": ("field", re.compile("")),
}


def region_of(modality: str | None, text: str) -> str:
    """How regions are spoken of: lung, brain, field, specimen, or plain where `text` is no help."""
    region, words = _REGION_WORDS.get(modality or "", ("plain", None))
    return region if words is not None and words.search(text) else "plain"


def speaks_of_several(text: str) -> bool:
    """Whether `text` names a finding in the plural."""
    return bool(_PLURALS.search(text))


class Phrases(dict):
    """The slots of the templates, worded on first use: facts in, words out.

    Args:
        facts: attribute -> value, as the text to be written is to state them.
        region: lung, brain, field, specimen or plain.
        several: the finding is spoken of in the plural although its number is not known.

    Slots: image, this_image; f, a_f (the finding's noun by number, with article), one, a_one, fs
    (singular, plural), number_f (with its number), count_f (with number and size); side,
    level, size, on_side, at_level, place; is_, lies, does, it (by number). Others may be set.
    """

    def __init__(
        self, facts: Mapping[str, str | int], region: str, rng: Random, several: bool = False
    ) -> None:
        super().__init__()
        self.facts, self._region, self._rng, self._several = facts, region, rng, several

    def __missing__(self, slot: str) -> str:
        self[slot] = value = getattr(self, f"_{slot}")()
        return value

    def fill(self, template: str) -> str:
        """`template` with its slots filled, the first letter made a capital, without gaps."""
        text = " ".join(template.format_map(self).replace(" .", ".").split())
        return text[0].upper() + text[1:]

    @property
    def _plural(self) -> bool:
        return self.facts["count"] > 1 if "count" in self.facts else self._several

    def _noun(self) -> tuple[str, str]:
        forms = NOUNS[self.facts["finding"]]
        # The plain term three times out of four, so that its synonyms are met but do not rule.
        return forms[0] if self._rng.random() < 0.75 else self._rng.choice(forms)

    def _f(self) -> str:
        return self._noun()[self._plural]

    def _one(self) -> str:
        return self._noun()[0]

    def _a_one(self) -> str:
        return _with_article(self["one"])

    def _fs(self) -> str:
        return self._noun()[1]

    def _a_f(self) -> str:
        return self["f"] if self._plural else _with_article(self["f"])

    def _count_f(self) -> str:
        size = f"{self.facts['size']} " if "size" in self.facts else ""
        count = self.facts.get("count")
        if count in NUMBERS:
            return f"{self._rng.choice(NUMBERS[count])} {size}{self['f']}"
        return f"{size}{self['f']}" if self._several else _with_article(f"{size}{self['f']}")

    def _number_f(self) -> str:
        return f"{self._rng.choice(NUMBERS[self.facts['count']])} {self['f']}"

    def _image(self) -> str:
        images = IMAGES.get(self.facts.get("modality", ""))
        return self._rng.choice(images) if images else "the image"

    def _this_image(self) -> str:
        image = self["image"]
        return f"this {image.split(' ', 1)[1]}"

    def _side(self) -> str:
        return str(self.facts["side"])

    def _level(self) -> str:
        level = self.facts["level"]
        return _FRONT_TO_BACK[level] if self._region == "brain" else str(level)

    def _size(self) -> str:
        return str(self.facts["size"])

    def _where(self, form: int) -> str:
        words = {name: self[name] for name in ("side", "level") if name in self.facts}
        return self._rng.choice(_PLACES[self._region][form]).format(**words)

    def _on_side(self) -> str:
        return self._where(0)

    def _at_level(self) -> str:
        return self._where(1)

    def _place(self) -> str:
        known = ("side" in self.facts, "level" in self.facts)
        forms = {(True, True): 2, (True, False): 0, (False, True): 1}
        return self._where(forms[known]) if known in forms else ""

    def _is_(self) -> str:
        return "are" if self._plural else "is"

    def _lies(self) -> str:
        return "lie" if self._plural else "lies"

    def _does(self) -> str:
        return "do" if self._plural else "does"

    def _it(self) -> str:
        return "they" if self._plural else "it"


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
