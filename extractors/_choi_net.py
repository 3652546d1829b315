"""Choi's networks in torch: two kinds of decibel mel spectrograms, convolutions, GRUs.

Every norm after a convolution but the compact network's is folded into the convolution, and the maximum is taken
before ELU, which rises: both alter numbers by rounding only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from ._choi_config import BANDS, FFT, HOP, RATE, Config
from ._mel import mel_filters

if TYPE_CHECKING:
    import torch

Reading = Literal["trained", "example"]
DYNAMIC = 80.0
"""Decibels below a window's loudest value at which softer ones are cut."""
EPSILON = {"deviation": 1e-6, "variance": 1e-5, "compact": 1e-3}
"""Epsilon of batch normalisation in Keras 1.0.6, which divides by deviation + epsilon, and in Keras 1.0.8 and 1.2."""
FLAT = 1e-6
"""Smallest standard deviation by which a window is divided: digital silence becomes 0."""


class ChoiNet:
    """Waves of one window to every layer, (B, 1, D) each.

    Parameters
    ----------
    tensors : as `Config.tensors` lists them, on the device to use
    config : sizes
    reading : see `choi.ChoiSettings`

    """

    def __init__(self, tensors: Mapping[str, torch.Tensor], config: Config, reading: Reading):
        self.tensors, self.config, self.reading = dict(tensors), config, reading
        device = tensors["conv1.bias"].device
        self._mel = Mel(device)
        self._blocks = range(1, len(config.channels) + 1)
        if config.net == "compact":
            return
        self._scale, self._shift = self._norm("norm0")
        for block in self._blocks:
            scale, shift = self._norm(f"norm{block}")
            self.tensors[f"conv{block}.weight"] = tensors[f"conv{block}.weight"] * scale[:, None, None, None]
            self.tensors[f"conv{block}.bias"] = tensors[f"conv{block}.bias"] * scale + shift

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to decibel mel spectrograms (B, 96, T)."""
        if self.config.net == "compact":
            return (self._mel.below_peak(waves),)
        mel = self._mel.squared(waves)
        if self.reading == "trained":
            deviation = mel.std((1, 2), correction=0, keepdim=True).clamp(min=FLAT)
            mel = (mel - mel.mean((1, 2), keepdim=True)) / deviation
        return (mel,)

    def __call__(self, mel: torch.Tensor) -> Iterator[torch.Tensor]:
        """Map mel spectrograms (B, 96, T) to the layers of `Config.layers` (B, 1, D)."""
        import torch
        import torch.nn.functional as fn

        if self.config.net == "compact":
            blocks = [x.mean((2, 3)) for x in self._convolutions(mel)]
            layers = [*blocks, torch.cat(blocks, dim=1)]
        else:
            mel = fn.pad(mel, (self.config.padding, self.config.padding)) * self._scale + self._shift
            *_, x = self._convolutions(mel)  # (B, C, 1, steps)
            features = self._recurrent(x[:, :, 0].transpose(1, 2)) if self.config.hidden else x.flatten(1)
            tags = fn.linear(features, self.tensors["output.weight"], self.tensors["output.bias"]).sigmoid()
            layers = [features, tags]
        yield from (layer[:, None] for layer in layers)

    def _norm(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scale and shift of a batch normalisation with the statistics of training."""
        deviation = self.tensors[f"{name}.deviation"]
        # The example runs the CRNN under a Keras that takes the stored standard deviations for variances.
        as_variance = self.reading == "example" and self.config.net == "crnn"
        divisor = (deviation + EPSILON["variance"]).sqrt() if as_variance else deviation + EPSILON["deviation"]
        scale = self.tensors[f"{name}.gamma"] / divisor
        return scale, self.tensors[f"{name}.beta"] - self.tensors[f"{name}.mean"] * scale

    def _convolutions(self, mel: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the result (B, C, bands, frames) of every block."""
        import torch.nn.functional as fn

        x = mel[:, None]
        for block, pool in zip(self._blocks, self.config.pools, strict=True):
            x = fn.conv2d(x, self.tensors[f"conv{block}.weight"], self.tensors[f"conv{block}.bias"], padding=1)
            if self.config.net == "compact":
                x = self._own_statistics(x, f"norm{block}")
            x = fn.elu(fn.max_pool2d(x, pool))
            yield x

    def _own_statistics(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """Normalise each channel of each window (B, C, bands, frames) by its own mean and variance."""
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
        scale = self.tensors[f"{name}.gamma"][:, None, None] / (variance + EPSILON["compact"]).sqrt()
        return x * scale + (self.tensors[f"{name}.beta"][:, None, None] - mean * scale)

    def _recurrent(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, steps, C) through both GRUs to the last state (B, hidden)."""
        import torch

        width = self.config.hidden
        for gru in ("gru1", "gru2"):
            weight = self.tensors[f"{gru}.state.weight"].T
            inputs = x @ self.tensors[f"{gru}.input.weight"].T + self.tensors[f"{gru}.bias"]
            state, states = inputs.new_zeros(len(x), width), []
            for step in inputs.unbind(1):
                gates = 0.2 * (step[:, : 2 * width] + state @ weight[:, : 2 * width]) + 0.5  # Keras' hard sigmoid
                update, reset = gates.clamp(0, 1).chunk(2, dim=1)
                candidate = torch.tanh(step[:, 2 * width :] + (reset * state) @ weight[:, 2 * width :])
                state = update * state + (1 - update) * candidate
                states.append(state)
            x = torch.stack(states, dim=1)
        return x[:, -1]


class Mel:
    """Power of 96 Slaney bands of unit area from 0 to 6 kHz; frames of 512 samples every 256, in decibel."""

    def __init__(self, device: torch.device):
        import torch

        self.window = torch.hann_window(FFT, periodic=True, device=device)
        self.filters = torch.from_numpy(mel_filters(RATE, FFT, BANDS).T.astype(np.float32)).to(device)

    def squared(self, waves: torch.Tensor) -> torch.Tensor:
        """Map waves (B, N) to decibels of the *squared* power (B, 96, 1 + N // 256), as the source has them.

        The window is mirrored at both ends; nothing lies 80 dB or more below the window's loudest value.
        """
        import torch.nn.functional as fn

        power = self._power(fn.pad(waves, (FFT // 2, FFT // 2), mode="reflect"), self.window)
        decibel = 20 * power.clamp(min=1e-5).log10()
        return decibel.maximum(decibel.amax((1, 2), keepdim=True) - DYNAMIC)

    def below_peak(self, waves: torch.Tensor) -> torch.Tensor:
        """Map waves (B, N) to decibels of the power below the window's loudest value (B, 96, ceil(N / 256)).

        Zeros lie around the window. Theano convolved with the Fourier kernels, and so turned the Hann window round.
        """
        import torch.nn.functional as fn

        frames = -(-waves.shape[1] // HOP)
        after = (frames - 1) * HOP + FFT // 2 - waves.shape[1]
        decibel = 10 * self._power(fn.pad(waves, (FFT // 2, after)), self.window.flip(0)).clamp(min=1e-10).log10()
        return (decibel - decibel.amax((1, 2), keepdim=True)).clamp(min=-DYNAMIC)

    def _power(self, waves: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
        import torch

        spectrum = torch.fft.rfft(waves.unfold(-1, FFT, HOP) * window)
        power: torch.Tensor = (spectrum.real.square() + spectrum.imag.square()) @ self.filters
        return power.transpose(1, 2)
