"""The ground layer: errors, limits, ids, the clock, state machines. No IO; imports no other package of the project."""
