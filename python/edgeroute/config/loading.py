"""Reads a configuration file: everything that is wrong with it at once, or the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeroute.config.checks import check
from edgeroute.config.diagnostics import ConfigError, Diagnostic, Source
from edgeroute.config.document import Document, secret_spans
from edgeroute.config.marks import MarkupError, compose
from edgeroute.config.normalise import normalise
from edgeroute.config.reader import read
from edgeroute.config.schema import Config
from edgeroute.config.variables import Variables, read_config


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used.

    `normalised` is what workers compile; it holds credentials. `watched` are the files that were read, as
    their paths were written: links are not followed, so that a changed link is noticed like a changed file.
    """

    config: Config
    warnings: list[Diagnostic]
    normalised: bytes = field(repr=False)
    watched: list[Path]


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Reads and checks a configuration file and the files it names. Raises ConfigError with all errors."""
    variables = Variables(environ, path.parent)
    try:
        source = Source(path, read_config(path))
    except ValueError as problem:
        unreadable = Diagnostic("error", f"cannot read the configuration: {problem}", path, 0, 0, "", 0)
        raise ConfigError([unreadable], [path]) from None
    source.hide_likely_secrets()
    try:
        root = compose(source)
    except MarkupError as problem:
        diagnostic = source.diagnose("error", problem.span, problem.message, problem.advice)
        raise ConfigError([diagnostic], [path]) from None
    source.hide(secret_spans(root))
    document = Document(source, root)
    config = read(document, variables)
    check(document, config)
    watched = [path, *variables.files]
    if document.has_errors:
        raise ConfigError(document.diagnostics, watched)
    return Loaded(config, document.diagnostics, normalise(config), watched)
