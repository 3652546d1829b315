"""Tamm & Aljanaki, RecSys 2024: their embeddings, recommenders, tasks and claims.

The claims are those of sections 2.2 to 3.2.1, in our wording, including those that the paper's own tables contradict
and those about numbers that it does not print. A test judges each of them with the printed numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.published import Paper, paper
from bench.recipes.claims import Claim, Place, pairs

SPLIT = "recsys2024"
K = 50
METRIC = "hitrate"
"""The metric of Table 4, with which claims are tested."""
PRINTED_METRICS = (METRIC, "recall", "ndcg")
OTHER_METRICS = ("mrr", "precision")
"""Metrics that the paper computes but does not print."""

KNN, SHALLOW, BERT = "KNN", "Shallow Net", "BERT4Rec"
MODELS = (KNN, SHALLOW, BERT)
RANDOM = "Random"
"""Vectors trained from scratch."""
AVERAGE = "average"
"""Row of the average over all embeddings."""
PRETRAINED = ("MusiCNN", "MusicFM", "EncodecMAE", "Music2Vec", "MERT", "Jukebox")
EMBEDDINGS = ("MFCC", *PRETRAINED)

TASKS = TAGS, GENRE, KEY = ("magnatagatune", "gtzan", "giantsteps")
"""The tasks of Table 4; evaluated if their folders are given."""

BASELINES = ("elsa",)
"""Not in the paper: without a model that uses listening data only, the tables would be misleading."""


def published() -> Paper:
    """Return the paper's published numbers."""
    return paper("recsys2024")


CORRELATION = "rank correlation"
LEAST_CORRELATION = Place("0.9", CORRELATION)
"""The rank correlation that counts as high here; the paper names no number."""

CODE = f"{SHALLOW}, code reading"
"""Column of Shallow Net as the released code trains it: track vectors trained, users frozen."""
TRAINED, OTHER_USERS, OTHER_NEGATIVES = (
    f"{SHALLOW}, {what}" for what in ("tracks trained", "random users", "5 negatives")
)
VARIANTS = {CODE: "shallow:reading=code"}
"""Variants of Shallow Net in the published lane, by column."""
ABLATIONS = {
    TRAINED: "shallow:items=trainable",
    OTHER_USERS: "shallow:user_init=random",
    OTHER_NEGATIVES: "shallow:count=5",
}
"""Variants in the corrected lane, of which the paper prints no numbers; the published lane fixes their settings."""


def _all_but(*names: str, of: Sequence[str] = EMBEDDINGS) -> list[str]:
    return [name for name in of if name not in names]


_METHODS = (
    Claim(
        "tracks-trained",
        "Training the pretrained vectors as well gives similar results",
        "2.2",
        [(Place(name, TRAINED), Place(name, SHALLOW)) for name in EMBEDDINGS],
        "no difference",
    ),
    Claim(
        "shallow-choices",
        "Shallow Net does best with frozen tracks, users that start at their mean, 20 negatives",
        "2.2",
        [
            (Place(name, SHALLOW), Place(name, changed))
            for changed in (TRAINED, OTHER_USERS, OTHER_NEGATIVES)
            for name in EMBEDDINGS
        ],
    ),
    Claim(
        "other-metrics",
        f"MRR and precision correlate highly (here {LEAST_CORRELATION.row}) with the printed metrics",
        "2.4",
        [(Place(metric, CORRELATION), LEAST_CORRELATION) for metric in OTHER_METRICS],
    ),
)
_RECOMMENDATION = (
    Claim(
        "model-average",
        "On average BERT4Rec beats Shallow Net, and Shallow Net beats KNN",
        "3",
        [(Place(AVERAGE, SHALLOW), Place(AVERAGE, KNN)), (Place(AVERAGE, BERT), Place(AVERAGE, SHALLOW))],
    ),
    Claim(
        "knn-last",
        "A trained model beats KNN on every embedding",
        "3",
        [(Place(name, model), Place(name, KNN)) for name in EMBEDDINGS for model in (SHALLOW, BERT)],
    ),
    Claim(
        "ten-times",
        "Trained models are ten times better than KNN on the raw vectors",
        "3",
        [(Place(name, model), Place(name, KNN)) for name in EMBEDDINGS for model in (SHALLOW, BERT)],
        factor=10,
    ),
    Claim(
        "bert-first",
        "BERT4Rec beats Shallow Net on MusiCNN, MERT, EncodecMAE and Random",
        "3",
        [(Place(name, BERT), Place(name, SHALLOW)) for name in ("MusiCNN", "MERT", "EncodecMAE", RANDOM)],
    ),
    Claim(
        "shallow-random",
        "With Shallow Net every embedding beats Random",
        "3",
        pairs(EMBEDDINGS, RANDOM, SHALLOW),
    ),
    Claim(
        "bert-random",
        "With BERT4Rec MusiCNN alone beats Random significantly",
        "3",
        pairs("MusiCNN", RANDOM, BERT),
        "significant order",
    ),
    Claim(
        "bert-alike",
        "With BERT4Rec MERT and EncodecMAE do not differ significantly from Random",
        "3",
        pairs(("MERT", "EncodecMAE"), RANDOM, BERT),
        "no difference",
    ),
    Claim(
        "bert-worse",
        "With BERT4Rec MusicFM, Music2Vec and Jukebox are worse than Random",
        "3",
        pairs(RANDOM, ("MusicFM", "Music2Vec", "Jukebox"), BERT),
    ),
    *(
        Claim(
            f"musicnn-{model.split()[0].lower()}",
            f"MusiCNN is the best embedding with {model}",
            "3",
            pairs("MusiCNN", EMBEDDINGS, model),
        )
        for model in MODELS
    ),
    *(
        Claim(
            f"mfcc-{model.split()[0].lower()}",
            f"With {model} every pretrained embedding but MusicFM beats MFCC",
            "3",
            pairs(_all_but("MusicFM", of=PRETRAINED), "MFCC", model),
        )
        for model in (KNN, SHALLOW)
    ),
    Claim(
        "musicfm-last",
        "MusicFM is the worst embedding with KNN and with Shallow Net",
        "3",
        [*pairs(_all_but("MusicFM"), "MusicFM", KNN), *pairs(_all_but("MusicFM"), "MusicFM", SHALLOW)],
    ),
    *(
        Claim(
            f"jukebox-{model.split()[0].lower()}",
            f"Jukebox is the second best embedding with {model}",
            "3",
            [*pairs("MusiCNN", "Jukebox", model), *pairs("Jukebox", _all_but("MusiCNN"), model)],
        )
        for model in (KNN, SHALLOW)
    ),
    Claim(
        "jukebox-falls",
        "With BERT4Rec Jukebox is the worst, and worse than with Shallow Net",
        "3",
        [(Place("Jukebox", SHALLOW), Place("Jukebox", BERT)), *pairs(_all_but("Jukebox"), "Jukebox", BERT)],
    ),
    Claim(
        "mert-encodecmae",
        "MERT and EncodecMAE perform alike with KNN and with Shallow Net",
        "3",
        [*pairs("MERT", "EncodecMAE", KNN), *pairs("MERT", "EncodecMAE", SHALLOW)],
        "no difference",
    ),
    Claim("mert-bert4rec", "MERT is better than EncodecMAE with BERT4Rec", "3", pairs("MERT", "EncodecMAE", BERT)),
    Claim(
        "music2vec-low",
        "Music2Vec is a little better than MusicFM with every model",
        "3",
        [part for model in MODELS for part in pairs("Music2Vec", "MusicFM", model)],
    ),
)
_MIR = (
    Claim(
        "music2vec-last",
        "With every model all pretrained embeddings but MusicFM beat Music2Vec",
        "3.1",
        [part for model in MODELS for part in pairs(_all_but("MusicFM", of=PRETRAINED), "Music2Vec", model)],
    ),
    Claim(
        "leaders-fall",
        "MusicFM and Jukebox lead for tags and key, and are the worst pretrained ones with BERT4Rec",
        "3.1",
        [
            *(p for task in (TAGS, KEY) for p in pairs(("MusicFM", "Jukebox"), ("MERT", "Music2Vec", "MusiCNN"), task)),
            *pairs(_all_but("MusicFM", "Jukebox", of=PRETRAINED), ("MusicFM", "Jukebox"), BERT),
        ],
    ),
    Claim(
        "jukebox-against",
        "Jukebox beats MusiCNN for tags, genre and key, and loses with BERT4Rec",
        "3.1",
        [*(p for task in TASKS for p in pairs("Jukebox", "MusiCNN", task)), *pairs("MusiCNN", "Jukebox", BERT)],
    ),
    Claim(
        "key-against",
        "MusiCNN is the worst embedding for key and the best with BERT4Rec",
        "3.1",
        [
            *pairs(("MusicFM", "Music2Vec", "MERT", "Jukebox"), "MusiCNN", KEY),
            *pairs("MusiCNN", ("MusicFM", "Music2Vec", "MERT", "Jukebox"), BERT),
        ],
    ),
    Claim(
        "mert-third",
        "MERT is third for tags, genre and key, and second with BERT4Rec",
        "3.1",
        [
            *(p for task in (TAGS, KEY) for p in pairs(("MusicFM", "Jukebox"), "MERT", task)),
            *pairs(("EncodecMAE", "Jukebox"), "MERT", GENRE),
            *(p for task in TASKS for p in pairs("MERT", ("Music2Vec", "MusiCNN"), task)),
            *pairs("MusiCNN", "MERT", BERT),
            *pairs("MERT", _all_but("MusiCNN", of=PRETRAINED), BERT),
        ],
    ),
    Claim(
        "encodecmae-genre",
        "EncodecMAE is the best for genre, and third with BERT4Rec",
        "3.1",
        [
            *pairs("EncodecMAE", ("Music2Vec", "MERT", "Jukebox", "MusiCNN"), GENRE),
            *pairs(("MusiCNN", "MERT"), "EncodecMAE", BERT),
            *pairs("EncodecMAE", ("MusicFM", "Music2Vec", "Jukebox"), BERT),
        ],
    ),
    Claim(
        "viable",
        "Pretrained vectors are viable: MusiCNN beats Random with both trained models",
        "3.2.1",
        [*pairs("MusiCNN", RANDOM, SHALLOW), *pairs("MusiCNN", RANDOM, BERT)],
    ),
)
CLAIMS = (*_METHODS, *_RECOMMENDATION, *_MIR)
