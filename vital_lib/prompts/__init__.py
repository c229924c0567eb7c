"""Prompts and the parser of their replies: policies, layouts, reply schemas, versions.

A ``Prompt`` holds the messages of one request (text and figure images) and the pydantic schema
that the reply must fit (``schemas``). The policies are the text files in ``policies``:
BioMed-VITAL's generation and rating policies (paper sections 3.1 and 3.2) in our own words.

``parse`` (``reading``) reads a reply. ``_marks`` removes thoughts and answer marks, ``_objects``
finds JSON, ``_fields`` fits it to a schema and ``_doubt`` checks the text around it. ``_words`` and
``_turns`` read a reply without JSON. ``_courtesies`` removes closing courtesies. This package does
not depend on models, networks or tables; ``client`` sends the prompts.
"""

from vital_lib.prompts._courtesies import ends_in_courtesy
from vital_lib.prompts._doubt import refuses_somewhere
from vital_lib.prompts._fields import is_echo
from vital_lib.prompts._marks import UnreadableReply, without_thoughts
from vital_lib.prompts.reading import parse
from vital_lib.prompts.schemas import (
    ChatScores,
    Conversation,
    DraftQuestion,
    Drafts,
    PartConversation,
    PartDrafts,
    Rating,
    RatingCriteria,
    Round,
    ShortAnswer,
    Verdict,
)
from vital_lib.prompts.templates import (
    POLICIES,
    VERSIONS,
    Prompt,
    answer_prompt,
    chat_score_prompt,
    demonstration_clearance,
    draft_prompt,
    figure_text,
    generation_prompt,
    rating_prompt,
    verdict_prompt,
)
