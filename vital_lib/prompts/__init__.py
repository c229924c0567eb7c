"""Every prompt beside the reading of its reply: policy, layout, reply schema, version.

A ``Prompt`` is what one request says: messages of text and figure images, and the pydantic schema
that the reply must fit (``schemas``). The policies are the text files in ``policies``, with
BioMed-VITAL's generation and rating policy (paper sections 3.1 and 3.2) in words of our own.
``parse`` (``reading``) reads what came back, as a person would: ``_marks`` takes off thoughts,
``_objects`` finds JSON, ``_fields`` fits it to a schema, ``_doubt`` weighs the words around it,
``_words`` and ``_turns`` read a reply without JSON, ``_courtesies`` takes off what a model says
to the one who asked. This package knows nothing of models, networks
or tables: ``client`` sends a prompt.
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
    PartialRating,
    Rating,
    RatingCriteria,
    Round,
    Verdict,
)
from vital_lib.prompts.templates import (
    POLICIES,
    VERSIONS,
    Prompt,
    chat_score_prompt,
    draft_prompt,
    figure_text,
    generation_prompt,
    rating_prompt,
    verdict_prompt,
)
