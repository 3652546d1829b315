import pytest

from bench.cli import main


@pytest.fixture
def bench(capsys):
    """Run ``bench WORDS`` in this process: exit code, stdout, stderr."""

    def call(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return call
