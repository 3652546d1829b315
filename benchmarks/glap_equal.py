"""Is `glap` what its package computes? Largest differences of both towers on shared random weights.

    pip install torchaudio einops loguru sentencepiece
    pip install --no-deps --target UPSTREAM dasheng==0.0.9 glap-model==0.0.13
    python benchmarks/glap_equal.py UPSTREAM [TOKENIZER]

The package's network gets random weights and is saved as its checkpoint is; this project's reader of the checkpoint
reads both towers from the file. TOKENIZER is sentencepiece.source.256000.model; without it a small one is trained
here, and both sides read that one.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from machine import machine
from upstream import disturb, gap, row, sounds

TEXTS = ("jazz", "The music in the style of slow guitar blues.", "a choir sings in a large church " * 20)


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    sys.path.insert(0, sys.argv[1])
    torch.set_num_threads(1)
    print(machine("glap_model", "dasheng", "torchaudio", "sentencepiece"))
    with tempfile.TemporaryDirectory() as name:
        tokenizer = Path(sys.argv[2]) if len(sys.argv) == 3 else trained(Path(name))
        compare(Path(name), tokenizer)


def trained(folder: Path) -> Path:
    """Train a tokenizer of 60 pieces."""
    import sentencepiece

    prefix = folder / "small"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20), model_prefix=str(prefix), vocab_size=60, model_type="bpe", minloglevel=2
    )
    return prefix.with_suffix(".model")


def compare(folder: Path, tokenizer: Path) -> None:
    import dasheng
    from dasheng.pretrained.pretrained import Dasheng
    from glap_model.models.audioencoders import dasheng_audioencoder

    from bench_extractors import _glap_weights as files
    from bench_extractors._checkpoint import METADATA
    from bench_extractors._glap_net import GLAPNet
    from bench_extractors._sonar_config import TextConfig
    from bench_extractors._sonar_net import SonarNet, codes_of

    def untrained(**_settings: object) -> torch.nn.Module:
        return Dasheng(embed_dim=768, depth=12, num_heads=12, target_length=1008)

    dasheng_audioencoder.dasheng_base = dasheng.dasheng_base = untrained  # it would download the trained one
    from glap_model.models.glap import GLAP

    theirs = GLAP(audio_encoder_args={}, text_encoder_args={"tokenizer_path": str(tokenizer)}).eval()
    disturb(theirs)
    file = folder / files.CHECKPOINT
    torch.save({"model": theirs.state_dict(), "config": {"outputpath": folder}}, file)
    waves = sounds(16_000, (10, 3.3, 0.5, 7))
    seen: list[torch.Tensor] = []
    for block in theirs.audio_encoder.model.blocks:
        block.register_forward_hook(lambda _module, _given, out: seen.append(out))
    audio, layers = [], []
    with torch.inference_mode():
        for wave in waves:
            seen.clear()
            audio.append(theirs.encode_audio(wave))
            layers.append(list(seen))
        together = theirs.encode_text(list(TEXTS))
    del theirs
    row("tower", "largest of all layers", "embedding")
    row(*["---"] * 3)
    arrays = files.convert({files.CHECKPOINT: file})
    ours = GLAPNet(files.FULL, {key: torch.from_numpy(array) for key, array in arrays.items()}, torch.float32)
    largest = last = 0.0
    with torch.inference_mode():
        for wave, wanted, inside in zip(waves, audio, layers, strict=True):
            mine = list(ours(*ours.front_end(wave)))
            largest = max(largest, *(gap(a, b) for a, b in zip(mine[1:-2], inside[:-1], strict=True)))
            last = max(last, gap(mine[-1][:, 0], wanted))
    row("audio", largest, last)
    del ours, arrays
    found = files.convert({files.CHECKPOINT: file, files.TOKENIZER: tokenizer})
    file.unlink()
    codes = codes_of(TEXTS, found[files.PIECES].tobytes(), "text")
    tensors = {key: torch.from_numpy(array) for key, array in found.items() if not key.startswith(METADATA)}
    with torch.inference_mode():
        net = SonarNet(TextConfig(), tensors)
        mine = torch.stack([net(each) for each in codes])
    row("text", "-", gap(mine, together))


if __name__ == "__main__":
    main()
