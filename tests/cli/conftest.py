"""Commands of DAP keep to what its own tests keep to: reads of a store do not write."""

from ..dap.conftest import reads_do_not_write

__all__ = ["reads_do_not_write"]
