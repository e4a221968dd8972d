"""One round of federated averaging in Flower: plain, by `secagg.integrations.flower`, and by Flower's own SecAgg+."""
