"""Tests of secagg.integrations: the core everywhere, the adapters where their framework is installed."""
