"""Adversaries: second learners in the same environment, whose action disturbs the first."""
