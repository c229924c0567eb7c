"""Real images from installed packages, as figure records in addition to the phantoms.

They cover cases that the phantoms lack: no known modality, two modalities, and other image sizes.
Our captions state only what is visible or what the package states about its file. Nothing is
downloaded. Images of packages that are not installed are omitted; those of pydicom need the extra
``dicom``. Independent of phantoms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from PIL import Image

from vital_lib.modalities import MODALITIES


@dataclass(frozen=True)
class _Real:
    """One real image: how to open it, its texts, and its source."""

    name: str
    package: str
    open: Callable[[], Image.Image]
    modalities: tuple[str, ...]
    caption: str
    mentions: tuple[str, ...]
    licence: str
    credit: str

    def record(self) -> dict:
        article = f"real-{self.name}"
        return {
            "pair_id": f"{article}_F1",
            "pmid": article,
            "fig_id": "F1",
            "fig_label": "Figure 1",
            "fig_caption": self.caption,
            "in_text_mention": [{"tokens": text} for text in self.mentions],
            "domain": {name: name in self.modalities for name in MODALITIES},
            "image": f"{article}_F1.png",
            "source": {
                "name": f"sample data of {self.package}",
                "licence": self.licence,
                "credit": self.credit,
            },
        }


def real_figures() -> list[tuple[Image.Image, dict]]:
    """Return each image (RGB) with its record in LLaVA-Med's caption schema, in a fixed order.

    ``record["image"]`` is the file name for the image. ``record["domain"]`` holds the five modality
    flags; any number of them may be true.
    """
    return [(real.open(), real.record()) for real in _installed()]


def _installed() -> Iterator[_Real]:
    yield from (real for real in _REAL if find_spec(_IMPORTED[real.package]))


_IMPORTED = {"matplotlib": "matplotlib", "pydicom": "pydicom", "scikit-image": "skimage"}


def _head_mr() -> Image.Image:
    from matplotlib.cbook import get_sample_data

    raw = cast(IO[bytes], get_sample_data("s1045.ima.gz")).read()
    return _grey(np.frombuffer(raw, np.uint16).reshape(256, 256))


def _spine_ct() -> Image.Image:
    from pydicom import examples

    return _grey(examples.ct.pixel_array)


def _small_mr() -> Image.Image:
    from pydicom import examples

    return _grey(examples.mr.pixel_array)


def _doppler() -> Image.Image:
    from pydicom import examples

    # The rows above and below hold the ultrasound machine's text overlay, so they are cropped.
    return Image.fromarray(examples.rgb_color.pixel_array[50:160]).convert("RGB")


def _colon() -> Image.Image:
    return _skimage_file("ihc.png")


def _fundus() -> Image.Image:
    return _skimage_file("retina.jpg").resize((512, 512), Image.Resampling.LANCZOS)


def _cell() -> Image.Image:
    return _skimage_file("cell.png")


def _two_panels() -> Image.Image:
    panels = Image.new("RGB", (520, 256), (255, 255, 255))
    panels.paste(_head_mr(), (0, 0))
    panels.paste(_colon().resize((256, 256), Image.Resampling.LANCZOS), (264, 0))
    return panels


def _skimage_file(name: str) -> Image.Image:
    """Open an image in scikit-image's data folder; its own loaders may use the network."""
    folder = Path(cast(Any, find_spec("skimage")).origin).parent / "data"
    with Image.open(folder / name) as image:
        return image.convert("RGB")


def _grey(values: np.ndarray) -> Image.Image:
    """Return `values` as a grey image, scaled from their 0.5th to their 99.5th percentile."""
    low, high = np.percentile(values, (0.5, 99.5))
    shades = np.clip((values.astype(float) - low) / max(high - low, 1.0), 0, 1) * 255
    return Image.fromarray(shades.astype(np.uint8)).convert("RGB")


_NO_RIGHTS_NOTED = "No known copyright restrictions"
_REAL = (
    _Real(
        "head-mr",
        "matplotlib",
        _head_mr,
        ("mri",),
        "Sagittal MRI of the head beside the midline, with the brain bright against dark bone.",
        ("The sagittal slice (Figure 1) shows cerebrum, cerebellum and the soft tissues of neck.",),
        "Matplotlib licence",
        "sample data of the Matplotlib development team",
    ),
    _Real(
        "spine-ct",
        "pydicom",
        _spine_ct,
        ("ct_scan",),
        "Axial CT through a thoracic vertebra after contrast medium, with the descending aorta "
        "beside it.",
        ("A vertebral body with its arch and spinous process is seen on CT (Figure 1).",),
        "MIT",
        "test files of pydicom, after a data set of the DICOM committee",
    ),
    _Real(
        "small-mr",
        "pydicom",
        _small_mr,
        ("mri",),
        "Detail of a T2-weighted axial MRI at high resolution.",
        (),
        "MIT",
        "test files of pydicom, after a data set of the DICOM committee",
    ),
    _Real(
        "doppler",
        "pydicom",
        _doppler,
        (),
        "Power Doppler ultrasound of a lymph node in two planes, with flow in warm colours.",
        ("Flow was rich at the hilum of the node (Figure 1).",),
        "MIT",
        "test files of pydicom",
    ),
    _Real(
        "colon",
        "scikit-image",
        _colon,
        ("histology",),
        "Colonic glands, immunohistochemistry for FHL2 (brown) with haematoxylin counterstain "
        "(blue).",
        ("Staining was strong in the glands and absent from the stroma (Figure 1).",),
        _NO_RIGHTS_NOTED,
        "Center for Microscopy And Molecular Imaging (CMMI), through scikit-image",
    ),
    _Real(
        "fundus",
        "scikit-image",
        _fundus,
        (),
        "Fundus photograph of a normal left eye with optic disc, macula and retinal vessels.",
        ("No lesion was visible at the fundus (Figure 1).",),
        "CC0",
        "Mikael Häggström, WikiJournal of Medicine 1 (2), 2014",
    ),
    _Real(
        "cell",
        "scikit-image",
        _cell,
        (),
        "Quantitative phase image of one cell floating in saline.",
        (),
        "CC0",
        "Paul Müller and others, Optics Express 26 (8), 2018",
    ),
    _Real(
        "two-panels",
        "scikit-image",
        _two_panels,
        ("mri", "histology"),
        "Two panels: sagittal MRI of a head (left) and stained colonic glands (right); they belong "
        "to no common patient.",
        ("Figures of papers often join several modalities (Figure 1).",),
        _NO_RIGHTS_NOTED,
        "sample data of the Matplotlib development team; CMMI, through scikit-image",
    ),
)
