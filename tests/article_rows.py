"""Articles in JATS as PMC publishes them, made up for the tests; archives; lxml beside."""

from __future__ import annotations

import io
import sys
import tarfile
from functools import cache
from pathlib import Path

from beside import installed_beside
from figure_rows import picture

DOCTYPE = (
    '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving and Interchange DTD v1.2'
    ' 20190208//EN" "JATS-archivearticle1.dtd">'
)
BY = "https://creativecommons.org/licenses/by/4.0/"


def with_lxml() -> None:
    """Make lxml importable; the test is skipped where it cannot be installed."""
    folder = str(installed_beside("lxml", ["lxml==6.0.2"]))
    if folder not in sys.path:
        sys.path.append(folder)


def fig(name: str = "F1", **changes) -> str:
    """A figure; `inside` and `attributes` are added, `caption`, `label` and `href` replaced."""
    given = {
        "label": "Figure 1",
        "caption": "<p>A scan.</p>",
        "href": f"x-{name.lower()}",
    } | changes
    graphic = f'<graphic xlink:href="{given["href"]}"/>' if given["href"] else ""
    return (
        f'<fig id="{name}"><label>{given["label"]}</label><caption>{given["caption"]}</caption>'
        f"{graphic}{given.get('inside', '')}</fig>"
    )


def article(
    body: str = "", *, floats: str = "", back: str = "", licence: str | None = None, ids: str = ""
) -> bytes:
    """An article with its figures in `body`, `floats` (a floats-group) and `back`."""
    if licence is None:
        licence = (
            '<license><ali:license_ref xmlns:ali="http://www.niso.org/schemas/ali/1.0/">'
            f"{BY}</ali:license_ref><license-p>Open access.</license-p></license>"
        )
    ids = ids or (
        '<article-id pub-id-type="pmid">31234567</article-id>'
        '<article-id pub-id-type="pmc">7654321</article-id>'
        '<article-id pub-id-type="doi">10.1234/x.2020.1</article-id>'
    )
    group = f"<floats-group>{floats}</floats-group>" if floats else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{DOCTYPE}'
        '<article xmlns:xlink="http://www.w3.org/1999/xlink"><front><journal-meta>'
        "<journal-title-group><journal-title>Journal of Scans</journal-title></journal-title-group>"
        f"</journal-meta><article-meta>{ids}<title-group><article-title>On scans</article-title>"
        '</title-group><contrib-group><contrib contrib-type="author"><name><surname>Doe</surname>'
        "<given-names>Ann</given-names></name></contrib></contrib-group>"
        f"<pub-date><year>2020</year></pub-date><permissions>{licence}</permissions></article-meta>"
        f"</front><body>{body}</body><back>{back}</back>{group}</article>"
    ).encode()


def write_article(folder: Path, content: bytes, images: tuple[str, ...] = ()) -> Path:
    """Write the article and pictures beside it; return the XML file."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(images):
        picture(number).save(folder / name)
    (folder / "article.nxml").write_bytes(content)
    return folder / "article.nxml"


@cache
def png(seed: int = 0) -> bytes:
    """The bytes of a PNG of noise."""
    buffer = io.BytesIO()
    picture(seed).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, parts: dict[str, bytes] | list, mode: str = "w") -> Path:
    """Write a tar archive of name -> content, or of (TarInfo, content)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = parts.items() if isinstance(parts, dict) else parts
    with tarfile.open(path, mode) as tar:
        for name, content in pairs:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path
