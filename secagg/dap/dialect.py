"""What Clients speak: draft-ietf-ppm-dap-18, or the older DAP-09 that Clients in the field upload by.

Aggregators and Collector speak draft 18 among themselves in any case. A task of another dialect states it in a task
extension, so that both Aggregators and the Collector have it; its Clients see no task configuration.
"""

from dataclasses import dataclass

from ..vdaf import DRAFT_08, DRAFT_20, Draft

DIALECT_EXTENSION = 0xFD00  # a task extension of this package; its data is the dialect's tag


@dataclass(frozen=True)
class Dialect:
    """One draft's upload path.

    Attributes:
        tag: the version in info strings and, in draft 18, in the VDAF's context.
        vdaf: the draft of the VDAF that Clients shard with.
        binds_task: whether input shares are bound to the task configuration, and the VDAF's context to the task.
        public_extensions: whether report metadata has them.
        in_seconds: whether times of reports are in seconds, else in the task's time_precision.
        upload_method: HTTP method of an upload.
        upload_media_type: of a request with reports: several, or only one (`bulk`).
        bulk: whether a request holds any number of reports.
        hpke_config_list_media_type: of the answer to GET hpke_config, compared letter by letter by some Clients.
    """

    tag: bytes
    vdaf: Draft
    binds_task: bool
    public_extensions: bool
    in_seconds: bool
    upload_method: str
    upload_media_type: str
    bulk: bool
    hpke_config_list_media_type: str


DAP_18 = Dialect(
    tag=b"dap-18",
    vdaf=DRAFT_20,
    binds_task=True,
    public_extensions=True,
    in_seconds=False,
    upload_method="POST",
    upload_media_type="application/ppm-dap;message=upload-req",
    bulk=True,
    hpke_config_list_media_type="application/ppm-dap;message=hpke-config-list",
)

DAP_09 = Dialect(
    tag=b"dap-09",
    vdaf=DRAFT_08,
    binds_task=False,
    public_extensions=False,
    in_seconds=True,
    upload_method="PUT",
    upload_media_type="application/dap-report",
    bulk=False,
    hpke_config_list_media_type="application/dap-hpke-config-list",
)

DIALECTS = {dialect.tag: dialect for dialect in (DAP_18, DAP_09)}
