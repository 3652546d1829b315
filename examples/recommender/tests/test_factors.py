from bench.testing import RecommenderContract


class TestFactors(RecommenderContract):
    spec = "factors:epochs=2"
