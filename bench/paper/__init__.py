"""The paper's evaluation (section 7.3) on this machine."""
