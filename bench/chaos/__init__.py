"""The whole set on one machine, under load, while parts of it are killed and frozen: `python -m bench.chaos`."""
