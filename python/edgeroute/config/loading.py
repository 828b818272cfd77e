"""Reads a configuration: everything that is wrong with it at once, or the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from msgspec.structs import replace

from edgeroute.config.caches import check_place
from edgeroute.config.checks import check
from edgeroute.config.diagnostics import ConfigError, Diagnostic, Source
from edgeroute.config.document import Document, secret_spans
from edgeroute.config.from_environment import ENVIRONMENT, configuration_from
from edgeroute.config.include import include
from edgeroute.config.marks import MarkupError, compose
from edgeroute.config.models import replicas_of
from edgeroute.config.normalise import normalise
from edgeroute.config.overrides import find_overrides, misspelt
from edgeroute.config.proxies import proxy_for, proxy_variable
from edgeroute.config.reader import read, read_override
from edgeroute.config.schema import Config
from edgeroute.config.values import Malformed
from edgeroute.config.variables import Variables, is_text, read_config

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used.

    `warnings` are what is probably not meant, `notes` what is good to know. `normalised` is what workers compile; it
    holds credentials. `watched` are the files that were read, and folders in which files may appear, as their paths
    were written: links are not followed, so that a changed link is noticed like a changed file.
    """

    config: Config
    warnings: list[Diagnostic]
    notes: list[Diagnostic]
    normalised: bytes = field(repr=False)
    watched: list[Path]


def load(path: Path, environ: Mapping[str, str], overrides: Mapping[str, str] = _NONE) -> Loaded:
    """Reads and checks a configuration file and the files it names. Raises ConfigError with all errors.

    Variables such as `EDGEROUTE_LISTEN` override the file; `overrides`, the options of the command line
    (`{"listen": "0.0.0.0:4000"}`), override both.
    """
    try:
        text = read_config(path)
    except ValueError as problem:
        unreadable = Diagnostic.about(str(path), "error", f"cannot read the configuration: {problem}")
        raise ConfigError([unreadable], [path]) from None
    return _load(Source(str(path), text), Variables(environ, path.parent), [path], overrides)


def load_environment(environ: Mapping[str, str], overrides: Mapping[str, str] = _NONE) -> Loaded:
    """The configuration that `configuration_from` makes of the environment, read and checked like a file."""
    source = Source(ENVIRONMENT, configuration_from(environ))
    return _load(source, Variables(environ, Path()), [], overrides)


def _load(source: Source, variables: Variables, watched: list[Path], options: Mapping[str, str]) -> Loaded:
    source.hide_likely_secrets()
    try:
        root = compose(source)
    except MarkupError as problem:
        diagnostic = source.diagnose("error", problem.span, problem.message, problem.advice)
        raise ConfigError([diagnostic], watched) from None
    root, included = include(source, root, variables)
    source.hide(secret_spans(root))
    document = Document(source, root)
    config = _override(document, read(document, variables), variables, options)
    document.diagnostics += included
    check(document, config)
    document.diagnostics += _check_proxy(config, variables.environ)
    document.diagnostics += check_place(config, variables.environ)
    watched = [*watched, *variables.files]
    notes = [each for each in document.diagnostics if each.severity == "note"]
    found = [each for each in document.diagnostics if each.severity != "note"]
    if document.has_errors:
        raise ConfigError(found, watched)
    warnings = [*found, *misspelt(variables.environ)]
    return Loaded(config, warnings, notes, normalise(config, variables.environ), watched)


def _check_proxy(config: Config, environ: Mapping[str, str]) -> list[Diagnostic]:
    """What is wrong with the proxy that the environment names, if a provider is reached through it."""
    replicas = (replicas_of(name, each) for name, each in config.providers.items() if each.proxy is None)
    try:
        for replica in chain.from_iterable(replicas):
            proxy_for(replica.url, environ)
    except Malformed as problem:
        return [Diagnostic.about(proxy_variable(environ), "error", problem.message, problem.advice)]
    return []


def _override(document: Document, config: Config, variables: Variables, options: Mapping[str, str]) -> Config:
    """The configuration with what the environment and the command line set; their errors join the file's."""
    values: dict[str, object] = {}
    for override in find_overrides(variables.environ, options):
        if not is_text(override.text):
            message, advice = "this is not UTF-8 text", "set it again, encoded in UTF-8"
            document.diagnostics.append(Diagnostic.about(override.origin, "error", message, advice))
            continue
        value, diagnostics = read_override(override, variables)
        document.diagnostics += diagnostics
        if not diagnostics:
            values[override.setting] = value
            document.origins[override.setting] = override.origin
    return replace(config, **values)
