"""The only seam to a model API: prompts in, replies out, in the same order.

Any endpoint that speaks OpenAI's chat completions will do; the embedded ``"clinic"`` is reached
through the very same client. This package knows nothing of what prompts ask or what tables hold.
``run`` sends, ``in_flight`` lets nothing out twice at once, ``limits`` says how fast, ``faults``
which errors pass, ``wire`` translates, ``bodies`` reads what came back, ``images`` encodes,
``ledger`` keeps every reply, so that none is paid for twice, ``prices`` and ``cost`` count,
``control`` stops.
"""

from vital_lib.client.client import ChatClient, ModelUnavailable
from vital_lib.client.control import Control, Tally
from vital_lib.client.cost import CostCeiling, cost_per
from vital_lib.client.job import Job
from vital_lib.client.ledger import Ledger, LedgerUnwritable
from vital_lib.client.prices import Price, UnknownPrice, price_of
from vital_lib.client.run import UNSENT
from vital_lib.client.wire import Reply
