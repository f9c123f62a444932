"""What everything stands on: errors, limits, ids, the clock. No IO; imports nothing of ours."""
