"""The pool port on a Ray cluster."""
