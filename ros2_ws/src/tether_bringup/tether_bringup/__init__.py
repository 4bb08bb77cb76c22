"""Brings a policy node and a robot up together."""
