"""Check records for publication, and write the files of a pull request that adds them to ``results/``."""
