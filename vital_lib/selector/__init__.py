"""The selector: learns which candidate clinicians would rather accept.

Method, stage 2: frozen features in named blocks (``features``, ``blocks``, ``scaling``); the
judge's ratings and every tick of people, one linear score from both (``training``, ``linear``,
``model``); the published recipe as a control (``pairs``, ``published``); and how well scores agree
with people (``alignment``). The package knows nothing of prompts, replies or what is done with the
scores.
"""

from vital_lib.selector.alignment import (
    alignment_metrics,
    auc,
    average_precision,
    mean_rank,
    pair_agreement,
)
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
