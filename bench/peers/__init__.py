"""The same work by other implementations: Flower, plain Python, and Prio3's by Rust."""
