"""``python -m mmcentermask.doctor``: says what is wrong with an environment, and the command that mends it."""
