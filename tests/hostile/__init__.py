"""Attackers beside an owner: one file for each attack, named by what the attack is."""
