"""Rules over logged flights: the built-in ones that every flight is held to, and a user's own. numpy only."""

from safety.rules.file import load_rules, parse_rules
from safety.rules.rule import Judgement, Rule, built_in, elapsed_s, judge
from safety.rules.signals import samples

__all__ = ["Judgement", "Rule", "built_in", "elapsed_s", "judge", "load_rules", "parse_rules", "samples"]
