"""One Aggregator's noise for one batch, fixed once: drawing it again gives the same noise.

A fresh draw for every request could be averaged away by asking often, or by setting a database back. So the secret of
the noise follows from a key that is never in the database, from the task and from the batch:

    HMAC-SHA256(noise_key, "secagg dap noise" || task_id || uint32 length || batch), the first 16 bytes

The samples follow from that secret, from the law and from the very share that they hide (`secagg.dp.Noise.add_to`).

A share that differs in one report has unrelated noise, and so has a task that is made anew under another budget. The
guarantee of each result by itself needs that. The marks on collected batches see to it that results of two overlapping
batches are never released.

An answer is stored with the mark, and is given again as it is. Noise is drawn again only where that transaction was
lost, by a crash or by a restored backup. So a new version, whose samplers may make other samples of a secret, changes
no answer that was given.
"""

import hmac

from ...codec import Opaque
from ...dp import Party, Plan
from ...errors import require
from ...masking import SEED_BYTES
from ...vdaf import Prio3
from ...vdaf.field import Elements
from ..messages import TASK_ID_SIZE

NOISE_KEY_SIZE = 32

_LABEL = b"secagg dap noise"


def noise_secret(noise_key: bytes, task_id: bytes, batch: bytes) -> bytes:
    """The secret of an Aggregator's noise, 16 bytes.

    Args:
        noise_key: 32 bytes of this Aggregator alone, from a cryptographic random generator; kept outside the database
            and never changed while it may be asked again for a batch.
        task_id: 32 bytes.
        batch: what names the batch within the task, unambiguously: an encoded interval or batch ID.

    Raises:
        LocalProtocolError: the key or the task ID has another length.
    """
    require(len(noise_key) == NOISE_KEY_SIZE, f"the noise key must have {NOISE_KEY_SIZE} bytes, got {len(noise_key)}")
    require(len(task_id) == TASK_ID_SIZE, f"a task ID must have {TASK_ID_SIZE} bytes, got {len(task_id)}")
    return hmac.digest(noise_key, _LABEL + task_id + Opaque(4).write(batch), "sha256")[:SEED_BYTES]


def add_noise(plan: Plan, prio3: Prio3, agg_share: Elements, secret: bytes) -> Elements:
    """A copy of the aggregate share with one Aggregator's noise, over the field.

    The same secret, plan and share give the same noise.

    Args:
        plan: of the task.
        prio3: of the task.
        agg_share: the aggregate share, one element of the field for each entry.
        secret: 16 bytes; see `noise_secret`.

    Raises:
        LocalProtocolError: the share has another length than the plan, or the secret another than 16 bytes.
    """
    noised = agg_share.copy()
    plan.noise_for(Party.AGGREGATOR).add_to(noised, prio3.field.MODULUS, rand=lambda _: secret)
    return noised
