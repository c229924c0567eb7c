"""BioMed-VITAL as a notebook workbench: one module per stage, tables in, tables out.

Importing the package imports no heavy library. Import each stage by name
(``from vital_lib import figures, selector``).
"""

import os

# Idle OpenMP threads must not spin: on a shared machine, spinning costs far more than it gains.
# The variable must be set before torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"
