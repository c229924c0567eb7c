"""Phrases for findings, images and places, from which captions are composed.

Independent of how the phrases are combined and of what a figure shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# Finding -> its (singular, plural) names.
NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "nodule": (
        ("nodule", "nodules"),
        ("pulmonary nodule", "pulmonary nodules"),
        ("nodular opacity", "nodular opacities"),
        ("well-defined nodule", "well-defined nodules"),
    ),
    "consolidation": (
        ("area of consolidation", "areas of consolidation"),
        ("focus of consolidation", "foci of consolidation"),
        ("patchy consolidation", "patchy consolidations"),
        ("airspace opacity", "airspace opacities"),
    ),
    "cavity": (
        ("cavity", "cavities"),
        ("thick-walled cavity", "thick-walled cavities"),
        ("cavitary lesion", "cavitary lesions"),
    ),
    "haemorrhage": (
        ("haemorrhage", "haemorrhages"),
        ("intracerebral haemorrhage", "intracerebral haemorrhages"),
        ("hyperdense haematoma", "hyperdense haematomas"),
        ("haemorrhagic focus", "haemorrhagic foci"),
    ),
    "infarct": (
        ("infarct", "infarcts"),
        ("hypodense infarct", "hypodense infarcts"),
        ("area of infarction", "areas of infarction"),
        ("ischaemic lesion", "ischaemic lesions"),
    ),
    "calcification": (
        ("calcification", "calcifications"),
        ("calcified focus", "calcified foci"),
        ("dense calcification", "dense calcifications"),
    ),
    "tumour": (
        ("tumour", "tumours"),
        ("brain tumour", "brain tumours"),
        ("enhancing tumour", "enhancing tumours"),
        ("neoplasm", "neoplasms"),
    ),
    "cyst": (
        ("cyst", "cysts"),
        ("thin-walled cyst", "thin-walled cysts"),
        ("cystic lesion", "cystic lesions"),
    ),
    "plaque": (
        ("plaque", "plaques"),
        ("demyelinating plaque", "demyelinating plaques"),
        ("hyperintense plaque", "hyperintense plaques"),
    ),
    "granuloma": (
        ("granuloma", "granulomas"),
        ("epithelioid granuloma", "epithelioid granulomas"),
        ("well-formed granuloma", "well-formed granulomas"),
    ),
    "necrosis": (
        ("focus of necrosis", "foci of necrosis"),
        ("area of necrosis", "areas of necrosis"),
        ("necrotic focus", "necrotic foci"),
    ),
    "lymphoid aggregate": (
        ("lymphoid aggregate", "lymphoid aggregates"),
        ("lymphoid follicle", "lymphoid follicles"),
        ("aggregate of lymphocytes", "aggregates of lymphocytes"),
    ),
    "metastasis": (
        ("metastasis", "metastases"),
        ("metastatic deposit", "metastatic deposits"),
        ("metastatic nodule", "metastatic nodules"),
    ),
    "abscess": (
        ("abscess", "abscesses"),
        ("pyogenic abscess", "pyogenic abscesses"),
        ("pus-filled abscess", "pus-filled abscesses"),
    ),
    "infarction scar": (
        ("infarction scar", "infarction scars"),
        ("healed infarct scar", "healed infarct scars"),
        ("scar of an old infarct", "scars of old infarcts"),
    ),
}


@dataclass(frozen=True)
class Register:
    """Phrases of one medical field for its images."""

    images: tuple[str, ...]  # with the modality
    plain: tuple[str, ...]  # without the modality
    places: tuple[str, ...]  # side and level
    sides: tuple[str, ...]
    levels: tuple[str, ...]
    level_words: tuple[str, str, str]
    normal: tuple[str, ...]  # what is normal in a figure without a finding
    complaints: tuple[str, ...]
    context: tuple[str, ...]  # sentences of the article without a claim about the figure


_BRAIN = Register(
    images=(),
    plain=("Axial image of the brain", "Axial slice through the head", "Cranial imaging",
           "Neuroimaging at presentation", "Imaging of the brain"),
    places=("in the {level} part of the {side} hemisphere",
            "in the {side} {level} region of the brain",
            "in the {level} third of the {side} cerebral hemisphere"),
    sides=("in the {side} hemisphere", "on the {side} side of the brain",
           "within the {side} cerebral hemisphere"),
    levels=("in the {level} part of the brain", "in the {level} third of the slice"),
    level_words=("anterior", "central", "posterior"),
    normal=("brain parenchyma", "brain"),
    complaints=("headache", "a first seizure", "dizziness", "gait disturbance", "confusion",
                "slurred speech"),
    context=(
        "Neurological examination was documented on the day of admission.",
        "The patient was referred to the neurosurgical team.",
        "Written consent was obtained from the family.",
        "At follow-up six months later the symptoms had improved.",
    ),
)  # fmt: skip


def _brain(*images: str) -> Register:
    return replace(_BRAIN, images=images)


REGISTERS: dict[str, Register] = {
    "chest_xray": Register(
        images=("Chest radiograph", "Posteroanterior chest radiograph", "Frontal chest X-ray",
                "Chest X-ray on admission", "Plain chest radiograph", "Initial chest X-ray"),
        plain=("Imaging of the chest", "Frontal view of the thorax", "Initial imaging",
               "Thoracic imaging at presentation"),
        places=("in the {side} {level} zone", "in the {level} zone of the {side} lung",
                "in the {level} third of the {side} lung", "projecting over the {side} {level} "
                "lung field"),
        sides=("in the {side} lung", "in the {side} hemithorax", "on the {side} side of the chest"),
        levels=("in the {level} zone", "in the {level} third of the lung"),
        level_words=("upper", "middle", "lower"),
        normal=("lungs", "lung fields"),
        complaints=("cough", "fever and cough", "shortness of breath", "night sweats",
                    "chest pain", "weight loss"),
        context=(
            "Sputum was sent for culture.",
            "The patient was admitted to the respiratory ward.",
            "Oxygen saturation on room air was 94%.",
            "Written consent was obtained for publication.",
        ),
    ),
    "ct_scan": _brain("Axial CT", "Non-contrast CT of the head", "Cranial CT scan",
                      "Computed tomography of the brain", "Head CT on admission",
                      "Axial computed tomography scan"),
    "mri": _brain("Axial MRI", "MRI of the brain", "T2-weighted MRI", "Brain MRI",
                  "Magnetic resonance imaging of the head", "Axial FLAIR image"),
    "histology": Register(
        images=("Photomicrograph", "Haematoxylin and eosin stained section", "Micrograph",
                "Histological section", "Histopathology", "Light micrograph"),
        plain=("Representative field", "Core biopsy", "Tissue from the biopsy",
               "Medium-power field"),
        places=("in the {level} third of the {side} half of the field",
                "in the {side} half of the field at its {level} third",
                "in the {level} part of the {side} half of the field"),
        sides=("in the {side} half of the field", "on the {side} side of the field"),
        levels=("in the {level} third of the field", "in the {level} part of the field"),
        level_words=("upper", "middle", "lower"),
        normal=("tissue", "tissue architecture"),
        complaints=("a persistent swelling", "chronic diarrhoea", "enlarged lymph nodes",
                    "a slowly growing lump", "weight loss"),
        context=(
            "The tissue had been fixed in formalin overnight.",
            "Special stains for organisms were also prepared.",
            "Two observers examined the material independently.",
            "The biopsy was taken under local anaesthesia.",
        ),
    ),
    "gross": Register(
        images=("Gross specimen", "Gross photograph", "Macroscopic view of the specimen",
                "Gross appearance of the resected organ", "Photograph of the cut surface",
                "Macroscopic photograph"),
        plain=("The organ after sectioning", "Operative material", "Material at autopsy",
               "The organ as received"),
        # Left is the organ's left in the body, seen from the front, not the left of the image.
        places=("in the {level} third of the {side} half of the organ",
                "in the {level} part of the organ on the {side} side",
                "in the {side} {level} portion of the organ"),
        sides=("in the {side} half of the organ", "on the {side} side of the organ"),
        levels=("in the {level} third of the specimen", "in the {level} part of the organ"),
        level_words=("upper", "middle", "lower"),
        normal=("parenchyma", "organ"),
        complaints=("abdominal pain", "jaundice", "fever", "weight loss", "a sudden collapse"),
        context=(
            "The organ weighed 1450 g.",
            "Tissue blocks were taken from several places for further study.",
            "The operation lasted 3 hours and was uneventful.",
            "Written consent for publication was given by the next of kin.",
        ),
    ),
}  # fmt: skip

_AMERICAN = (
    ("haemorrhag", "hemorrhag"), ("Haemorrhag", "Hemorrhag"), ("haematoma", "hematoma"),
    ("tumour", "tumor"), ("Tumour", "Tumor"), ("ischaemic", "ischemic"), ("Ischaemic", "Ischemic"),
    ("Haematoxylin", "Hematoxylin"), ("anaesthesia", "anesthesia"), ("diarrhoea", "diarrhea"),
)  # fmt: skip


def american(text: str) -> str:
    """Return `text` in American spelling."""
    for british, spelling in _AMERICAN:
        text = text.replace(british, spelling)
    return text
