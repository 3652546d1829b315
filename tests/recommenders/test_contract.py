"""Every recommender that is installed keeps the contract, in each of its lanes; so do settings that change the code."""

import pytest

from bench.registry import get, missing_libraries, names
from bench.testing import RecommenderContract

SMALL = "width=16,ffn=16,max_len=20,batch=32,rate=0.003"
SHORT = {
    "bert4rec": f"epochs=2,judged=2,{SMALL}",
    "bpr": "epochs=3",
    "elsa": "factors=16,epochs=3",
    "ials": "factors=8,threads=1",
    "itemknn": "neighbours=20",
    "sasrec": f"epochs=2,{SMALL}",
    "shallow": "epochs=2",
}
VARIANTS = [
    (f"bert4rec:epochs=1,items=delta,projection=mlp,loss=sampled,{SMALL}", "corrected"),
    (f"bert4rec:epochs=1,reading=code,judged=2,{SMALL}", "published"),
    ("knn:profile=max,weight=count,half_life=90", "corrected"),
    (f"sasrec:epochs=1,loss=gbce,negatives=32,items=trainable,{SMALL}", "corrected"),
    ("shallow:epochs=2,items=delta,tower=separate,hidden=5", "corrected"),
    ("shallow:epochs=2,reading=code", "published"),
]


def defaults():
    for name in names("recommenders"):
        if name != "recbole":  # has no default model
            lanes = (
                get("recommenders", name).lanes
                if hasattr(get("recommenders", name).Settings, "lane")
                else ["corrected"]
            )
            yield from ((f"{name}:{SHORT[name]}" if name in SHORT else name, lane) for lane in lanes)


@pytest.fixture(scope="module", params=[*defaults(), *VARIANTS], ids=" ".join)
def contract(request):
    spec, lane = request.param
    if missing := missing_libraries(get("recommenders", spec.partition(":")[0])):
        pytest.skip(f"needs {', '.join(missing)}")
    return type("Contract", (RecommenderContract,), {"spec": spec, "lane": lane})()


@pytest.mark.parametrize("check", [name for name in dir(RecommenderContract) if name.startswith("test_")])
def test_it_keeps_the_contract(contract, check):
    getattr(contract, check)()
