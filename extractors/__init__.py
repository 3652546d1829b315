"""Imported as `bench_extractors`: the folder name alone would collide with other packages."""
