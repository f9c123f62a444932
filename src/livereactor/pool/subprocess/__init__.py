"""The pool port on processes of this machine."""
