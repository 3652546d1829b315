"""Pretrained weights: downloaded or added once, verified by hash, converted to safetensors, then used offline.

A plugin declares the files that it reads as `Weights` in its class attribute ``weights`` (an instance may
restrict it to those that its settings need), calls `ensure` and `load` in its own ``load``, and puts `sha256`
into its fingerprint. Pickles are only read by `read_torch`, which does not execute any code in them.
"""

from bench.formats.safetensors import read_safetensors, read_torch, write_safetensors
from bench.formats.tf_checkpoint import read_checkpoint
from bench.weights.download import download, offline
from bench.weights.install import add, ensure, pull
from bench.weights.spec import Part, Source, Weights
from bench.weights.store import absent, folder, load, peek, present, sha256, verify

__all__ = [
    "Part",
    "Source",
    "Weights",
    "absent",
    "add",
    "download",
    "ensure",
    "folder",
    "load",
    "offline",
    "peek",
    "present",
    "pull",
    "read_checkpoint",
    "read_safetensors",
    "read_torch",
    "sha256",
    "verify",
    "write_safetensors",
]
