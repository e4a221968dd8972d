"""The media types of section 9.1 that are the same in all dialects; `dialect` has the others."""

JOB_INIT_REQ = "application/ppm-dap;message=aggregation-job-init-req"
JOB_RESP = "application/ppm-dap;message=aggregation-job-resp"
SHARE_REQ = "application/ppm-dap;message=aggregate-share-req"
SHARE = "application/ppm-dap;message=aggregate-share"
UPLOAD_ERRORS = "application/ppm-dap;message=upload-errors"
COLLECTION_REQ = "application/ppm-dap;message=collection-job-req"
COLLECTION_RESP = "application/ppm-dap;message=collection-job-resp"
