"""Attackers beside an owner: what each costs the owner's frames and commands, and what it leaves behind."""
