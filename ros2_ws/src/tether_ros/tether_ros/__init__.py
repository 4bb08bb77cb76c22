"""Flies a Tether policy file over ROS 2. Imports `deploy`, `robots` and `safety` only; Python 3.10."""
