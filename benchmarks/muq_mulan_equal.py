"""Is `muq-mulan` what its source computes? Largest differences, from the same random weights at full width.

    pip install --no-deps muq==0.1.0
    pip install einops easydict x-clip torchaudio transformers
    python benchmarks/muq_mulan_equal.py OUT

It builds the source's model without the hub, gives it random tensors and saves its state as the published file; the
converter of `bench weights` reads that. Both towers then read the same noise and the same tokens; the states of MuQ,
which tests/extractors/test_musicfm.py compares with transformers, are this project's in both.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    model = original()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                noise = (0.3 * noise).exp()
            elif tensor.ndim == 1:
                noise = 0.1 * noise if "bias" in name or "running_mean" in name else 1 + 0.3 * noise
            elif tensor.ndim > 1:
                noise /= max(1, tensor[0].numel()) ** 0.5
            tensor.copy_(noise)
    from safetensors.torch import save_file
    from transformers import BatchEncoding

    save_file(
        {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}, out / "model.safetensors"
    )
    (out / "tokenizer.json").write_text("{}")
    wave = 0.1 * np.random.default_rng(0).standard_normal((1, 240_000)).astype(np.float32)
    tokens = torch.randint(5, 250_000, (1, 12), generator=generator)
    given = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    model.mulan.text._tokenizer = lambda texts, **_: BatchEncoding(given)
    compare(out, wave, tokens, model.mulan)


def original() -> Any:
    """Return the source's model, with the defaults of its configuration and MuQ-large's."""
    from muq.muq.muq import MuQ, MuQConfig
    from muq.muq_mulan import muq_mulan as source
    from transformers import Wav2Vec2ConformerConfig, XLMRobertaConfig, XLMRobertaModel

    from bench_extractors._muq_mulan_config import FULL
    from bench_extractors._musicfm_weights import MSD_LEVELS

    stat = dict(zip(("melspec_2048_mean", "melspec_2048_std"), MSD_LEVELS, strict=True))
    block = Wav2Vec2ConformerConfig(
        hidden_size=1024, num_attention_heads=16, intermediate_size=4096, hidden_act="swish", num_hidden_layers=12,
        position_embeddings_type="rotary", conv_depthwise_kernel_size=31,
    ).to_dict()  # fmt: skip
    block["_attn_implementation"] = "eager"
    MuQ.from_pretrained = lambda *_, **__: MuQ(
        MuQConfig(stat=stat, w2v2_config={name: value for name, value in block.items() if type(value) is not dict})
    )
    XLMRobertaModel.from_pretrained = lambda *_, **__: XLMRobertaModel(XLMRobertaConfig(**FULL.text))
    made = source.MuQMuLan.create_MuLan_from_config(
        source.EasyDict(
            mulan=vars(source.MuLanConfig()),
            audio_model={"name": "muq", "model_dim": 1024, "use_layer_idx": -1},
            text_model={"name": "xlm-roberta-base", "model_dim": None, "use_layer_idx": -1},
            audio_transformer=vars(source.AudioTransformerConfig()),
            text_transformer=vars(source.TextTransformerConfig()),
        )
    )
    whole = torch.nn.Module()
    whole.mulan = made
    return whole.eval()


def compare(out: Path, wave: np.ndarray, tokens: torch.Tensor, theirs: Any) -> None:
    from bench.registry import create
    from bench_extractors._muq_mulan_config import FULL
    from bench_extractors._muq_mulan_net import TextNet
    from bench_extractors._muq_mulan_weights import STORED_TOKENIZER, convert

    paths = {name: out / name for name in ("model.safetensors", "tokenizer.json")}
    audio = convert({"model.safetensors": paths["model.safetensors"]})
    plugin = create("extractors", "muq-mulan:weights=random")
    plugin.tensors = lambda device: {name: torch.from_numpy(array) for name, array in audio.items()}
    plugin.load("cpu", "float32")
    text = TextNet(FULL).eval()
    tensors = {
        name: torch.from_numpy(array.copy()) for name, array in convert(paths).items() if name != STORED_TOKENIZER
    }
    text.load_state_dict(tensors, strict=False)
    with torch.inference_mode():
        found = dict(plugin.frames(torch.from_numpy(wave))) | {"text": text(tokens)}
        theirs.audio._forward_pretrained_model = lambda _: [found["muq"]]  # fails in transformers 5.16 and later
        wanted = {"embedding": theirs.get_audio_latents(tokens), "text": theirs.get_text_latents(raw_texts=[""])}
    print("| vector | largest value | largest difference, relative |")
    print("|---|---:|---:|")
    for name, value in wanted.items():
        gap = (found[name].reshape(value.shape) - value).abs().max() / value.abs().max()
        print(f"| {name} | {value.abs().max():.3g} | {gap:.1e} |")


if __name__ == "__main__":
    main()
