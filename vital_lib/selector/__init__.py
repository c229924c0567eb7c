"""The selector: predict which candidates clinicians will accept.

Method, stage 2. ``features``, ``blocks`` and ``scaling`` prepare frozen features in named blocks.
``training``, ``linear`` and ``model`` learn one linear score from the judge's ratings and the
annotators' votes. ``pairs`` and ``published`` train the published recipe as a control.
``alignment`` measures how well scores agree with annotators. The package does not depend on
prompts, on replies, or on the use of the scores.
"""

from vital_lib.selector.alignment import alignment_metrics, pair_agreement
from vital_lib.selector.features import (
    ENCODED_BLOCKS,
    IMAGE_BLOCKS,
    Features,
    candidate_features,
    shuffle_images,
)
from vital_lib.selector.model import Selector
from vital_lib.selector.pairs import (
    human_pairs,
    human_ticks,
    judge_pairs,
    judge_ratings,
    pair_groups,
)
from vital_lib.selector.published import (
    PublishedSelector,
    SelectorConfig,
    pairwise_loss,
    sweep_published,
    train_published,
)
from vital_lib.selector.scaling import Scaled, Scaling
from vital_lib.selector.training import train_selector
