"""What is read of a DICOM header, and the little of it that is kept.

Only the tags listed here are read at all: names, addresses, free texts, private tags, overlays and
icons never enter the process. Of what is read, texts are kept only if they are terms of a closed
list, and ids only as pseudonyms.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from vital_lib.dicom.keys import PatientKey

if TYPE_CHECKING:
    from pydicom import Dataset

_PIXELS = (
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
    "FloatPixelData", "DoubleFloatPixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
    "PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter",
    "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence",
    "ModalityLUTSequence", "PresentationLUTShape", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "SmallestImagePixelValue",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
)  # fmt: skip
_KINDS = (
    "SOPClassUID", "Modality", "BodyPartExamined", "ViewPosition", "Laterality", "ImageLaterality",
    "BurnedInAnnotation", "ConversionType", "ImageType", "AnatomicRegionSequence",
    "SpecimenDescriptionSequence",
)  # fmt: skip
_HASHED = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "SeriesInstanceUID",
           "SOPInstanceUID")  # fmt: skip
_ORDER = ("ImagePositionPatient", "ImageOrientationPatient", "InstanceNumber")
_DATES = ("AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate")
_TEXTS = ("StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments")

READ = (*_PIXELS, *_KINDS, *_HASHED, *_ORDER)
"""The keywords of the tags that are read; dates and free texts only if they are asked for."""

_PARTS = """
ABDOMEN ABDOMENPELVIS ANKLE ARM AORTA BLADDER BRAIN BREAST CHEST CHESTABDOMEN CHESTABDPELVIS
CLAVICLE COCCYX COLON CSPINE CTSPINE EAR ELBOW EXTREMITY EYE FACE FEMUR FINGER FOOT FOREARM
GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS JAW KIDNEY KNEE LEG LIVER LOWEREXTREMITY LSPINE
LSSPINE LUNG MANDIBLE MAXILLA MEDIASTINUM NECK NECKCHEST NOSE ORBIT OVARY PANCREAS PATELLA
PELVIS PROSTATE RECTUM RIB SACRUM SCALP SCAPULA SHOULDER SINUS SKIN SKULL SPINE SPLEEN SSPINE
STERNUM STOMACH TESTIS THIGH THORAX THUMB THYROID TIBIA TLSPINE TOE TONGUE TSPINE
UPPEREXTREMITY URETER UTERUS VAGINA WHOLEBODY WRIST ZYGOMA
"""
PARTS = frozenset(_PARTS.split())
"""Body parts by the standard's terms (PS3.16 annex L), without spaces."""

_PART_WORDS = {
    "CSPINE": "cervical spine", "TSPINE": "thoracic spine", "LSPINE": "lumbar spine",
    "SSPINE": "sacral spine", "CTSPINE": "cervical and thoracic spine",
    "TLSPINE": "thoracic and lumbar spine", "LSSPINE": "lumbar and sacral spine",
    "WHOLEBODY": "whole body", "UPPEREXTREMITY": "upper extremity", "LOWEREXTREMITY":
    "lower extremity", "ABDOMENPELVIS": "abdomen and pelvis", "CHESTABDOMEN": "chest and abdomen",
    "CHESTABDPELVIS": "chest, abdomen and pelvis", "HEADNECK": "head and neck",
    "NECKCHEST": "neck and chest",
}  # fmt: skip
_NAMES = {
    "CR": "radiograph", "DX": "radiograph", "RG": "radiograph", "IO": "intra-oral radiograph",
    "PX": "panoramic radiograph", "MG": "mammogram", "RF": "fluoroscopic image",
    "XA": "angiographic image", "CT": "CT image", "MR": "MR image", "PT": "PET image",
    "NM": "nuclear medicine image", "US": "ultrasound image", "IVUS": "intravascular ultrasound",
    "SM": "slide microscopy image", "GM": "microscopy image", "XC": "photograph",
    "ES": "endoscopic image", "OP": "ophthalmic photograph", "OPT": "optical coherence tomogram",
    "IVOCT": "intravascular optical coherence tomogram", "SEG": "segmentation",
    "RTDOSE": "map of a radiation dose", "RTIMAGE": "radiotherapy image", "OT": "image",
    "BMD": "densitometry image", "SC": "secondary capture",
}  # fmt: skip
MODALITIES_KEPT = frozenset(_NAMES)
"""Values of Modality that are kept."""

_POSITIONS = "AP PA LL RL RLD LLD RLO LLO RAO LAO CC MLO ML LM XCCL LATERAL OBLIQUE"
_VIEWS = frozenset(_POSITIONS.split())
_SIDES = {"L": "left", "R": "right", "B": "both sides"}
_WORDS = """
NORMAL HARDER SOFTER WINDOW1 WINDOW2 WINDOW3 USER ALGO1 ALGO2 LUNG LUNGS MEDIASTINUM
BONE BRAIN SOFT TISSUE ABDOMEN LIVER ANGIO SPINE SUBDURAL STROKE CONTRAST DEFAULT
"""
_WINDOWS = frozenset(_WORDS.split())
_UNITS = frozenset(("HU", "OD", "US", "Z_EFF", "ED", "HU_MOD", "BQML", "CNTS", "GY"))
_CAPTURES = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.")
_WITH_TEXT = {"US": "ultrasound", "IVUS": "ultrasound", "ES": "endoscopy", "XC": "photograph",
              "OT": "of another kind", "SC": "secondary capture", "RF": "fluoroscopy"}  # fmt: skip
_CHEST = {"CHEST", "THORAX", "LUNG", "MEDIASTINUM", "RIB", "CHESTABDOMEN", "HEART"}
_CHEST_CODES = {"51185008", "T-D3000", "43799004", "T-D1213", "39607008", "T-28000"}
_PROJECTIONS = ("CR", "DX", "RG")


def tags_read(*, dates: bool = False, texts: bool = False) -> list[str]:
    """Return the keywords of the tags to read."""
    return [*READ, *(_DATES if dates else ()), *(_TEXTS if texts else ())]


def value_of(ds: Dataset, keyword: str) -> Any:
    """Return a tag's value, or None if it is missing or damaged."""
    try:
        return ds.get(keyword)
    except Exception:  # noqa: BLE001 - the value is parsed only now, and may be anything
        return None


def text_of(ds: Dataset, keyword: str) -> str:
    r"""Return a value as stripped text; "" if it is missing. Several values are joined by "\"."""
    value = value_of(ds, keyword)
    if value is None:
        return ""
    parts = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
    return "\\".join(str(part).strip(" \0") for part in parts)


def term_of(ds: Dataset, keyword: str, known: Iterable[str]) -> str:
    """Return a value in capitals if it is one of the `known` terms, else ""."""
    text = text_of(ds, keyword).upper()
    found = text if text in known else text.replace(" ", "").replace("_", "")
    return found if found in known else ""


def number_of(value: Any) -> float | None:
    """Return the first number of a value, or None if it has none that is finite."""
    many = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    try:
        number = float(next(iter(value)) if many else value)
    except (TypeError, ValueError, StopIteration, OverflowError):
        return None
    return number if math.isfinite(number) else None


def numbers_of(value: Any) -> list[float]:
    """Return the numbers of a value with several; none if one of them is not finite."""
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    numbers = [number_of(part) for part in value] if several else []
    found = [number for number in numbers if number is not None]
    return found if len(found) == len(numbers) else []


def patient_of(ds: Dataset, key: PatientKey, content: str) -> str:
    """Return the patient's pseudonym.

    It follows from PatientID alone, in any case and without spaces at its ends, so that one patient
    never has two. Without an id it follows from name and date of birth, else from the study, else
    from the series, else from `content`, the file's own hash.
    """
    for keywords in (("PatientID",), ("PatientName", "PatientBirthDate"), ("StudyInstanceUID",),
                     ("SeriesInstanceUID",)):  # fmt: skip
        parts = [text_of(ds, keyword).casefold() for keyword in keywords]
        if all(parts):
            return key.name("patient", *keywords, *parts)
    return key.name("patient", content)


def flags_of(ds: Dataset) -> dict[str, bool]:
    """Return our modality's flag for an image, or none.

    A radiograph is a chest X-ray if its body part, anatomic region or, where both are missing, its
    study's description says so. Slide and other microscopy is histology; a photograph of a specimen
    is gross pathology.
    """
    modality = text_of(ds, "Modality").upper()
    plain = {"CT": "ct_scan", "MR": "mri", "SM": "histology", "GM": "histology"}
    if modality in plain:
        return {plain[modality]: True}
    if modality == "XC" and "SpecimenDescriptionSequence" in ds:
        return {"gross": True}
    return {"chest_xray": True} if modality in _PROJECTIONS and _of_chest(ds) else {}


def kept_of(ds: Dataset) -> dict[str, Any]:
    """Return what is kept of a header: terms of closed lists, and numbers."""
    spacing = value_of(ds, "PixelSpacing") or value_of(ds, "ImagerPixelSpacing")
    found = {
        "modality": term_of(ds, "Modality", MODALITIES_KEPT),
        "body_part": term_of(ds, "BodyPartExamined", PARTS),
        "view": term_of(ds, "ViewPosition", _VIEWS),
        "laterality": _SIDES.get(text_of(ds, "ImageLaterality") or text_of(ds, "Laterality"), ""),
        "burned_in_annotation": term_of(ds, "BurnedInAnnotation", ("YES", "NO")),
        "photometric": text_of(ds, "PhotometricInterpretation"),  # checked before decoding
        "bits": number_of(value_of(ds, "BitsStored")),
        "pixel_spacing_mm": numbers_of(spacing)[:2],
    }
    return {name: value for name, value in found.items() if value not in ("", [], None)}


NOT_CHECKED = "DICOM: pixels not checked"
"""Why an image is not cleared that probably has no burnt-in text."""


def caption_of(kept: Mapping[str, Any], part: str) -> str:
    """Return a caption from what is kept; `part` says which frame it is, or is ""."""
    what = _NAMES.get(kept.get("modality", ""), "image")
    text = f"{'An' if what[0] in 'aeiou' or what.startswith('MR') else 'A'} {what}"
    if part_of_body := kept.get("body_part"):
        text += f" of the {_PART_WORDS.get(part_of_body, part_of_body.lower())}"
    details = [kept.get("laterality"), f"view {kept['view']}" if "view" in kept else "", part]
    return ", ".join([text, *filter(None, details)]) + "."


def header_texts(ds: Dataset) -> list[str]:
    """Return the header's free texts, which may say anything."""
    found = (re.sub(r"\s+", " ", text_of(ds, keyword)).strip() for keyword in _TEXTS)
    return list(dict.fromkeys(filter(None, found)))


def reason_of(ds: Dataset, kept: Mapping[str, Any], *, colour: bool) -> str:
    """Return why an image is not cleared."""
    modality = kept.get("modality", "")
    why = []
    if modality in _WITH_TEXT:
        why.append(_WITH_TEXT[modality])
    if text_of(ds, "SOPClassUID").startswith(_CAPTURES) or text_of(ds, "ConversionType"):
        why.append("secondary capture")
    if colour and modality in ("CT", "MR", "CR", "DX", "PT", "NM", "MG"):
        why.append("colours, as in a screenshot")
    if kept.get("burned_in_annotation") == "YES":
        why.append("the header says so")
    more = f"; may hold burnt-in text ({', '.join(dict.fromkeys(why))})" if why else ""
    return NOT_CHECKED + more


def date_of(ds: Dataset) -> date | None:
    """Return the first valid date of the image."""
    for keyword in _DATES:
        digits = text_of(ds, keyword).replace(".", "")
        try:
            return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
        except ValueError:
            continue
    return None


def position_of(ds: Dataset) -> tuple[str, float, float]:
    """Return an image's orientation (as text), its place along the normal, and its number.

    The orientation is "" where the image has no place in space.
    """
    number = number_of(value_of(ds, "InstanceNumber")) or 0.0
    place = numbers_of(value_of(ds, "ImagePositionPatient"))
    turn = numbers_of(value_of(ds, "ImageOrientationPatient"))
    if len(place) != 3 or len(turn) != 6:
        return "", 0.0, number
    (a, b, c, d, e, f) = turn
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    along = sum(x * n for x, n in zip(place, normal, strict=True))
    return " ".join(f"{value:.2f}" for value in turn), round(along, 3), number


def window_name(text: str, place: int) -> str:
    """Return a window's own name if all its words are known ones, else "window <place>"."""
    words = text.strip().upper().replace("_", " ").split()
    return " ".join(words) if words and _WINDOWS.issuperset(words) else f"window {place}"


def unit_of(ds: Dataset) -> str:
    """Return the unit of rescaled values; a CT without one is in HU, if it is rescaled."""
    if unit := term_of(ds, "RescaleType", _UNITS):
        return "" if unit == "US" else unit  # "unspecified"
    return "HU" if text_of(ds, "Modality") == "CT" and "RescaleSlope" in ds else ""


def _of_chest(ds: Dataset) -> bool:
    part = text_of(ds, "BodyPartExamined").upper().replace(" ", "")
    codes = {text_of(item, "CodeValue") for item in value_of(ds, "AnatomicRegionSequence") or ()}
    return part in _CHEST or (not part and not codes.isdisjoint(_CHEST_CODES))
