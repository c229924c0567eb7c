"""Pixels of one DICOM image as people see them: 16-bit greys with their windows, or 8-bit colours.

Values are rescaled before any window: a window on stored values is wrong. This module writes no
file, and no text of a header enters its errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vital_lib.dicom.header import number_of, numbers_of, text_of, unit_of, value_of, window_name
from vital_lib.dicom.sheets import Tiles
from vital_lib.dicom.windows import LEVELS, Greys, Window
from vital_lib.records import InvalidRecord

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_PIXELS = 100_000_000
"""Most pixels of a frame that is decoded."""

SHEET = 25
"""Most frames on a contact sheet."""

DECODERS = ("pydicom", "pillow", "pyjpegls", "pylibjpeg")
"""pydicom's plug-ins for compressed pixels, in the order in which they are tried.

GDCM, which pydicom would ask first, ends the whole process on some damaged pixels. For JPEG 2000,
Pillow alone is asked: pylibjpeg's OpenJPEG takes very long on some.
"""

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_FLOATS = ("FloatPixelData", "DoubleFloatPixelData")
_ITEM = 8  # bytes of the header of a compressed frame
_LEAST_SHARE = 2 / 3  # YBR_FULL_422 is stored in two bytes of three
_TILE, _GAP = 320, 2  # pixels: most of a frame's longer side on a contact sheet; between frames
_SQUARE = 0.02  # difference of the sides of a pixel up to which it counts as a square
_LONGEST = 20  # a pixel that is longer than this many of its widths is an error of the header
_ENDS = (1.0, 99.0)  # percentiles
_ENOUGH = 250_000  # evenly spaced values from which percentiles are computed


@dataclass(frozen=True)
class Picture:
    """One image: greys (H, W) uint16 and how they are shown, or colours (H, W, 3) uint8.

    `tiles` are the frames of a contact sheet.
    """

    pixels: np.ndarray
    greys: Greys | None = None
    tiles: Tiles | None = None


def frames_of(ds: Dataset) -> int:
    """Check that the dataset holds pixels of a known and bounded form; return its frames.

    Raises:
        InvalidRecord: it does not.
    """
    if not any(name in ds for name in ("PixelData", *_FLOATS)):
        raise InvalidRecord("PixelData", "holds no pixels: it is no image")
    sides = [number_of(value_of(ds, name)) or 0 for name in ("Rows", "Columns")]
    if min(sides) < 1:
        raise InvalidRecord(
            "Rows", f"{sides[0]:g} rows and {sides[1]:g} columns: there is no image"
        )
    if math.prod(sides) > MAX_PIXELS:
        size = f"{sides[0]:,.0f} x {sides[1]:,.0f} pixels"
        raise InvalidRecord("Rows", f"{size}, over {MAX_PIXELS:,}")
    if text_of(ds, "PhotometricInterpretation") not in (*_GREY, *_COLOUR):
        known = ", ".join((*_GREY, *_COLOUR))
        raise InvalidRecord("PhotometricInterpretation", f"is not one of {known}")
    total = max(1, int(number_of(value_of(ds, "NumberOfFrames")) or 1))
    if total > 1 and total > (most := _most_frames(ds, math.prod(sides))):
        why = f"says {total:,} frames; its pixels hold {most:,} at most"
        raise InvalidRecord("NumberOfFrames", why)
    return total


def _most_frames(ds: Dataset, pixels: float) -> int:
    """Return the most frames that a dataset's bytes can hold; `pixels` are those of a frame."""
    held = max(len(value_of(ds, name) or b"") for name in ("PixelData", *_FLOATS))
    if ds.file_meta.TransferSyntaxUID.is_encapsulated:
        return held // _ITEM
    sizes = [number_of(value_of(ds, name)) or 1 for name in ("BitsAllocated", "SamplesPerPixel")]
    return int(8 * held // max(1, pixels * math.prod(sizes) * _LEAST_SHARE))


def decoders_of(ds: Dataset) -> list[str]:
    """Return the plug-ins that can decode a dataset here; [""] if it is not compressed.

    Raises:
        NotImplementedError: its transfer syntax holds no pictures.
    """
    from pydicom.pixels import get_decoder

    syntax = ds.file_meta.TransferSyntaxUID
    available = get_decoder(syntax).available_plugins
    if not syntax.is_encapsulated:
        return [""]
    known = ("pillow",) if "JPEG 2000" in syntax.name else DECODERS
    return [name for name in known if name in available]


def picture_of(ds: Dataset, frame: int) -> Picture:
    """Decode a frame, counted from 0, of a dataset that `frames_of` accepts.

    Raises:
        InvalidRecord: the pixels have another shape than the header says.
        Exception: whatever pydicom and its decoders raise on damaged data.
    """
    from pydicom.pixels.processing import apply_color_lut

    kind = text_of(ds, "PhotometricInterpretation")
    pixels = _pixels(ds, frame)
    shape = (int(ds.Rows), int(ds.Columns))
    if pixels.shape[:2] != shape or pixels.ndim > 3 or (pixels.ndim == 3 and kind in _GREY):
        raise InvalidRecord("PixelData", f"has the shape {pixels.shape}, and not {shape}")
    if kind in _GREY:
        return _square(_grey(ds, pixels, frame, kind == "MONOCHROME1"), ds)
    bits = int(number_of(value_of(ds, "BitsStored")) or 8)
    if kind == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, ds)
        # Tables that are said to be of 16 bits may hold 8.
        bits = 16 if pixels.max(initial=0) > 255 else 8
    if pixels.ndim != 3 or pixels.shape[2] < 3:
        raise InvalidRecord("SamplesPerPixel", f"a colour of shape {pixels.shape}")
    shift = max(0, bits - 8)
    colours = np.clip(pixels[..., :3].astype(np.int64) >> shift, 0, 255).astype(np.uint8)
    return _square(Picture(colours), ds)


def contact_sheet(pictures: Sequence[Picture]) -> Picture:
    """Lay pictures of one size on a grid, row by row, each scaled down to a tile.

    All greys get one scale; the windows are those of the middle picture.

    Raises:
        InvalidRecord: the pictures differ in size or kind.
    """
    if len({(picture.pixels.shape, picture.greys is None) for picture in pictures}) > 1:
        raise InvalidRecord("Rows", "the frames differ in size: no contact sheet")
    middle = pictures[len(pictures) // 2].greys
    if middle is None:
        colours, tiles = _grid([_tile(picture.pixels) for picture in pictures])
        return Picture(colours.astype(np.uint8), None, tiles)
    small = [_tile(picture.greys.values(picture.pixels)) for picture in pictures if picture.greys]
    grid, tiles = _grid(small)
    stored, slope, intercept = _in_16_bits(grid)
    return Picture(stored, replace(middle, slope=slope, intercept=intercept), tiles)


def evenly(total: int, most: int) -> list[int]:
    """Return up to `most` places of `total`, evenly spaced; one of them is the middle."""
    count = min(total, most)
    return [(2 * place + 1) * total // (2 * count) for place in range(count)]


def _pixels(ds: Dataset, frame: int) -> np.ndarray:
    """Decode a frame with the first plug-in that can."""
    from pydicom.pixels import pixel_array

    *others, last = decoders_of(ds)
    for plugin in others:
        try:
            return np.asarray(pixel_array(ds, index=frame, decoding_plugin=plugin))
        except Exception:  # noqa: BLE001 - the next one may read what this one cannot
            continue
    return np.asarray(pixel_array(ds, index=frame, decoding_plugin=last))


def _grey(ds: Dataset, raw: np.ndarray, frame: int, inverted: bool) -> Picture:
    from pydicom.pixels.processing import apply_modality_lut

    slope, intercept = 1.0, 0.0
    transform = _group(ds, frame, "PixelValueTransformationSequence") or ds
    padding = _padding(ds, raw)
    if value_of(ds, "ModalityLUTSequence"):
        raw = apply_modality_lut(raw, ds)
    else:
        given = (
            number_of(value_of(transform, "RescaleSlope")),
            number_of(value_of(transform, "RescaleIntercept")),
        )
        slope, intercept = given[0] or 1.0, given[1] or 0.0  # a slope of 0 would show nothing
    stored, step, least = _in_16_bits(raw)
    unit = unit_of(transform) or unit_of(ds)
    shape = text_of(ds, "PresentationLUTShape").upper()
    greys = Greys(
        slope * step, slope * least + intercept, (Window("all", 0, 1),),
        inverted != (shape == "INVERSE" and not inverted), unit,
    )  # fmt: skip
    seen = stored if padding is None or padding.all() else stored[~padding]
    windows = _usable(_windows(ds, frame), greys, stored)
    if not windows:
        bits = int(number_of(value_of(ds, "BitsStored")) or 16)
        top = 2.0**bits - 1
        whole = [Window("all", top / 2, top, "LINEAR_EXACT")] if bits <= 8 else []
        windows = _usable(whole, greys, stored) or [_computed(greys.values(seen))]
    elif _is_white(windows[0], greys, seen):
        windows.insert(0, _computed(greys.values(seen)))
    return Picture(stored, replace(greys, windows=tuple(windows)))


def _in_16_bits(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return values as uint16 with the step and least value that give them back.

    Whole numbers that 16 bits hold stay exact; others are rounded to 65,536 levels.
    """
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
        if not finite.size:
            raise InvalidRecord("PixelData", "none of its values is a finite number")
        values = np.nan_to_num(values.astype(np.float64), nan=finite.min(),
                               posinf=finite.max(), neginf=finite.min())  # fmt: skip
    elif values.dtype.itemsize == 1 or values.dtype == np.uint16:
        least = -128 if values.dtype == np.int8 else 0
        return (values.astype(np.int32) - least).astype(np.uint16), 1.0, float(least)
    elif values.dtype == np.int16:
        return values.view(np.uint16) ^ np.uint16(32_768), 1.0, -32_768.0
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind in "iu" and high - low < LEVELS:
        return (values - values.min()).astype(np.uint16), 1.0, low
    step = (high - low) / (LEVELS - 1) or 1.0
    levels = np.floor((values.astype(np.float64) - low) / step + 0.5)
    return np.clip(levels, 0, LEVELS - 1).astype(np.uint16), step, low


def _group(ds: Dataset, frame: int, name: str) -> Any:
    """Return the first item of a functional group of a frame, or None."""
    own = value_of(ds, "PerFrameFunctionalGroupsSequence") or ()
    shared = value_of(ds, "SharedFunctionalGroupsSequence") or ()
    for groups in (*own[frame : frame + 1], *shared[:1]):
        if items := groups.get(name):
            return items[0]
    return None


def _windows(ds: Dataset, frame: int) -> Iterator[Window]:
    """Yield the valid windows of a frame, tables first."""
    voi = _group(ds, frame, "FrameVOILUTSequence") or ds
    for place, item in enumerate(value_of(voi, "VOILUTSequence") or (), 1):
        yield from _if_valid(lambda item=item, place=place: _table(item, f"table {place}"))
    function = text_of(voi, "VOILUTFunction").upper() or "LINEAR"
    names = text_of(voi, "WindowCenterWidthExplanation").split("\\")
    centres, widths = (_numbers(value_of(voi, name)) for name in ("WindowCenter", "WindowWidth"))
    for place, (centre, width) in enumerate(zip(centres, widths, strict=False), 1):
        name = window_name(names[place - 1] if place <= len(names) else "", place)
        if centre is not None and width is not None:
            yield from _if_valid(
                lambda c=centre, w=width, n=name: Window(n, c, w, function=function)
            )


def _if_valid(make: Callable[[], Window]) -> Iterator[Window]:
    try:
        yield make()
    except (ValueError, TypeError, IndexError, AttributeError):
        return  # such as a width of 0: the others are usable


def _numbers(value: Any) -> list[float | None]:
    many = value is not None and not isinstance(value, str | float | int)
    return [number_of(one) for one in (value if many else [value])]


def _table(item: Dataset, name: str) -> Window:
    count, first, bits = (int(value) for value in item.LUTDescriptor)
    count = count or LEVELS
    data = item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, np.uint8 if len(data) == count else np.uint16)
    entries = np.asarray(data, np.float64)[:count]
    top = max(2 ** min(bits, 16) - 1, float(entries.max()))  # the descriptor may be wrong
    shades = np.floor(entries / top * (LEVELS - 1) + 0.5).astype(int)
    return Window(name, first + count / 2, count, "TABLE", first, tuple(shades.tolist()))


def _usable(windows: Any, greys: Greys, stored: np.ndarray) -> list[Window]:
    """Return the windows in which the image has more than one shade."""
    some = stored[:: 1 + stored.shape[0] // 64, :: 1 + stored.shape[1] // 64]
    seen = np.unique(np.append(some, [stored.min(), stored.max()]))
    shown = greys.values(seen)
    return [
        window
        for window in windows
        if len(seen) == 1 or np.ptp(np.floor(255 * window.shares(shown) + 0.5)) > 0
    ]


def _is_white(window: Window, greys: Greys, stored: np.ndarray) -> bool:
    """Return whether a window shows nearly all of an image as white, though its values differ.

    Nearly all in black is common: a few hot spots before noise.
    """
    ends = _ends(greys.values(stored))
    return ends[0] < ends[1] and bool((window.shares(ends) == 1 - greys.inverted).all())


def _ends(values: np.ndarray) -> np.ndarray:
    return np.percentile(values.ravel()[:: 1 + values.size // _ENOUGH], _ENDS)


def _computed(values: np.ndarray) -> Window:
    """Return the window from the 1st to the 99th percentile, or from least to most."""
    low, high = _ends(values)
    if low >= high:
        low, high = float(values.min()), float(values.max())
    width = float(high - low) or 1.0
    return Window("computed", float(low + width / 2), width, "LINEAR_EXACT")


def _padding(ds: Dataset, raw: np.ndarray) -> np.ndarray | None:
    """Return where stored values are padding, which is no part of the image."""
    one = number_of(value_of(ds, "PixelPaddingValue"))
    if one is None:
        return None
    other = number_of(value_of(ds, "PixelPaddingRangeLimit"))
    other = one if other is None else other
    return (raw >= min(one, other)) & (raw <= max(one, other))


def _square(picture: Picture, ds: Dataset) -> Picture:
    """Return a picture whose pixels are squares, enlarged along the longer side of a pixel."""
    names = ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing")
    stated = (numbers_of(value_of(ds, name)) for name in names)
    high, wide = next((pair for pair in stated if len(pair) == 2), (0.0, 0.0))
    if min(high, wide) <= 0 or max(high, wide) > _LONGEST * min(high, wide):
        return picture
    if abs(high / wide - 1) <= _SQUARE:
        return picture
    rows, columns = picture.pixels.shape[:2]
    size = (round(columns * max(1, wide / high)), round(rows * max(1, high / wide)))
    if math.prod(size) > MAX_PIXELS:
        return picture
    return replace(picture, pixels=_resized(picture.pixels, size))


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale greys or colours (H, W[, 3]) to (width, height)."""
    if pixels.ndim == 3:
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    whole = Image.fromarray(pixels.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    values = np.asarray(whole)
    return np.floor(values + 0.5).astype(pixels.dtype) if pixels.dtype.kind in "iu" else values


def _tile(pixels: np.ndarray) -> np.ndarray:
    rows, columns = pixels.shape[:2]
    share = min(1.0, _TILE / max(rows, columns))
    size = (max(1, round(columns * share)), max(1, round(rows * share)))
    return pixels if share == 1 else _resized(pixels, size)


def _grid(frames: Sequence[np.ndarray]) -> tuple[np.ndarray, Tiles]:
    """Lay frames of one shape on a grid about as wide as high; gaps hold the least value."""
    across = math.ceil(math.sqrt(len(frames)))
    down = math.ceil(len(frames) / across)
    rows, columns, *colours = frames[0].shape
    tiles = Tiles(columns, rows, _GAP, across, len(frames))
    shape = (down * (rows + _GAP) - _GAP, across * (columns + _GAP) - _GAP, *colours)
    grid = np.full(shape, min(frame.min() for frame in frames), frames[0].dtype)
    for (left, top), frame in zip(tiles.corners(), frames, strict=True):
        grid[top : top + rows, left : left + columns] = frame
    return grid, tiles
