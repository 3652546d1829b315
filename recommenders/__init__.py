"""Imported as `bench_recommenders`: the folder name alone would collide with other packages."""
