"""MuQ-MuLan's towers: their operations. Imports torch only to build them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _musicfm_config as musicfm
from ._config import NetworkConfig
from ._muq_mulan_sizes import Sizes

if TYPE_CHECKING:
    from ._muq_mulan_net import MuQMuLanNet


@dataclass(frozen=True)
class Config(Sizes, NetworkConfig):
    """The towers of some sizes."""

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window."""
        frames = -(-(samples // 240) // 4)
        block = 4 * self.width * self.heads * self.head + 3 * self.width * self.hidden
        block += 2 * frames * self.heads * self.head
        head = frames * (self.muq.width * self.width + self.depth * block) + self.width * self.joint
        return self.muq.operations(samples) + 2 * head

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of MuQ, which needs more than the transformer on top of it."""
        return self.muq.activations(samples, batch, width)

    def module(self) -> MuQMuLanNet:
        """Build the audio tower, without values."""
        from ._muq_mulan_net import MuQMuLanNet

        return MuQMuLanNet(self)


FULL = Config()
TINY = Config(
    muq=musicfm.TINY,
    width=24,
    depth=2,
    heads=2,
    head=8,
    joint=16,
    text={
        "vocab_size": 40,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 34,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
    },
)
