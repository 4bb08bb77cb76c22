"""A simulated robot that stands in at the message boundary: odometry out, actuation in, its own failsafe."""
