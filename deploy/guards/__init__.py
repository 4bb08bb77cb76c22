"""Guards around a policy: each on by default, each tested by injecting what it guards against."""

from deploy.guards.config import GuardConfig
from deploy.guards.trips import Trip, Warn

__all__ = ["GuardConfig", "Trip", "Warn"]
