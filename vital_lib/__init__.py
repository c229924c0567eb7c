"""BioMed-VITAL as a notebook workbench: rows in, rows out, one module per stage.

Importing the package imports nothing heavy; each stage module is imported by name
(``from vital_lib import figures, selector``).
"""

__version__ = "0.1.0"
