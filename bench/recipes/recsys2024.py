"""Tamm & Aljanaki, RecSys 2024: their embeddings, recommenders, tasks, and what they conclude.

Claims are ours to word; each is the reading of Tables 3 and 4 on which sections 3 to 3.2 build, and a test
holds every one of them against the printed numbers.
"""

from __future__ import annotations

from bench.published import Paper, paper
from bench.recipes.claims import Claim, Place, pairs

SPLIT = "recsys2024"
K = 50
METRIC = f"hitrate@{K}"
"""The figure of Table 4, on which claims are judged."""

KNN, SHALLOW, BERT = "KNN", "Shallow Net", "BERT4Rec"
RANDOM = "Random"
PRETRAINED = ("MusiCNN", "MusicFM", "EncodecMAE", "Music2Vec", "MERT", "Jukebox")
EMBEDDINGS = ("MFCC", *PRETRAINED)

TASKS = ("magnatagatune", "gtzan", "giantsteps")
"""Of Table 4; measured where their folders are given."""

BASELINES = ("elsa",)
"""Not in the paper: without a model of listening alone the tables mislead."""


def published() -> Paper:
    """Return what the paper prints."""
    return paper("recsys2024")


def _but(*names: str) -> list[str]:
    return [name for name in EMBEDDINGS if name not in names]


CLAIMS = (
    Claim(
        "shallow-random",
        "With Shallow Net every embedding beats vectors learnt from nothing",
        "3",
        pairs(EMBEDDINGS, RANDOM, SHALLOW),
    ),
    Claim(
        "bert-random",
        "With BERT4Rec MusiCNN and MERT beat vectors learnt from nothing",
        "3",
        pairs(("MusiCNN", "MERT"), RANDOM, BERT),
    ),
    Claim(
        "bert-worse",
        "With BERT4Rec MFCC, MusicFM, Music2Vec and Jukebox are worse than vectors learnt from nothing",
        "3",
        pairs(RANDOM, ("MFCC", "MusicFM", "Music2Vec", "Jukebox"), BERT),
    ),
    *(
        Claim(f"musicnn-{model.split()[0].lower()}", f"MusiCNN is the best embedding with {model}", "3.1",
              pairs("MusiCNN", EMBEDDINGS, model))
        for model in (KNN, SHALLOW, BERT)
    ),
    Claim(
        "mfcc-knn",
        "With KNN every pretrained embedding but MusicFM beats MFCC",
        "3.1",
        pairs([name for name in PRETRAINED if name != "MusicFM"], "MFCC", KNN),
    ),
    Claim(
        "mfcc-shallow",
        "With Shallow Net every pretrained embedding but MusicFM beats MFCC",
        "3.1",
        pairs([name for name in PRETRAINED if name != "MusicFM"], "MFCC", SHALLOW),
    ),
    Claim("musicfm-last", "MusicFM is the worst embedding with KNN and with Shallow Net", "3.1",
          [*pairs(_but("MusicFM"), "MusicFM", KNN), *pairs(_but("MusicFM"), "MusicFM", SHALLOW)]),
    Claim(
        "knn-last",
        "A trained model beats KNN on every embedding",
        "3.1",
        [(Place(name, model), Place(name, KNN)) for name in EMBEDDINGS for model in (SHALLOW, BERT)],
    ),
    Claim(
        "bert-first",
        "BERT4Rec beats Shallow Net on MusiCNN, MERT, EncodecMAE and on vectors learnt from nothing",
        "3.1",
        [(Place(name, BERT), Place(name, SHALLOW)) for name in ("MusiCNN", "MERT", "EncodecMAE", RANDOM)],
    ),
    Claim(
        "jukebox-falls",
        "Jukebox is worse with BERT4Rec than with Shallow Net, and there the worst of all",
        "3.1",
        [(Place("Jukebox", SHALLOW), Place("Jukebox", BERT)), *pairs(_but("Jukebox"), "Jukebox", BERT)],
    ),
    Claim(
        "key-against",
        "MusiCNN knows least of key of all, and recommends best",
        "3.2",
        [
            *pairs(("MusicFM", "Music2Vec", "MERT", "Jukebox"), "MusiCNN", "giantsteps"),
            *pairs("MusiCNN", ("MusicFM", "Music2Vec", "MERT", "Jukebox"), BERT),
        ],
    ),
    Claim(
        "jukebox-against",
        "Jukebox is ahead of MusiCNN on tags, genre and key, and behind it in recommendation",
        "3.2",
        [
            *(pair for task in TASKS for pair in pairs("Jukebox", "MusiCNN", task)),
            *pairs("MusiCNN", "Jukebox", BERT),
        ],
    ),
)  # fmt: skip
