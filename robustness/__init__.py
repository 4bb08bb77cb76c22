"""How much a policy bears: disturbances it never trained on, grids and searches for the worst case, and tables of what was found."""
