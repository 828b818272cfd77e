"""Configurations of other gateways as ours: `edgeroute import`."""

from edgeroute.migrate.bifrost import import_bifrost
from edgeroute.migrate.draft import Draft
from edgeroute.migrate.foreign import read_source
from edgeroute.migrate.litellm import Exports, import_litellm
from edgeroute.migrate.report import Finding, Report
from edgeroute.migrate.writer import write

__all__ = ["Draft", "Exports", "Finding", "Report", "import_bifrost", "import_litellm", "read_source", "write"]
