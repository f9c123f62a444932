"""The official runtimes as rivals: environments of their own, and the conformance model written for each."""
