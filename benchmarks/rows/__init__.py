"""The rows of peers.py, by the part of bench that they measure."""
