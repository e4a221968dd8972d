"""The fixtures of DAP's tests, and that reads of a store do not write."""

from ...dap.conftest import dap_urls, dap_world, no_schema_is_left, reads_do_not_write

__all__ = ["dap_urls", "dap_world", "no_schema_is_left", "reads_do_not_write"]
