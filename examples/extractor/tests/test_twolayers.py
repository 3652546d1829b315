from bench.testing import ExtractorContract


class TestTwoLayers(ExtractorContract):
    spec = "twolayers"
