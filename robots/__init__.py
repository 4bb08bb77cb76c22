"""What a robot is. Imports nothing but the standard library and numpy."""
