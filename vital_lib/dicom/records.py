"""Reads DICOM into records of figures: a PNG without metadata, a caption, a modality, a pseudonym.

Files are read one after another, so memory does not grow with their number. A file that cannot be
used is an `InvalidRecord` in its record's place.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from PIL import Image

from vital_lib.dicom import header
from vital_lib.dicom.files import (
    WORD,
    check_link,
    is_dicom,
    list_files,
    place_of,
    quiet,
    read_dataset,
    syntax_name,
)
from vital_lib.dicom.keys import PatientKey, note_key, open_key
from vital_lib.dicom.pixels import (
    SHEET,
    Picture,
    contact_sheet,
    decoders_of,
    evenly,
    frames_of,
    picture_of,
)
from vital_lib.dicom.windows import greys_file
from vital_lib.parameters import DICOM_OPTIONS
from vital_lib.records import InvalidRecord

if TYPE_CHECKING:
    from pydicom import Dataset

LOG = logging.getLogger(__name__)
FOLDER = "dicom"
"""The folder of a run that holds the pictures."""

Place = tuple[str, Any]
_EXTRA = "pip install 'vital-workbench[dicom]'"
_LEVEL = 1  # of zlib: medical greys shrink little more at higher levels, which take longer
_WANTED_FRAMES = "'middle', 'all', 'sheet' or a frame's number from 1"
_WANTED_SERIES = "'all', 'middle', 'sheet' or a number of slices"


@dataclass(frozen=True)
class DicomOptions:
    """What is made of DICOM files.

    Args:
        frames: of a file with several frames: "middle" (one figure), "all" (a figure each),
            "sheet" (one contact sheet of up to 25 frames), or a frame's number from 1.
        series: of a series of slices, such as a CT: "all" (a figure each), "middle", "sheet", or a
            number of evenly spaced slices. A series is what has one SeriesInstanceUID and one
            orientation; images without a place in space are always figures of their own.
        key: the file of the patients' key; None for `keys.default_key_file()`.
        header_text: whether the free texts of the header (descriptions, protocol, comments) are
            appended to the caption. They may name the patient.
        dates: whether the shifted date of an image is kept (`kept_headers`).
    """

    frames: str | int = "middle"
    series: str | int = "all"
    key: str | Path | None = None
    header_text: bool = False
    dates: bool = False

    def __post_init__(self) -> None:
        for name, wanted in (("frames", _WANTED_FRAMES), ("series", _WANTED_SERIES)):
            value = getattr(self, name)
            if not DICOM_OPTIONS[name](value):
                raise ValueError(f"{name}: {wanted}; received {value!r}")


@dataclass(frozen=True)
class _Shot:
    """One frame of one file, to be decoded."""

    number: int
    frame: int | None = None  # None: as the options say


def dicom_records(
    source: str | Path,
    run: Path,
    options: DicomOptions | None = None,
    *,
    follow_links: bool = False,
) -> Iterator[Place]:
    """Yield a place and a record for every figure of a DICOM file, a folder or a DICOMDIR.

    Files of a folder that are no DICOM are left out and counted in the log. Each record's image is
    a PNG in the run's folder `dicom`, named by the record's `pair_id`; a grey one has 16 bits, and
    its rescale and windows beside it (`windows.greys_file`). `group_id` is the patient's pseudonym.
    No record is cleared: `cleared_reason` says why.

    Yields:
        ("file 3 of 12", record) with LLaVA-Med's field names, or an `InvalidRecord` as the record.
        No text of a header, no name of a file or folder and no UID is among them, unless
        `options.header_text` asks for the header's texts.

    Raises:
        FileNotFoundError: `source` does not exist.
        keys.UnsafeKey, OSError: as in `keys.open_key`.
    """
    source = Path(str(source).removeprefix(WORD))
    if not source.exists():
        raise FileNotFoundError(f"no DICOM file or folder at {str(source)!r}")
    options = options or DicomOptions()
    folder = run / FOLDER
    key = open_key(options.key, run)
    note_key(key, folder)
    try:
        files = list_files(source)
    except InvalidRecord as wrong:
        yield place_of(1, 1), wrong
        return
    home = None if follow_links else source if source.is_dir() else source.parent
    reader = _Files(files, home, folder, key, options)
    yield from reader.stacks() if options.series != "all" else reader.each(range(len(files)))
    if reader.others:
        LOG.warning("%d of %d files are no DICOM and were left out", reader.others, len(files))


def kept_headers(run: Path) -> pd.DataFrame:
    """Return what was kept of the headers of a run's figures, one row a figure.

    Columns: figure_id, series, study, frame, frames, modality, body_part, view, laterality,
    burned_in_annotation, photometric, bits, pixel_spacing_mm, and date (shifted) if it was asked
    for; null where the header says nothing that is kept.
    """
    rows = []
    for file in sorted((run / FOLDER).glob("*.greys.json")):
        kept = json.loads(file.read_text("utf-8"))["kept"]
        rows.append({"figure_id": file.name.removesuffix(".greys.json"), **kept})
    return pd.DataFrame(rows)


class _Files:
    """Reads the listed files one after another."""

    def __init__(
        self, files: list[Path], home: Path | None, folder: Path, key: PatientKey,
        options: DicomOptions,
    ) -> None:  # fmt: skip
        self.others = 0
        self._written: dict[str, str] = {}  # name -> the place of its file
        self._files, self._home, self._folder = files, home, folder
        self._key, self._options = key, options
        self._tags = header.tags_read(dates=options.dates, texts=options.header_text)
        folder.mkdir(parents=True, exist_ok=True)

    def each(self, numbers: Any) -> Iterator[Place]:
        """Yield the records of files by their numbers from 0."""
        for number in numbers:
            place = place_of(number + 1, len(self._files))
            if not self._is_dicom(number):
                continue
            try:
                ds, sha256 = self._read(number)
                with quiet():
                    yield from [*self._figures(ds, sha256, place)]
            except InvalidRecord as wrong:
                yield place, wrong

    def stacks(self) -> Iterator[Place]:
        """Yield the records of chosen slices of each series, and of files outside a series."""
        stacks: dict[tuple[str, ...], list[tuple[float, float, int]]] = defaultdict(list)
        for number in range(len(self._files)):
            if not self._is_dicom(number):
                continue
            try:
                key, order = self._stack_of(number)
            except InvalidRecord as wrong:
                yield place_of(number + 1, len(self._files)), wrong
            else:
                stacks[key].append((*order, number))
        for slices in stacks.values():
            numbers = [number for *_, number in sorted(slices)]
            wanted = self._options.series
            if wanted == "sheet" and len(numbers) > 1:
                yield from self._sheet_of(numbers)
            else:
                most = {"middle": 1, "sheet": 1}.get(str(wanted), wanted)
                yield from self.each(numbers[i] for i in evenly(len(numbers), int(most)))

    def _is_dicom(self, number: int) -> bool:
        path = self._files[number]
        found = len(self._files) == 1 or not path.exists() or is_dicom(path)
        found = found and (path.name.upper() != "DICOMDIR" or len(self._files) == 1)
        self.others += not found
        return found

    def _read(self, number: int, *, pixels: bool = True) -> tuple[Dataset, str]:
        path = self._files[number]
        if self._home is not None:
            check_link(path, self._home)
        return read_dataset(path, self._tags, pixels=pixels)

    def _stack_of(self, number: int) -> tuple[tuple[str, ...], tuple[float, float]]:
        """Return what a file's slice is stacked with, and its place there."""
        ds, _ = self._read(number, pixels=False)
        with quiet():
            turn, along, own = _guarded("header", lambda: header.position_of(ds))
            series = header.text_of(ds, "SeriesInstanceUID")
            if not turn or not series or (header.number_of(ds.get("NumberOfFrames")) or 1) > 1:
                return (str(number),), (0.0, 0.0)
            return (self._key.name("series", series), turn), (along, own)

    def _figures(self, ds: Dataset, sha256: str, place: str) -> Iterator[Place]:
        """Yield the records of one file, whose frames are chosen by the options."""
        total = _guarded("header", lambda: frames_of(ds))
        wanted, name = self._options.frames, self._name_of(ds, sha256)
        if first := self._written.get(name):
            raise InvalidRecord("SOPInstanceUID", f"it is the one of {first}, which was read")
        if total == 1:
            record = self._record(ds, sha256, _decoded(ds, 0), name, {}, "")
            self._written[name] = place  # only now: of a damaged file, a good copy may follow
            yield place, record
            return
        if wanted == "sheet":
            chosen = evenly(total, SHEET)
            picture = contact_sheet([_decoded(ds, frame) for frame in chosen])
            part = f"contact sheet of {len(chosen)} of {total} frames"
            kept = {"frames": total, "frame": f"{len(chosen)} on a sheet"}
            record = self._record(ds, sha256, picture, f"{name}-sheet", kept, part)
            self._written[name] = place
            yield place, record
            return
        frames = range(total) if wanted == "all" else [total // 2]
        if isinstance(wanted, int):
            frames = [wanted - 1]
            if wanted > total:
                raise InvalidRecord("NumberOfFrames", f"it has {total} frames, not {wanted}")
        for frame in frames:
            at, part = f"{place}, frame {frame + 1}", f"frame {frame + 1} of {total}"
            kept = {"frames": total, "frame": frame + 1}
            try:
                picture = _decoded(ds, frame)
                record = self._record(ds, sha256, picture, f"{name}-f{frame + 1}", kept, part)
                self._written[name] = place
                yield at, record
            except InvalidRecord as wrong:
                yield at, wrong

    def _sheet_of(self, numbers: list[int]) -> Iterator[Place]:
        """Yield the contact sheet of a series; a slice that cannot be used is left out and told."""
        chosen = [numbers[place] for place in evenly(len(numbers), SHEET)]
        pictures, first = [], None
        for number in chosen:
            try:
                ds, sha256 = self._read(number)
                with quiet():
                    _guarded("header", lambda ds=ds: frames_of(ds))
                    pictures.append(_decoded(ds, 0))
                first = first or (ds, sha256, place_of(number + 1, len(self._files)))
            except InvalidRecord as wrong:
                yield place_of(number + 1, len(self._files)), wrong
        if first is None:
            return
        ds, sha256, place = first
        with quiet():
            series = self._key.name("dicom", header.text_of(ds, "SeriesInstanceUID"), sha256)
            part = f"contact sheet of {len(pictures)} of {len(numbers)} slices"
            kept = {"frames": len(numbers), "frame": f"{len(pictures)} on a sheet"}
            try:
                sheet = contact_sheet(pictures)
                yield place, self._record(ds, sha256, sheet, f"{series}-sheet", kept, part)
            except InvalidRecord as wrong:
                yield place, wrong

    def _name_of(self, ds: Dataset, sha256: str) -> str:
        return self._key.name("dicom", header.text_of(ds, "SOPInstanceUID") or sha256)

    def _record(
        self, ds: Dataset, sha256: str, picture: Picture, name: str, of: dict[str, Any], part: str
    ) -> dict[str, Any]:
        """Write the picture, and return its record."""
        kept, record = _guarded(
            "header", lambda: self._described(ds, sha256, picture, name, of, part)
        )
        write_picture(picture, kept, lambda _: self._folder / f"{name}.png")
        return record

    def _described(
        self, ds: Dataset, sha256: str, picture: Picture, name: str, of: dict[str, Any], part: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what is kept of the header, and the record."""
        patient = header.patient_of(ds, self._key, sha256)
        kept = header.kept_of(ds)
        caption = header.caption_of(kept, part)
        reason = header.reason_of(ds, kept, colour=picture.greys is None)
        if self._options.header_text and (texts := header.header_texts(ds)):
            caption = f"{caption} {' '.join(texts)}"
            reason += "; the caption holds the header's free text"
        for kind, keyword in (("study", "StudyInstanceUID"), ("series", "SeriesInstanceUID")):
            if uid := header.text_of(ds, keyword):
                of = {kind: self._key.name(kind, uid), **of}
        if self._options.dates and (day := header.date_of(ds)):
            of = {**of, "date": self._key.shifted(day, patient).isoformat()}
        return {**of, **kept}, {
            "pair_id": name,
            "fig_caption": caption,
            "image": f"{name}.png",
            "domain": header.flags_of(ds),
            "group_id": patient,
            "source": {"name": "DICOM"},
            "cleared": None,
            "cleared_reason": reason,
        }


def write_picture(picture: Picture, kept: Mapping[str, Any], file_of: Callable[[str], Path]) -> str:
    """Write a PNG without metadata, and the JSON beside it first: a PNG is never without it.

    Args:
        picture: such as a changed copy of `FigureImage.stored_greys()`.
        kept: what else is known, as in `kept_headers`.
        file_of: the PNG's hash -> its file, whose name ends in .png.

    Returns:
        The PNG's hash.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture.pixels).save(buffer, "PNG", compress_level=_LEVEL)
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    about = {"sha256": sha256, "greys": picture.greys, "tiles": picture.tiles}
    text = json.dumps({**about, "kept": dict(kept)}, default=asdict)
    file = file_of(sha256)
    for path, content in ((greys_file(file), text.encode()), (file, buffer.getvalue())):
        part = path.with_suffix(".part")
        part.write_bytes(content)
        part.replace(path)
    return sha256


def _decoded(ds: Dataset, frame: int) -> Picture:
    """Decode one frame, or say why it cannot be decoded, without a word of the decoder's."""
    syntax = syntax_name(ds)
    try:
        available = decoders_of(ds)
    except (NotImplementedError, AttributeError):
        raise InvalidRecord("TransferSyntaxUID", f"{syntax} holds no picture to decode") from None
    if not available:
        raise InvalidRecord("PixelData", f"compressed as {syntax}: to read it, {_EXTRA}")
    helps = "JPEG" in syntax and "2000" not in syntax and find_spec("libjpeg") is None
    more = f"; more decoders: {_EXTRA}" if helps else ""
    return _guarded("PixelData", lambda: picture_of(ds, frame), f" from {syntax}", more)


def _guarded(field: str, make: Any, what: str = "", more: str = "") -> Any:
    """Return what `make` returns; any error becomes an `InvalidRecord` that quotes nothing."""
    try:
        return make()
    except InvalidRecord:
        raise
    except Exception as error:  # noqa: BLE001 - damaged headers and pixels raise anything
        why = f"cannot be decoded{what} ({type(error).__name__}){more}"
        raise InvalidRecord(field, why) from None
