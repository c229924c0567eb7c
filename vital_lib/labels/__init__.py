"""Labels: the log of what people said (``log``), and what it amounts to (``views``).

The package knows nothing of widgets, images or models.
"""

from vital_lib.labels.log import FORMAT_VERSION, LabelLog
from vital_lib.labels.views import (
    accepted_share,
    decided_items,
    groups_of,
    majority_ticks,
    queue,
)

__all__ = [
    "FORMAT_VERSION",
    "LabelLog",
    "accepted_share",
    "decided_items",
    "groups_of",
    "majority_ticks",
    "queue",
]
