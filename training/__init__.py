"""One file an algorithm; the control law they train, its evaluation and export."""
