"""The recommenders, imported as `bench_recommenders`: `recommenders` is the name of another package."""
