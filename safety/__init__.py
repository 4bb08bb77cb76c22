"""Safeguards inside a policy's graph (torch), and the envelope and rules around it (numpy)."""
