"""What runs in Isaac's environments: one directory each, launched by path, and what they share with the trainer."""
