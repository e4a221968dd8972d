"""Tests of secagg.integrations.nvflare, with FLARE's own machinery; they need the extra `nvflare`."""
