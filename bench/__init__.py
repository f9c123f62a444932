"""The measurements of docs/benchmarks.md, one small program a figure: `python -m bench`."""
