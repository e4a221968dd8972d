"""The media types of section 9.1; `dialect` says which draft has which, and has those of uploads."""

from dataclasses import dataclass

from ..http.semantics import parse_media_type

JOB_INIT_REQ = "application/ppm-dap;message=aggregation-job-init-req"
JOB_CONTINUE_REQ = "application/ppm-dap;message=aggregation-job-continue-req"
JOB_RESP = "application/ppm-dap;message=aggregation-job-resp"
SHARE_REQ = "application/ppm-dap;message=aggregate-share-req"
SHARE = "application/ppm-dap;message=aggregate-share"
UPLOAD_ERRORS = "application/ppm-dap;message=upload-errors"
COLLECTION_REQ = "application/ppm-dap;message=collection-job-req"
COLLECTION_RESP = "application/ppm-dap;message=collection-job-resp"


@dataclass(frozen=True)
class MediaTypes:
    """What Aggregators and Collector send each other.

    Attributes:
        job_init_req: begins an aggregation job.
        job_continue_req: continues one.
        job_resp: answers one.
        share_req: asks for an aggregate share.
        share: an aggregate share.
        collection_req: begins a collection job.
        collection_resp: its result.
    """

    job_init_req: str
    job_continue_req: str
    job_resp: str
    share_req: str
    share: str
    collection_req: str
    collection_resp: str


PPM_DAP = MediaTypes(
    JOB_INIT_REQ, JOB_CONTINUE_REQ, JOB_RESP, SHARE_REQ, SHARE, COLLECTION_REQ, COLLECTION_RESP
)  # fmt: skip
"""Of drafts 18 and later."""

DAP_09 = MediaTypes(
    job_init_req="application/dap-aggregation-job-init-req",
    job_continue_req="application/dap-aggregation-job-continue-req",
    job_resp="application/dap-aggregation-job-resp",
    share_req="application/dap-aggregate-share-req",
    share="application/dap-aggregate-share",
    collection_req="application/dap-collect-req",
    collection_resp="application/dap-collection",
)
"""Of draft 9 (section 8.1 there)."""


def is_media_type(given: str, wanted: str, tag: bytes) -> bool:
    """Whether a Content-Type is a media type of DAP, however it is spelled, and of no other version (section 9.1).

    Args:
        given: the value of a Content-Type field; may be empty.
        wanted: one of the media types here or of a dialect.
        tag: of the draft, whose number the media type may name in a parameter.
    """
    parsed, expected = parse_media_type(given), parse_media_type(wanted)
    if parsed is None or expected is None or parsed[0] != expected[0]:
        return False
    version = tag.decode("ascii").partition("-")[2]
    return {"version": version} | parsed[1] == {"version": version} | expected[1]
