"""MIR tasks: fit probes on frozen vectors and score their answers."""
