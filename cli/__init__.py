"""The ``tether`` command, one file a verb; the only room that may import everything, and does so lazily."""
