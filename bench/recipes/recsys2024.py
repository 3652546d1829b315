"""Tamm & Aljanaki, RecSys 2024: their embeddings, recommenders, tasks and claims.

The claims are those of sections 3 to 3.2 about Tables 3 and 4, in our wording; a test compares each of them
with the printed numbers.
"""

from __future__ import annotations

from bench.published import Paper, paper
from bench.recipes.claims import Claim, Place, pairs

SPLIT = "recsys2024"
K = 50
METRIC = f"hitrate@{K}"
"""The metric of Table 4, with which claims are tested."""

KNN, SHALLOW, BERT = "KNN", "Shallow Net", "BERT4Rec"
RANDOM = "Random"
PRETRAINED = ("MusiCNN", "MusicFM", "EncodecMAE", "Music2Vec", "MERT", "Jukebox")
EMBEDDINGS = ("MFCC", *PRETRAINED)

TASKS = ("magnatagatune", "gtzan", "giantsteps")
"""The tasks of Table 4; evaluated if their folders are given."""

BASELINES = ("elsa",)
"""Not in the paper: without a model that uses listening data only, the tables would be misleading."""


def published() -> Paper:
    """Return the paper's published numbers."""
    return paper("recsys2024")


def _all_but(*names: str) -> list[str]:
    return [name for name in EMBEDDINGS if name not in names]


CLAIMS = (
    Claim(
        "shallow-random",
        "With Shallow Net every embedding beats vectors trained from scratch",
        "3",
        pairs(EMBEDDINGS, RANDOM, SHALLOW),
    ),
    Claim(
        "bert-random",
        "With BERT4Rec MusiCNN and MERT beat vectors trained from scratch",
        "3",
        pairs(("MusiCNN", "MERT"), RANDOM, BERT),
    ),
    Claim(
        "bert-worse",
        "With BERT4Rec MFCC, MusicFM, Music2Vec and Jukebox are worse than vectors trained from scratch",
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
          [*pairs(_all_but("MusicFM"), "MusicFM", KNN), *pairs(_all_but("MusicFM"), "MusicFM", SHALLOW)]),
    Claim(
        "knn-last",
        "A trained model beats KNN on every embedding",
        "3.1",
        [(Place(name, model), Place(name, KNN)) for name in EMBEDDINGS for model in (SHALLOW, BERT)],
    ),
    Claim(
        "bert-first",
        "BERT4Rec beats Shallow Net on MusiCNN, MERT, EncodecMAE and on vectors trained from scratch",
        "3.1",
        [(Place(name, BERT), Place(name, SHALLOW)) for name in ("MusiCNN", "MERT", "EncodecMAE", RANDOM)],
    ),
    Claim(
        "jukebox-falls",
        "Jukebox is worse with BERT4Rec than with Shallow Net, and is the worst embedding with BERT4Rec",
        "3.1",
        [(Place("Jukebox", SHALLOW), Place("Jukebox", BERT)), *pairs(_all_but("Jukebox"), "Jukebox", BERT)],
    ),
    Claim(
        "key-against",
        "MusiCNN is the worst embedding for key and the best one for recommendation",
        "3.2",
        [
            *pairs(("MusicFM", "Music2Vec", "MERT", "Jukebox"), "MusiCNN", "giantsteps"),
            *pairs("MusiCNN", ("MusicFM", "Music2Vec", "MERT", "Jukebox"), BERT),
        ],
    ),
    Claim(
        "jukebox-against",
        "Jukebox is better than MusiCNN for tags, genre and key, and worse for recommendation",
        "3.2",
        [
            *(pair for task in TASKS for pair in pairs("Jukebox", "MusiCNN", task)),
            *pairs("MusiCNN", "Jukebox", BERT),
        ],
    ),
)  # fmt: skip
