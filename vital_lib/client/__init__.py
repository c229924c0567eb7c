"""Client for OpenAI-compatible chat endpoints: sends prompts, returns replies in the same order.

All model API calls go through this package, also those to the embedded ``"clinic"``. It does not
depend on the content of prompts or tables. Its modules:

- ``client``: the public class, `ChatClient`
- ``run``: sends the prompts of one call
- ``limits``: concurrency limit, circuit breaker, and one request for duplicates
- ``faults``: classifies errors and sets the retry policy
- ``sending``: encodes, posts and times one request
- ``wire``: converts prompts to request bodies and responses to replies
- ``bodies``: parses response bodies
- ``images``: encodes figures
- ``entries``, ``ledger``, ``writer``: store every request and reply, so that no reply is paid for
  twice
- ``sent``: tells which images requests carried
- ``prices``, ``cost``: count tokens and US dollars
- ``batches``: the same requests in OpenAI's batches, at half the price
- ``job``: pause, resume and stop; run in the background
"""

from vital_lib.client.client import OFFLINE, ChatClient, ModelUnavailable
from vital_lib.client.cost import CostCeiling, cost_per
from vital_lib.client.job import Control, Job
from vital_lib.client.ledger import Ledger, LedgerUnwritable
from vital_lib.client.prices import UnknownPrice, price_of
from vital_lib.client.run import UNSENT
from vital_lib.client.sent import check_images, sent_images
from vital_lib.client.wire import Reply
