"""One Aggregator's noise for one batch, fixed once: who draws it again gets the same.

A fresh draw for every request could be averaged away by asking often, or by setting a database back. So the noise is a
function of a key that is never in the database, the task, the batch and the very share that it hides:

    HMAC-SHA256(noise_key, "secagg dap noise" || task_id || uint32 length || batch || SHA-256(share))

of which the seed is the first 16 bytes.

A share that differs in one report has unrelated noise, which is what the guarantee needs of each result by itself.
That two results of overlapping batches are never released is for the marks on collected batches to see to.
"""

import hmac
from hashlib import sha256

from ..codec import Opaque
from ..dp import Party, Plan
from ..errors import require
from ..masking import SEED_BYTES
from ..vdaf import Prio3
from ..vdaf.field import Elements
from .messages import TASK_ID_SIZE

NOISE_KEY_SIZE = 32

_SEED_LABEL = b"secagg dap noise"
_LAW_LABEL = b"secagg dap noise of the law "


def noise_seed(noise_key: bytes, task_id: bytes, batch: bytes, agg_share: bytes) -> bytes:
    """The seed of an Aggregator's noise, 16 bytes, as secret as the noise.

    Args:
        noise_key: 32 bytes of this Aggregator alone, from a cryptographic random generator; kept outside the database
            and never changed while it may be asked again for a batch.
        task_id: 32 bytes.
        batch: what names the batch within the task, unambiguously: an encoded interval or batch ID.
        agg_share: the encoded aggregate share without noise.

    Raises:
        LocalProtocolError: the key or the task ID has another length.
    """
    require(len(noise_key) == NOISE_KEY_SIZE, f"the noise key has {NOISE_KEY_SIZE} bytes, got {len(noise_key)}")
    require(len(task_id) == TASK_ID_SIZE, f"a task ID has {TASK_ID_SIZE} bytes, got {len(task_id)}")
    message = _SEED_LABEL + task_id + Opaque(4).write(batch) + sha256(agg_share).digest()
    return hmac.digest(noise_key, message, "sha256")[:SEED_BYTES]


def add_noise(plan: Plan, prio3: Prio3, agg_share: Elements, seed: bytes) -> Elements:
    """A copy of the aggregate share with one Aggregator's noise, over the field: the same for the same seed and plan.

    The seed is turned into another one for each law: one draw scaled to two budgets would give the share away.

    Raises:
        LocalProtocolError: the share has another length than the plan, or the seed another than 16 bytes.
    """
    require(len(seed) == SEED_BYTES, f"a noise seed has {SEED_BYTES} bytes, got {len(seed)}")
    require(len(agg_share) == plan.length, f"the plan is for {plan.length} entries, the share has {len(agg_share)}")
    law = _LAW_LABEL + f"{type(plan.law).__name__} {sorted(vars(plan.law).items())} {plan.length}".encode()
    own = hmac.digest(seed, law, "sha256")[:SEED_BYTES]
    noised = agg_share.copy()
    prio3.agg_add(noised, plan.noise_for(Party.AGGREGATOR).sample(rand=lambda _: own))
    return noised
