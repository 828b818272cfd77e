"""Policy tests: what a configuration decides about written requests, compared with what is expected."""

from edgeroute.policy_tests.loading import Suite, load_suites
from edgeroute.policy_tests.running import Difference, Outcome, run

__all__ = ["Difference", "Outcome", "Suite", "load_suites", "run"]
