"""BioMed-VITAL as a notebook workbench: rows in, rows out, one module per stage.

Importing the package imports nothing heavy; each stage module is imported by name
(``from vital_lib import figures, selector``).
"""

import os

# Idle OpenMP threads must not spin: on a shared machine that costs many times what it gains. It
# has to be said before torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"
