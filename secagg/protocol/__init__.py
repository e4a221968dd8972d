"""The paper's protocol, Fig. 4."""
