"""Training texts of the clinic's base models: short sentences, plain questions, plain words.

The wording is neither the benchmark's nor the generator's, so that tuning has something to teach. A
text comes with the values that it allows for each attribute, so that a text with few facts fits
many pictures. This module writes texts only: it reads none and knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vital_lib.clinic.lexicon import ATTRIBUTES, FINDINGS, Truth
from vital_lib.modalities import MODALITIES

VALUES: dict[str, tuple] = {
    "modality": MODALITIES,
    "finding": (*(name for names in FINDINGS.values() for name in names), "none"),
    "side": ("left", "right", None),
    "level": ("upper", "middle", "lower", None),
    "size": ("small", "large", None),
    "count": (0, 1, 2, 3),
}
"""Every value of each attribute; None where there is no finding."""

MODALITY_WORDS = {
    "chest_xray": ("chest X-ray", "chest radiograph", "chest film", "CXR"),
    "ct_scan": ("CT scan", "head CT", "computed tomography", "CT slice"),
    "mri": ("MRI", "MR image", "magnetic resonance image", "brain MRI"),
    "histology": ("histology", "H&E section", "microscopy", "tissue section"),
    "gross": ("gross specimen", "specimen photograph", "macroscopic photograph", "gross picture"),
}
_MODALITY_MARKS = {
    "chest_xray": ("ray", "radiograph", "film", "CXR"),
    "ct_scan": ("CT", "tomography"),
    "mri": ("MRI", "MR", "resonance"),
    "histology": ("histology", "microscopy", "section"),
    "gross": ("specimen", "photograph"),
}
FINDING_WORDS = {
    "nodule": ("nodule", "nodules"),
    "consolidation": ("consolidation", "consolidations"),
    "cavity": ("cavity", "cavities"),
    "haemorrhage": ("haemorrhage", "haemorrhages"),
    "infarct": ("infarct", "infarcts"),
    "calcification": ("calcification", "calcifications"),
    "tumour": ("tumour", "tumours"),
    "cyst": ("cyst", "cysts"),
    "plaque": ("plaque", "plaques"),
    "granuloma": ("granuloma", "granulomas"),
    "necrosis": ("area of necrosis", "areas of necrosis"),
    "lymphoid aggregate": ("lymphoid aggregate", "lymphoid aggregates"),
    "metastasis": ("metastasis", "metastases"),
    "abscess": ("abscess", "abscesses"),
    "infarction scar": ("infarction scar", "infarction scars"),
}
_OTHER_SPELLING = {
    "haemorrhage": "hemorrhage", "tumour": "tumor", "infarction scar": "scar",
    "infarct": "infarction", "cavity": "cavitary lesion",
}  # fmt: skip
_COUNT_WORDS = {1: ("one", "a single", "1"), 2: ("two", "2", "a pair of"), 3: ("three", "3")}
_SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "sizeable")}
_ACROSS = {"upper": "upper", "middle": "middle", "lower": "lower"}
_ALONG = {"upper": "anterior", "middle": "central", "lower": "posterior"}
_WITHOUT_ARTICLE = ("histology", "microscopy", "computed tomography")

_FORMS_WITH_IMAGE = (
    "{image}: {thing}{where}.",
    "{image} showing {thing}{where}.",
    "{image} with {thing}{where}",
    "{thing}{where}, {image}",
    "In this {image} we find {thing}{where}.",
)
_FORMS_OF_IMAGE = ("{An_image}.", "The picture is {an_image}.", "We have {an_image}.")
_FORMS_OF_PLACE = (
    "{where}",
    "The lesion lies{where}.",
    "The finding is{where}.",
    "To be found{where}.",
)
_FORMS = (
    "{thing}{where}",
    "We see {thing}{where}.",
    "{thing}{where} can be seen.",
    "The picture has {thing}{where}.",
)


@dataclass(frozen=True)
class Statement:
    """A text and, for each attribute it mentions, the values that it allows."""

    text: str
    allowed: dict[str, frozenset]


def value_names() -> Iterator[tuple[str, object, str]]:
    """Yield attribute, value and word for every word that names one value only."""
    for modality, names in _MODALITY_MARKS.items():
        yield from (("modality", modality, name) for name in names)
    for finding, names in FINDING_WORDS.items():
        one, many = names
        marks = ("necrosis",) if finding == "necrosis" else (one.split()[-1], many.split()[-1])
        yield from (("finding", finding, name) for name in marks)
    for value, names in {"left": ("left",), "right": ("right",)}.items():
        yield from (("side", value, name) for name in names)
    for words in (_ACROSS, _ALONG):
        yield from (("level", value, name) for value, name in words.items())
    for size, names in _SIZE_WORDS.items():
        yield from (("size", size, name) for name in names)
    for count, names in {1: ("one", "single"), 2: ("two",), 3: ("three",)}.items():
        yield from (("count", count, name) for name in names)


def level_word(truth: Truth) -> Any:
    """The level in words, or None; in slices of the head, upper is anterior, lower posterior."""
    if truth.level is None:
        return None
    return (_ALONG if truth.modality in ("ct_scan", "mri") else _ACROSS)[truth.level]


def write_sentence(truth: Truth, rng: np.random.Generator) -> Statement:
    """A short text about one to six random attributes of `truth`, in one of many wordings."""
    if truth.count == 0:
        return _sentence_without_finding(truth, rng)
    told = {name for name in ATTRIBUTES if rng.random() < 0.5} or {pick(rng, ATTRIBUTES)}
    return say(truth, told, rng)


def say(truth: Truth, told: set[str], rng: np.random.Generator) -> Statement:
    """A short text about the attributes `told` of `truth`, in one of many wordings."""
    if truth.count == 0:
        return _sentence_without_finding(truth, rng)
    thing = _thing(truth, told, rng)
    where = _where(truth, told, rng)
    image = pick(rng, MODALITY_WORDS[truth.modality])
    if told == {"modality"}:
        forms = _FORMS_OF_IMAGE
    elif "modality" in told:
        forms = _FORMS_WITH_IMAGE
    else:
        forms = _FORMS_OF_PLACE if told <= {"side", "level"} else _FORMS
    words = {"image": image, "an_image": with_article(image), "thing": thing, "where": where}
    words["An_image"] = words["an_image"][0].upper() + words["an_image"][1:]
    text = pick(rng, [form.format(**words).strip() for form in forms])
    if rng.random() < 0.6:
        text = text[:1].upper() + text[1:]
    facts = truth.facts()
    return Statement(text, {name: frozenset([facts[name]]) for name in ATTRIBUTES if name in told})


def _sentence_without_finding(truth: Truth, rng: np.random.Generator) -> Statement:
    image = pick(rng, MODALITY_WORDS[truth.modality])
    allowed = {"finding": frozenset(["none"]), "count": frozenset([0])}
    if rng.random() < 0.5:
        texts = ("No abnormality.", "Nothing abnormal is seen.", "Normal appearance.", "No lesion.",
                 "None", "It is normal.", "There is no finding.")  # fmt: skip
        return Statement(pick(rng, texts), allowed)
    texts = (f"Normal {image}.", f"{image} without abnormality.", f"{image}: nothing abnormal.",
             f"This {image} shows no lesion.")  # fmt: skip
    return Statement(pick(rng, texts), {**allowed, "modality": frozenset([truth.modality])})


def _thing(truth: Truth, told: set[str], rng: np.random.Generator) -> str:
    """The noun of a sentence, with count and size where they are in `told`."""
    many = truth.count > 1 and "count" in told
    noun = pick(rng, (("lesion", "lesions"), ("finding", "findings"), ("focus", "foci")))[many]
    if "finding" in told:
        noun = FINDING_WORDS[truth.finding][many]
        if rng.random() < 0.3 and truth.finding in _OTHER_SPELLING:
            noun = _OTHER_SPELLING[truth.finding] + "s" * many
    size = pick(rng, _SIZE_WORDS[truth.size]) + " " if "size" in told else ""
    count = pick(rng, _COUNT_WORDS[truth.count]) + " " if "count" in told else ""
    if "count" in told:
        return f"{count}{size}{noun}"
    return with_article(f"{size}{noun}")


def with_article(name: str) -> str:
    """`name` with its indefinite article, if it takes one."""
    if name in _WITHOUT_ARTICLE:
        return name
    vowel = name[0] in "aeiAEI" or name.startswith(("MR", "H&E"))
    return f"{'an' if vowel else 'a'} {name}"


def _where(truth: Truth, told: set[str], rng: np.random.Generator) -> str:
    """The place in a sentence, with a space before it; empty where `told` has no place."""
    level = level_word(truth)
    if {"side", "level"} <= told:
        options = (f" in the {truth.side} {level} part", f" on the {truth.side}, {level}",
                   f" in the {level} third on the {truth.side}",
                   f" at {level} level of the {truth.side} side")  # fmt: skip
    elif "side" in told:
        options = (f" on the {truth.side}", f" in the {truth.side} half",
                   f" on the {truth.side} side", f" {truth.side}-sided")  # fmt: skip
    elif "level" in told:
        options = (f" in the {level} third", f" at {level} level", f" in the {level} part")
    else:
        return ""
    return pick(rng, options)


QUESTIONS: dict[str, tuple[str, ...]] = {
    "modality": ("kind of image?", "modality?", "imaging?", "picture type?"),
    "finding": ("finding?", "lesion?", "abnormality?", "pathology?"),
    "side": ("side?", "which half?", "left or right?", "laterality?"),
    "level": ("level?", "which third?", "height?", "zone?"),
    "size": ("size?", "small or large?", "extent?", "how big?"),
    "count": ("number of findings?", "number?", "count?", "how many?"),
}
FIGURE_CAPTION_REQUEST = "as in a paper:"
CAPTION_REQUESTS = ("short caption", "caption:", "one-line caption", "sum up")


def ask_plainly(truth: Truth, attribute: str, rng: np.random.Generator) -> tuple[str, str]:
    """One plain open question about `attribute` and its answer, a word or two."""
    return pick(rng, QUESTIONS[attribute]), answer_word(truth, attribute)


def answer_word(truth: Truth, attribute: str) -> str:
    """The value of `attribute` in words; "none" where there is no finding."""
    if attribute == "modality":
        return MODALITY_WORDS[truth.modality][0]
    if attribute == "count":
        return ("none", "one", "two", "three")[truth.count]
    return (level_word(truth) if attribute == "level" else getattr(truth, attribute)) or "none"


def ask_whether(
    truth: Truth, attribute: str, rng: np.random.Generator
) -> tuple[Statement, str, str]:
    """One yes/no question about `attribute`: (statement, question, answer).

    The answer is yes in half of the cases where `truth` has a value, and otherwise no.
    """
    real = getattr(truth, attribute) not in (None, "none", 0)
    yes = real and rng.random() < 0.5
    value = getattr(truth, attribute) if yes else other_value(truth, attribute, rng)
    word = answer_word(with_value(truth, attribute, value), attribute)
    question, answer = f"{word}?", "yes" if yes else "no"
    left = {value} if yes else set(VALUES[attribute]) - {value}
    return Statement(f"{question} {answer}", {attribute: frozenset(left)}), question, answer


def _possible(truth: Truth, attribute: str) -> Sequence:
    if attribute == "finding":
        return FINDINGS[truth.modality]
    return [value for value in VALUES[attribute] if value not in (None, 0)]


def other_value(truth: Truth, attribute: str, rng: np.random.Generator) -> object:
    """A false value of `attribute` that a picture of the same modality could have."""
    return pick(rng, [v for v in _possible(truth, attribute) if v != getattr(truth, attribute)])


def with_value(truth: Truth, attribute: str, value: Any) -> Truth:
    """A truth with `value` for `attribute` and default values for the others."""
    modality = value if attribute == "modality" else truth.modality
    rest: dict[str, Any] = {"finding": FINDINGS[modality][0], "side": "left", "level": "upper",
                            "size": "small", "count": 1}  # fmt: skip
    rest.pop(attribute, None)
    own = {} if attribute == "modality" else {attribute: value}
    return Truth(modality=modality, **rest, **own)


def ask_for_caption(truth: Truth, rng: np.random.Generator) -> tuple[str, str]:
    """A request for a caption, and a caption that states every attribute in a fixed order."""
    image = MODALITY_WORDS[truth.modality][0]
    request = pick(rng, CAPTION_REQUESTS)
    if truth.count == 0:
        return request, f"{image}, no abnormality."
    count, many = answer_word(truth, "count"), truth.count > 1
    thing = FINDING_WORDS[truth.finding][many]
    return request, f"{image}, {count} {truth.size} {thing}, {truth.side} {level_word(truth)}."


def plain_rounds(truth: Truth, rng: np.random.Generator, rounds: int) -> list[tuple[str, str]]:
    """A terse conversation of up to `rounds` (question, answer), each about a different subject."""
    subjects = [*ATTRIBUTES, "caption"]
    chosen = [subjects[k] for k in rng.permutation(len(subjects))[:rounds]]
    return [_one_round(truth, subject, rng) for subject in chosen]


def _one_round(truth: Truth, subject: str, rng: np.random.Generator) -> tuple[str, str]:
    if subject == "caption":
        return ask_for_caption(truth, rng)
    if rng.random() < 0.4:
        return ask_whether(truth, subject, rng)[1:]
    return ask_plainly(truth, subject, rng)


def write_exchange(truth: Truth, rng: np.random.Generator) -> Statement:
    """A plain question and its answer as one text, in the form of a candidate's text."""
    attribute = pick(rng, ATTRIBUTES)
    if rng.random() < 0.5:
        return ask_whether(truth, attribute, rng)[0]
    question, answer = ask_plainly(truth, attribute, rng)
    return Statement(f"{question} {answer}", {attribute: frozenset([getattr(truth, attribute)])})


def pick(rng: np.random.Generator, options: Sequence):
    """One of `options`, drawn uniformly."""
    return options[int(rng.integers(len(options)))]


PLAIN_WORDS = """
a able about above abnormal abnormality absent according across acute adjacent after again against
age all almost along also although always among amount an and anatomy anterior any apart appear
appearance area arm around article as ask at available away axial back background base be because
become been before begin behind being below beneath benign beside best better between beyond big
biopsy black blood blue body bone both border brain bright brown but by call can cannot care case
cause cell central centre certain change chest child chronic clear clinical clinician close colour
column common compare compared complete concern consistent contain contrast correct could course
cross dark day death deep defined degree demonstrate dense density depict depicted describe detail
detected diagnosis did difference different diffuse direct disease distal distinct do doctor does
dose down due during each ear early edge effect effusion either eleven end enhance enhanced enough
entire especially even evidence exact examination example except expected explain external extent
eye face fact far feature features few field figure film find finding findings first five fluid
focal focus follow following for form found four from front full further general give given good
great green grey group had half hand has have he head heart help her here high highly him his
history hour how however human if image images imaging important in include indicate inferior
inside instead interior internal into is isolated it its just kind know known lack large lateral
later layer lead least left less lesion lesions let level lies life light like likely limit line
liver lobe local located location long look low lower lung lungs made main major make malignant man
many margin marked mass matter may me mean medial median medical medicine method middle midline
might mild mixed moderate more most much multiple must my near nearly necessary neck need negative
never new next nine no non none nor normal not note nothing now number observed obvious of off often
old on once one only opacity open opinion opposite or organ organs origin other our out outer
outside over own page pale paper part parts patchy patient patients pattern peripheral person
photograph physician picture piece place plain plane point portion position positive possible
posterior present presentation pressure probably procedure process prominent provide proximal pure
purple put question quite radiograph radiologist radiology rather read really reason recent red
reference region related remain report result results reveal review rib right rim ring round same
sample saw say scan second section see seems seen sent separate series several severe shadow shape
sharp she should show showing shown shows side sided sign signal signs similar since single site six
size skin skull slice slide small smooth so soft solid solitary some specimen spine spot spread
stage stain stained standard still stomach structure structures study such suggest suggestive
superior sure surface surgery surrounding symptom system taken tell ten test than that the their
them then there these they thick thin thing think third this those three through throughout thus
time tissue to together too top total toward treatment true two type typical under unlikely until
up upper us use used using usually value various very vessel view visible volume was way we well
were what when where whether which while white who whole why wide will with within without wood
word work would year yellow yes yet you young your zone bronchus artery vein nerve kidney spleen
bowel muscle cortex cerebral hemisphere ventricle parenchyma pleural diaphragm mediastinum vertebra
inflammation infection pneumonia tuberculosis cancer carcinoma lymphoma lymphocytes nuclei nucleus
cytoplasm stroma epithelium gland fibrosis oedema edema stroke ischaemia ischemia bleeding sclerosis
multiple hepatic renal pulmonary cardiac thoracic abdominal neurological microscopic macroscopic
haematoxylin eosin hematoxylin magnification formalin contrast-enhanced T1-weighted T2-weighted
FLAIR radiodense lucent hyperdense hypodense hyperintense hypointense attenuation calcified cystic
necrotic granulomatous metastatic wedge-shaped well-defined ill-defined left-sided right-sided
Answer Question Caption Figure Image Yes No The This In There Which What Where How Does Is Are It
"""
"""Words that the encoder's tokenizer learns whole, whether or not captions use them."""
