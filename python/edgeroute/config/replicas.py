"""Files of replicas, which `discover` names: they change while edgeroute runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta

from edgeroute.config.diagnostics import ConfigError, Diagnostic, Source
from edgeroute.config.document import Document
from edgeroute.config.marks import MarkupError, compose
from edgeroute.config.placement import check_urls
from edgeroute.config.reader import read_section
from edgeroute.config.schema import Replica, Section
from edgeroute.config.variables import Variables, read_config


class ReplicaFile(Section, frozen=True):
    """What such a file holds."""

    noun: ClassVar[str] = "a file of replicas"
    urls: Annotated[list[Replica], Meta(description="The replicas, as in a provider.")]


def load_replicas(path: Path, environ: Mapping[str, str]) -> list[Replica]:
    """Reads and checks a file of replicas. Raises ConfigError with all errors."""
    try:
        source = Source(str(path), read_config(path))
    except ValueError as problem:
        unreadable = Diagnostic.about(str(path), "error", f"cannot read the replicas: {problem}")
        raise ConfigError([unreadable], [path]) from None
    source.hide_likely_secrets()
    try:
        document = Document(source, compose(source))
    except MarkupError as problem:
        raise ConfigError([source.diagnose("error", problem.span, problem.message, problem.advice)], [path]) from None
    found = read_section(document, Variables(environ, path.parent), ReplicaFile)
    check_urls(document, ())
    if found is None or document.has_errors:
        raise ConfigError(document.diagnostics, [path])
    return found.urls
