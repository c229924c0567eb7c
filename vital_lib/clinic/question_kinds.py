"""The simulated generator's kinds of question, with templates of questions and answers.

A kind lists the attributes that its questions ask for and those that must be known. The slots of
the templates are those of ``wording.Phrases``. Independent of rates, requests and the ground truth.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of question.

    Args:
        question_type: the value of that field in the reply.
        asks: attributes that the questions ask for.
        questions: templates; those of a closed kind hold a slot for the proposal.
        answers: templates of an open kind.
        yes, no: templates of a closed kind, after "Yes, " and after "No, ".
        needs: attributes that must be known.
        weight: sampling weight.
        proposals: values that a closed kind may propose; empty: all values of the attribute.
        knows: field of `asides.Knowledge` that holds the answers, if `answers` is empty.
        of_normal: use for figures without a finding: "no", "also" or "only".
    """

    name: str
    question_type: str
    asks: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...] = ()
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    needs: tuple[str, ...] = ("finding",)
    weight: float = 1.0
    proposals: tuple[int, ...] = ()
    knows: str = ""
    of_normal: str = "no"

    @property
    def closed(self) -> bool:
        """Whether the questions are yes/no questions."""
        return bool(self.yes)


OPEN_KINDS = (
    Kind(
        "modality",
        "modality",
        ("modality",),
        (
            "What type of imaging study is this?",
            "Which imaging technique produced this image?",
            "What modality is this?",
            "By which technique was this image obtained?",
            "Which imaging modality is shown?",
        ),
        (
            "This is {image}.",
            "The image is {image}.",
            "It is {image}.",
            "We are looking at {image}.",
        ),
        needs=("modality",),
    ),
    Kind(
        "finding",
        "finding",
        ("finding",),
        (
            "What is the main abnormality?",
            "Which abnormality is present?",
            "What is the principal finding?",
            "What would you report as the main finding?",
            "Which lesion can be identified?",
            "What does the image demonstrate?",
        ),
        (
            "The main finding is {a_f}.",
            "The image shows {a_f}.",
            "There {is_} {a_f}.",
            "The image demonstrates {a_f}.",
            "The appearance is that of {a_f}.",
        ),
        weight=1.4,
        of_normal="also",
    ),
    Kind(
        "side",
        "side",
        ("side",),
        (
            "On which side {does} the {f} lie?",
            "Which side {does} the {f} involve?",
            "What is the laterality of the {f}?",
            "Which side would you report for the {f}?",
            "{which_half} {does} the {f} lie?",
        ),
        (
            "The {f} {lies} {on_side}.",
            "The {f} {is_} {on_side}.",
            "The {f} {is_} located {on_side}.",
        ),
        needs=("finding", "side"),
        weight=1.3,
    ),
    Kind(
        "level",
        "level",
        ("level",),
        (
            "{which_level} {does} the {f} lie?",
            "{which_level} {is_} the {f} seen?",
            "{which_level} would you place the {f}?",
        ),
        (
            "The {f} {lies} {at_level}.",
            "The {f} {is_} {at_level}.",
            "The {f} {is_} seen {at_level}.",
        ),
        needs=("finding", "level"),
        weight=0.8,
    ),
    Kind(
        "location",
        "location",
        ("side", "level"),
        (
            "Where {does} the {f} lie?",
            "Where would you localise the {f}?",
            "In which region {is_} the {f}?",
            "How would you describe the location of the {f}?",
        ),
        (
            "The {f} {lies} {place}.",
            "The {f} {is_} located {place}.",
            "The {f} {is_} seen {place}.",
        ),
        needs=("finding", "side", "level"),
    ),
    Kind(
        "size",
        "size",
        ("size",),
        (
            "How large would you call the {f}?",
            "How would you grade the size of the {f}?",
            "Roughly how large {is_} the {f}?",
            "How would you describe the {f} in size?",
        ),
        (
            "The {f} {is_} {size}.",
            "The {f} {is_} {size} in size.",
            "I would call the {f} {size}.",
        ),
        needs=("finding", "size"),
    ),
    Kind(
        "count",
        "count",
        ("count",),
        (
            "How many {fs} do you count?",
            "How many {fs} can be identified?",
            "How many {fs} would you report?",
            "How many {fs} does the image show?",
        ),
        (
            "There {is_} {number_f}.",
            "{number_f} {is_} visible.",
            "I count {number_f}.",
            "The image shows {number_f}.",
        ),
        needs=("finding", "count"),
        weight=1.3,
    ),
    Kind(
        "describe",
        "description",
        ("modality", "finding", "side", "level", "size", "count"),
        (
            "Describe the image in a sentence or two.",
            "How would you summarise this image?",
            "Please give a short report of this image.",
            "How would you describe this image to a colleague?",
        ),
        (
            "{this_image} shows {count_f} {place}.",
            "{this_image} demonstrates {count_f} {place}.",
            "On {this_image}, {count_f} {is_} seen {place}.",
            "There {is_} {count_f} {place} on {this_image}.",
        ),
        weight=0.8,
        of_normal="also",
    ),
    Kind(
        "reasoning on meaning",
        "reasoning",
        (),
        (
            "Why {does} the {f} matter clinically?",
            "What is the clinical significance of the {f}?",
            "How would you explain the importance of the {f} to a student?",
        ),
        knows="meaning",
        weight=0.4,
    ),
    Kind(
        "reasoning on cause",
        "reasoning",
        (),
        (
            "What is the likely cause of the {f}?",
            "Which causes should be considered for the {f}?",
            "How would you explain the {f}?",
        ),
        knows="cause",
        weight=0.4,
    ),
    Kind(
        "reasoning on next",
        "reasoning",
        (),
        (
            "How would you manage the {f}?",
            "What would you do next, given the {f}?",
            "Which next step do you recommend for the {f}?",
        ),
        knows="next",
        weight=0.4,
    ),
    Kind(
        "reasoning on none",
        "reasoning",
        (),
        (
            "What would you tell the patient about this image?",
            "Which next step do you recommend?",
            "How should the patient be managed?",
        ),
        (
            "The patient can be reassured.",
            "The image gives no reason for treatment.",
            "The image is as expected for the age.",
        ),
        of_normal="only",
    ),
)

_COUNTED = ("there {is_} {number_f}.", "I count {number_f}.", "the image shows {number_f}.")

CLOSED_KINDS = (
    Kind(
        "modality, yes/no",
        "modality (yes/no)",
        ("modality",),
        (
            "Does this look like {image}?",
            "Would you call this {image}?",
            "Would you classify this as {image}?",
        ),
        yes=("this is {image}.", "the image is {image}."),
        no=("this is {image}.", "it is {image}."),
        needs=("modality",),
        weight=0.6,
    ),
    Kind(
        "finding, yes/no",
        "presence (yes/no)",
        ("finding",),
        (
            "Do you see {a_one}?",
            "Is {a_one} visible in this image?",
            "Can {a_one} be identified?",
            "Would you report {a_one}?",
        ),
        yes=("there {is_} {a_f}.", "the image shows {a_f}.", "{a_f} {is_} visible."),
        no=("the image shows {a_f} instead.", "there {is_} {a_f} instead."),
        weight=1.3,
        of_normal="also",
    ),
    Kind(
        "side, yes/no",
        "side (yes/no)",
        ("side",),
        (
            "{does} the {f} lie on the {side}?",
            "Would you place the {f} {on_side}?",
            "{is_} the {f} located {on_side}?",
        ),
        yes=("the {f} {is_} {on_side}.", "the {f} {lies} {on_side}."),
        no=("the {f} {is_} {on_side}.", "the {f} {lies} {on_side}."),
        needs=("finding", "side"),
    ),
    Kind(
        "size, yes/no",
        "size (yes/no)",
        ("size",),
        ("{is_} the {f} {size} in size?", "Would you call the {f} {size}?"),
        yes=("the {f} {is_} {size}.", "{it} {is_} {size}."),
        no=("the {f} {is_} {size}.", "I would call the {f} {size}."),
        needs=("finding", "size"),
        weight=0.5,
    ),
    Kind(
        "solitary, yes/no",
        "count (yes/no)",
        ("count",),
        ("Is the {one} solitary?", "Would you call the {one} solitary?"),
        yes=_COUNTED,
        no=_COUNTED,
        needs=("finding", "count"),
        weight=0.4,
        proposals=(1,),
    ),
    Kind(
        "number, yes/no",
        "count (yes/no)",
        ("count",),
        ("Do you count {number} {fs}?", "Are {number} {fs} visible?"),
        yes=_COUNTED,
        no=_COUNTED,
        needs=("finding", "count"),
        weight=0.4,
        proposals=(2, 3),
    ),
)

_CONTEXT_QUESTIONS = (
    "What information would help to interpret this image?",
    "Which clinical details should accompany this image?",
    "What else would you want to know before interpreting this image?",
    "What would you check before reporting on this image?",
    "Which records would you review together with this image?",
)
_CONTEXT_ANSWERS = (
    "The history of the patient and the indication would help.",
    "Age, symptoms and earlier images should be known.",
    "The clinical question and earlier images should be known.",
    "The records of the patient should be read beforehand.",
)

TERM_KINDS = (
    Kind(
        "terms",
        "topic",
        (),
        (
            "What does this image illustrate?",
            "What is the subject of this image?",
            "What would you teach with this image?",
            "What is this image an example of?",
        ),
        (
            "The image illustrates {terms}.",
            "The subject is {terms}.",
            "It is an example of {terms}.",
        ),
        needs=(),
        weight=0.5,
    ),
    Kind(
        "terms, yes/no",
        "topic (yes/no)",
        (),
        (
            "Does this image illustrate {topic}?",
            "Is this image about {topic}?",
            "Would you use this image to illustrate {topic}?",
        ),
        yes=("the image illustrates {terms}.", "the subject is {terms}."),
        no=("the image illustrates {terms}.", "the subject is {terms}."),
        needs=(),
        weight=0.3,
    ),
    Kind("context", "context", (), _CONTEXT_QUESTIONS, _CONTEXT_ANSWERS, needs=(), weight=0.2),
)

SPEECHLESS = Kind("speechless", "context", (), _CONTEXT_QUESTIONS, _CONTEXT_ANSWERS, needs=())
"""The kind for a figure whose text offers nothing to ask about."""
