"""A simulated robot that stands in at the message boundary: readings out, actuation in, its own failsafe."""
