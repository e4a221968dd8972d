"""The media types of section 9.1 that are the same in all dialects; `dialect` has the others."""

from ..http.semantics import parse_media_type

JOB_INIT_REQ = "application/ppm-dap;message=aggregation-job-init-req"
JOB_CONTINUE_REQ = "application/ppm-dap;message=aggregation-job-continue-req"
JOB_RESP = "application/ppm-dap;message=aggregation-job-resp"
SHARE_REQ = "application/ppm-dap;message=aggregate-share-req"
SHARE = "application/ppm-dap;message=aggregate-share"
UPLOAD_ERRORS = "application/ppm-dap;message=upload-errors"
COLLECTION_REQ = "application/ppm-dap;message=collection-job-req"
COLLECTION_RESP = "application/ppm-dap;message=collection-job-resp"


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
