"""Chooses figures (``sampling``), and turns accepted responses into demonstrations.

A demonstration is a conversation made of responses that people accepted (``conversations``); beside
it stands a control pool drawn without looking at what anyone accepted. The package shows nothing to
anyone and knows no prompt and no model.
"""

from vital_lib.demonstrations.conversations import (
    RULES,
    choose_demonstrations,
    import_demonstrations,
    random_demonstrations,
)
from vital_lib.demonstrations.sampling import (
    ALIKE_COSINE,
    NEAR_IDENTICAL_BITS,
    choice_metrics,
    choose_figures,
    cluster_figures,
    diverse_sample,
    joined_features,
    random_sample,
)
