"""What reading sources costs: against pandas and a loop, and in memory as a set grows."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from article_rows import article, fig, with_lxml
from measuring import median_seconds

from vital_lib.figures.records import figure_fields
from vital_lib.modalities import MODALITIES
from vital_lib.sources import open_source

pytestmark = pytest.mark.slow

RECORDS = 100_000


def _captions(file: Path, number: int) -> Path:
    """Records of about 800 bytes in LLaVA-Med's fields."""
    with file.open("w") as lines:
        for n in range(number):
            row = {
                "pair_id": f"{n}_F1", "pmid": str(n), "image": f"{n}_F1.png",
                "fig_caption": f"Axial CT {n} shows " + "a lesion in the right lobe. " * 12,
                "in_text_mention": [{"tokens": "It is seen in Figure 1 . " * 5, "entities": []}],
                "domain": {name: name == MODALITIES[n % 5] for name in MODALITIES},
            }  # fmt: skip
            lines.write(json.dumps(row) + "\n")
    return file


def _read(file: Path, work: Path) -> int:
    records = open_source(str(file), work=work).records
    return sum(figure_fields(record).pair_id != "" for _, record in records)


def _with_pandas(file: Path) -> int:
    """Read the same fields and check the same of them, a row at a time."""
    usable = 0
    for row in pd.read_json(file, lines=True).to_dict("records"):
        usable += _is_usable(row)
    return usable


def _is_usable(row: dict[str, Any]) -> bool:
    for name in ("pair_id", "fig_caption", "image"):
        if not isinstance(row[name], str) or not row[name].strip():
            return False
    mentions, flags = row["in_text_mention"], row["domain"]
    if not isinstance(mentions, list) or not isinstance(flags, dict):
        return False
    texts = [one.get("tokens") if isinstance(one, dict) else one for one in mentions]
    if not all(isinstance(text, str) for text in texts):
        return False
    return all(flags.get(name) in (True, False, None) for name in MODALITIES)


def test_captions_are_read_and_checked_twice_as_fast_as_with_pandas(tmp_path, report):
    file = _captions(tmp_path / "figures.jsonl", RECORDS)
    ours, theirs = median_seconds(
        partial(_read, file, tmp_path), partial(_with_pandas, file), times=3
    )
    assert _read(file, tmp_path) == _with_pandas(file) == RECORDS
    figures = {"captions_per_second": RECORDS / ours, "pandas_over_ours": theirs / ours}
    report("sources", **figures)
    assert theirs / ours > 2


_PEAK = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from measuring import peak_bytes
from test_bench_sources import _read
assert _read(Path(sys.argv[1]), Path(sys.argv[1]).parent)
print(peak_bytes() / 1e6)
"""


def test_captions_are_read_in_little_memory(tmp_path, report):
    here = Path(__file__).parent
    peaks = []
    for number in (RECORDS // 10, RECORDS):
        file = _captions(tmp_path / f"{number}.jsonl", number)
        command = [sys.executable, "-c", _PEAK, str(file), str(here), str(here.parent)]
        peaks.append(float(subprocess.run(command, capture_output=True, check=True).stdout))
    report("sources", captions_peak_mb=peaks[1], captions_peak_growth_mb=peaks[1] - peaks[0])
    assert peaks[1] < 500 and peaks[1] - peaks[0] < 50


def _articles(folder: Path, number: int) -> Path:
    """Articles of about 100 kB with six figures, as an open-access journal publishes them."""
    folder.mkdir()
    sentences = "The lesion grew over time <italic>in vivo</italic> (p &lt; 0.05). " * 12
    cited = '<xref ref-type="bibr" rid="B1">[1]</xref>'
    paragraphs = "".join(
        f'<p>{sentences}It is shown in <xref ref-type="fig" rid="F{n % 6}">Figure {n % 6}</xref>'
        f" and elsewhere {cited * 20}. {sentences}</p>"
        for n in range(40)
    )
    figures = "".join(fig(f"F{n}", caption=f"<p>{sentences}</p>") for n in range(6))
    for n in range(number):
        ids = f'<article-id pub-id-type="pmc">{n + 1_000_000}</article-id>'
        (folder / f"{n}.nxml").write_bytes(article(paragraphs + figures, ids=ids))
    return folder


def test_fifty_articles_are_read_in_a_second(tmp_path, report):
    """The yardstick parses the same files and reads nothing of them."""
    with_lxml()
    from lxml import etree

    number = 200
    folder = _articles(tmp_path / "set", number)
    size = sum(file.stat().st_size for file in folder.iterdir()) / number

    def read() -> None:
        assert sum(1 for _ in open_source(str(folder), work=tmp_path).records) == 6 * number

    def parse() -> None:
        for file in sorted(folder.iterdir()):
            etree.parse(str(file), etree.XMLParser(resolve_entities=False))

    ours, bare = median_seconds(read, parse)
    figures = {"articles_per_second": number / ours, "article_kb": size / 1e3}
    report("sources", **figures, articles_over_parsing=ours / bare)
    assert ours / bare < 20  # measured: 7 to 9
