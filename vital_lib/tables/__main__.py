"""``python -m vital_lib.tables`` writes ``data/README.md``."""

from pathlib import Path

from vital_lib.tables.columns import document

(Path(__file__).parents[2] / "data" / "README.md").write_text(document())
