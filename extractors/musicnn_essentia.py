"""MusiCNN as Essentia runs it, for comparison with vectors that Essentia computed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import BenchError
from bench.files.hash_index import sha256_once
from bench.protocols import FILE, Extractor, Window

if TYPE_CHECKING:
    import torch

NODES = {
    "dense": ("model/dense/BiasAdd", 200),
    "penultimate": ("model/batch_normalization_10/batchnorm/add_1", 200),
    "taggram": ("model/Sigmoid", 50),
}
"""Name and width of the outputs in the graph."""


@dataclass(frozen=True)
class EssentiaSettings:
    """The file of a graph, and which of its nodes to read.

    path : msd-musicnn-1.pb or mtt-musicnn-1.pb
    node : dense (Essentia's own choice of an embedding), penultimate or taggram
    patch_hop : frames (16 ms) from one patch of 187 to the next; Essentia's default is 93
    """

    path: str = field(metadata=FILE)
    node: Literal["dense", "penultimate", "taggram"] = "dense"
    patch_hop: int = 93

    def __post_init__(self) -> None:
        """Reject a hop that is not positive."""
        if self.patch_hop < 1:
            raise ValueError(f"patch_hop must be a positive number of frames, got {self.patch_hop}")


class MusiCNNEssentia(Extractor):
    """MusiCNN through Essentia's TensorflowPredictMusiCNN, with your own .pb file; `musicnn` needs neither.

    Essentia is AGPL-3.0, hence this optional extra; its copies of the weights must be downloaded by hand:
    https://essentia.upf.edu/models/feature-extractors/musicnn/. The harness resamples, not MonoLoader. A track of
    fewer than 187 frames fails, because Essentia drops it.
    """

    Settings = EssentiaSettings
    name = "musicnn-essentia"
    license = "AGPL-3.0 (Essentia); weights CC BY-NC-SA 4.0"
    non_commercial = True
    paper = "Pons and Serra 2019, arXiv:1909.06654; Essentia's models: Alonso-Jimenez et al. 2020, arXiv:2003.07393"
    traps = (
        "Essentia's documented embedding (`node=dense`, model/dense/BiasAdd) is the output of the dense layer before "
        "ReLU and batch normalisation: not what the MusiCNN package calls `penultimate`, which is after both.",
        "Numbers differ from those of `musicnn`: slightly, because Essentia does not round the mel spectrogram to "
        "float16, and more, because its patches overlap by half (with `patch_hop=187` they do not).",
        "The package `essentia` has no TensorFlow; `essentia-tensorflow` has.",
    )
    requires = ("essentia",)
    extra = "essentia"
    sample_rate = 16_000
    settings: EssentiaSettings

    def __init__(self, settings: EssentiaSettings):
        super().__init__(settings)
        self.path = Path(settings.path).expanduser()
        self.layers = {settings.node: NODES[settings.node][1]}
        self.window = Window(length=None, shortest=186 * 256)
        name = self.path.name.lower()
        self.trained_on = tuple(data for sign, data in (("msd", "msd"), ("mtt", "magnatagatune")) if sign in name)

    def fingerprint(self) -> dict[str, Any]:
        """Return the graph's sha256, node and hop, and the version of Essentia, which makes the spectrogram."""
        if reason := self.unready():
            raise BenchError(reason)
        node = NODES[self.settings.node][0]
        return {
            "sha256": sha256_once(self.path),
            "node": node,
            "patch_hop": self.settings.patch_hop,
            "essentia": _version(),
        }

    def unready(self) -> str | None:
        """Say that the graph is absent, and where to download it."""
        if self.path.is_file():
            return None
        return (
            f"musicnn-essentia needs a graph from Essentia (CC BY-NC-SA 4.0, non-commercial); there is no {self.path}. "
            "Download msd-musicnn-1.pb from https://essentia.upf.edu/models/feature-extractors/musicnn/ and write "
            "musicnn-essentia:path=FILE; or use `musicnn`, which fetches the original's weights (ISC)."
        )

    def load(self, device: str, dtype: str) -> None:
        """Open the graph; Essentia's TensorFlow runs it on the CPU, whatever `device` is."""
        if "tensorflow" in sys.modules:
            raise BenchError(
                "musicnn-essentia: tensorflow is already imported; Essentia's own copy would crash beside it."
            )
        import essentia
        import essentia.standard as algorithms

        if not hasattr(algorithms, "TensorflowPredictMusiCNN"):
            raise BenchError(
                "the package `essentia` lacks TensorFlow: pip uninstall essentia, then "
                "pip install 'music-embedding-bench[essentia]' (essentia-tensorflow)."
            )
        essentia.log.infoActive = False
        self._predict = algorithms.TensorflowPredictMusiCNN(
            graphFilename=str(self.path), output=NODES[self.settings.node][0], patchHopSize=self.settings.patch_hop
        )

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Map whole tracks (B, T) to one frame per patch, (B, patches, D)."""
        import torch

        found = [torch.as_tensor(self._predict(wave)) for wave in waves.cpu().numpy()]
        yield self.settings.node, torch.stack(found).to(waves.device)


def _version() -> str:
    for package in ("essentia-tensorflow", "essentia"):
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    return "unknown"
