"""Accounts, API keys, tokens and who may do what."""
