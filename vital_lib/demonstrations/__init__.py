"""Builds demonstrations from labels (``conversations``).

A demonstration is a conversation of responses that annotators accepted. The control pool is drawn
without regard to the labels. The package has no user interface, prompts or models.
"""

from vital_lib.demonstrations.conversations import (
    RULES,
    choose_demonstrations,
    import_demonstrations,
    random_demonstrations,
)
