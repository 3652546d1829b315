"""Sizes of the input of the networks, for code that must not import torch."""

RATE, SAMPLES = 16_000, 48_000
"""Samples a second, and of a window of 3 s."""
FRAME, HOP, FFT = 400, 160, 512
"""Samples of a frame (25 ms), between frames (10 ms), and of the FFT."""
BANDS, FRAMES = 64, 300
"""Mel bands, and frames of a window."""
LOW, HIGH, OFFSET = 125.0, 7500.0, 0.01
"""Limits of the bands in Hz; what is added before the logarithm."""
WIDTH = 128
"""Numbers of an embedding."""
PARAMETERS = {"resnet18": 11_235_008, "mobilenet": 664_877, "small": 552_022, "small4": 463_866}
"""Trained parameters of each network."""
