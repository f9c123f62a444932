"""Models that some figures need beside examples/conformance.py; `livereactor run` takes them by path."""
