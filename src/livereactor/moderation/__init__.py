"""Moderation: an operator's own check of prompts and uploads, asked before the model sees them."""
