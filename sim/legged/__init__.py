"""Robots on legs, whichever engine steps them: the model from their MJCF, parameters, delays, starts and readings."""
