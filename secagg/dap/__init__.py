"""DAP, the Distributed Aggregation Protocol of draft-ietf-ppm-dap-19, with differential privacy.

Sections that comments cite are draft 19's; draft 18 has them under the same numbers. Where DAP-09's are meant, the
comment says so. `dialect` has what the drafts differ in.
"""
