"""Accounts, API keys, tokens and rights."""
