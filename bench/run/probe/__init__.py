"""MIR tasks: fit probes on frozen vectors and evaluate their predictions."""
