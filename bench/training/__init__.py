"""Training loops: history, checkpoints, learning rates and TensorBoard events."""
