"""Word the facts that fill the slots of the generator's templates.

True and false facts get the same wording. Independent of rates, requests, questions and the ground
truth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import Any

from vital_lib.clinic.anatomy import BRAIN, HALVES, PLACES, THIRDS, Scene, images_of

NOUNS = {
    "nodule": (("nodule", "nodules"), ("nodular opacity", "nodular opacities")),
    "consolidation": (
        ("area of consolidation", "areas of consolidation"),
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
_ONLY_IN = {"demyelinating plaque": BRAIN}
NUMBER_WORDS = {1: "one", 2: "two", 3: "three"}
NUMBERS = {1: ("a single", "one", "a solitary"), 2: ("two",), 3: ("three",)}
_FRONT_TO_BACK = {"upper": "anterior", "middle": "central", "lower": "posterior"}

NOTHING_FOUND = (
    "No focal abnormality is seen.",
    "There is no focal lesion.",
    "The image shows no abnormality.",
    "No lesion can be identified.",
)
"""Answers to a question on the finding that state none."""

NONE_OF_IT = ("no {one} is visible.", "there is no {one}.", "the image shows no {one}.")
"""Text after "No, " if the proposed finding is denied."""

BOTH = ("there {is_} {a_f}, together with {other}.", "the image shows {a_f} and also {other}.")
"""Text after "Yes, " if a finding is invented in addition to the true one."""

NOTHING_DESCRIBED = (
    "{this_image} shows no focal abnormality.",
    "There is no focal lesion on {this_image}.",
    "{this_image} shows no abnormality.",
)

_PLURALS = re.compile(
    r"\b(?:"
    + "|".join(
        sorted({form[1].split(" of ")[0].split()[-1] for forms in NOUNS.values() for form in forms})
    )
    + r"|foci|areas|tumors|hemorrhages|hematomas)\b",
    re.IGNORECASE,
)


def speaks_of_several(text: str) -> bool:
    """Return whether `text` names a finding in the plural."""
    return bool(_PLURALS.search(text))


class Phrases(dict):
    """Template slot -> text, worded on first use.

    Args:
        facts: attribute -> value, as the text must state it.
        scene: organ and image type, from the figure's text.
        several: name the finding in the plural if its count is unknown.

    Slots:
        image, this_image: names of the image.
        f, a_f: the finding in singular or plural; a_f with article.
        one, a_one, fs: the finding in singular, singular with article, and plural.
        number_f, count_f: the finding with count, and with count and size.
        side, level, size, on_side, at_level, place: values and phrases for them.
        which_half, which_level: openings of a question for them.
        is_, lies, does, it: in singular or plural.

    Callers may set further slots.
    """

    def __init__(
        self, facts: Mapping[str, Any], scene: Scene, rng: Random, several: bool = False
    ) -> None:
        super().__init__()
        self.facts, self._scene, self._rng, self._several = facts, scene, rng, several

    def __missing__(self, slot: str) -> str:
        self[slot] = value = getattr(self, f"_{slot}")()
        return value

    def fill(self, template: str) -> str:
        """Return `template` with filled slots, a capital first letter and single spaces."""
        text = " ".join(template.format_map(self).replace(" .", ".").split())
        return text[0].upper() + text[1:]

    @property
    def _plural(self) -> bool:
        return self.facts["count"] > 1 if "count" in self.facts else self._several

    def _noun(self) -> tuple[str, str]:
        forms = NOUNS[self.facts["finding"]]
        forms = tuple(form for form in forms if _ONLY_IN.get(form[0]) in (None, self._scene.organ))
        # Use the main term in three of four cases, so that synonyms occur but do not dominate.
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
        images = images_of(self.facts.get("modality"), self._scene)
        return self._rng.choice(images) if images else "the image"

    def _this_image(self) -> str:
        image = self["image"]
        return f"this {image.split(' ', 1)[1]}"

    def _side(self) -> str:
        return str(self.facts["side"])

    def _level(self) -> str:
        level = self.facts["level"]
        return _FRONT_TO_BACK[level] if self._scene.region == "brain" else str(level)

    def _size(self) -> str:
        return str(self.facts["size"])

    def _where(self, form: int) -> str:
        words = {name: self[name] for name in ("side", "level") if name in self.facts}
        return self._rng.choice(PLACES[self._scene.region][form]).format(**words)

    def _which_half(self) -> str:
        return HALVES[self._scene.region]

    def _which_level(self) -> str:
        return THIRDS[self._scene.region]

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
