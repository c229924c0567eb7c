"""A reward model: a vision-language model with a scalar head, tuned on preference pairs.

The same pairs as the published selector's, but the model reads the figure and the whole response
and not frozen features. ``head`` adds the head and scores responses, ``training`` tunes it. The
package does not depend on selectors or on where the pairs come from.
"""

from vital_lib.reward_model.head import HEAD, RewardModel, load_reward_model
from vital_lib.reward_model.training import tune_reward_model
