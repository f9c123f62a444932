"""Doors into other libraries, each in its own module and each an optional extra: notebooks, gyms, films."""
