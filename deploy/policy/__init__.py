"""The policy file: sealed, checked at every load, and run the same way in evaluation, on the robot and in replay."""

from deploy.policy.errors import PolicyFileError, PolicyInputError
from deploy.policy.policy import Policy, PolicyOutput

__all__ = ["Policy", "PolicyFileError", "PolicyInputError", "PolicyOutput"]
