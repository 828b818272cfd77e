"""Caches of answers: who uses them, where they are kept, and what is wrong or doubtful about them."""

import pathlib
from collections.abc import Iterator, Mapping

from edgeroute.config.diagnostics import Diagnostic
from edgeroute.config.document import Document, Path
from edgeroute.config.models import Target, dialect_of, split_target
from edgeroute.config.names import Names
from edgeroute.config.schema import Config, ModelCache, Pool

SEMANTIC = ("serve", "threshold", "turns", "embedder", "judge")
"""Settings of a model's cache that `exact` does not look at."""

LEAST_THRESHOLD = 0.9
"""Below it, wrong answers are too likely to let it pass without a word."""
MOST_THRESHOLD = 0.99
"""Above it, not even the same words are sure enough (`bench/cache_quality.py`)."""


def model_caches(config: Config) -> dict[str, ModelCache]:
    """The models that have a cache, with its settings."""
    pools = ((name, each) for name, each in config.models.items() if isinstance(each, Pool))
    return {name: pool.cache for name, pool in pools if pool.cache is not None}


def has_cache(config: Config) -> bool:
    """Whether answers are kept at all."""
    return bool(model_caches(config)) or any(_switches_on(config))


def cache_path(config: Config, environ: Mapping[str, str]) -> str | None:
    """The folder in which answers are kept, absolute; None if neither the configuration nor the environment names one.

    systemd's CACHE_DIRECTORY may hold several, of which the first is taken; a relative XDG_CACHE_HOME is none
    (XDG Base Directory Specification).
    """
    if config.cache.path is not None:
        return str(pathlib.Path(config.cache.path).absolute())
    for variable, below in (("CACHE_DIRECTORY", ""), ("XDG_CACHE_HOME", "edgeroute"), ("HOME", ".cache/edgeroute")):
        folder = pathlib.PurePosixPath(environ.get(variable, "").partition(":")[0])
        if folder.is_absolute():
            return str(folder / below)
    return None


def check_place(config: Config, environ: Mapping[str, str]) -> list[Diagnostic]:
    """What is wrong with the environment, where it has to say in which folder answers are kept."""
    if not has_cache(config) or cache_path(config, environ) is not None:
        return []
    message = "there is no place for the cache: CACHE_DIRECTORY, XDG_CACHE_HOME and HOME name no absolute path"
    return [Diagnostic.about("HOME", "error", message, "write cache: {path: /var/cache/edgeroute}, or set one of them")]


def helpers(cache: ModelCache) -> dict[str, Target]:
    """Whom a model's cache asks besides the model: by setting, its targets."""
    named = {"embedder": cache.embedder and cache.embedder.target, "judge": cache.judge}
    return {setting: split_target(target) for setting, target in named.items() if target is not None}


def check_caches(document: Document, config: Config, names: Names) -> None:
    """Reports settings that have no effect, targets that are none, and rules that say nothing of the cache."""
    for name in document.names("models"):
        path: Path = ("models", name, "cache")
        for embedder in ((*path, "embedder"), (*path, "embedder", "target")):
            _check_helper(document, config, names, embedder, "an embedder")
        _check_helper(document, config, names, (*path, "judge"), "a judge")
        if document.text((*path, "mode")) != "exact":
            if document.text((*path, "serve")) == "always" and document.find((*path, "judge")) is not None:
                message = '"judge" has no effect: with serve: always nothing is compared'
                document.error((*path, "judge"), message, "remove it, or write serve: observe", at_key=True)
            continue
        for setting in SEMANTIC:
            if document.find((*path, setting)) is not None:
                message = f'"{setting}" is for mode: semantic, and this is exact'
                document.error((*path, setting), message, "remove it, or write mode: semantic", at_key=True)
    for index in range(len(document.items(("rules",)))):
        path = ("rules", index, "cache")
        if document.is_empty(path):
            advice = "write cache: off, exact or semantic, or cache: {ttl: 30s}"
            document.error(path, '"cache" is empty', advice, at_key=True)
        if document.text((*path, "mode")) == "off" and document.find((*path, "ttl")) is not None:
            message = '"ttl" has no effect: the cache is off'
            document.error((*path, "ttl"), message, "remove it, or choose another mode", at_key=True)


def _check_helper(document: Document, config: Config, names: Names, path: Path, what: str) -> None:
    text = document.text(path)
    if text is None:
        return
    target, shown = split_target(text), document.shown(path, text)
    if not target.model and names.match(text) is not None:
        advice = f"{what} is a target, provider/model, as in openai/{text}"
        document.error(path, f'"{shown}" is a model', advice)
    elif not names.check_provider(target, path):
        return
    elif not target.model or "*" in target.model or " " in target.model or not target.model.isprintable():
        advice = f"{what} is provider/model, without spaces and *"
        document.error(path, f'"{shown}" is not a target', advice)
    elif path[-1] != "judge" and (provider := config.providers.get(target.provider)) is not None:
        dialect = dialect_of(target.provider, provider)
        if dialect not in (None, "openai-chat"):
            message = f'provider "{target.provider}" speaks {dialect}, which has no embeddings'
            document.error(path, message, "name a target of a provider that speaks openai-chat")


def warn_caches(document: Document, config: Config) -> None:
    """Warns of caches that nobody uses or shares, and of thresholds that let wrong answers through."""
    if document.find(("cache",)) is not None and not has_cache(config):
        message = "nothing is cached: no model and no rule has a cache"
        document.warn(("cache",), message, "write cache: exact in a model, or remove this section", at_key=True)
    for name, cache in model_caches(config).items():
        path: Path = ("models", name, "cache")
        # What cosines of others are worth is not known here.
        is_ours = cache.mode == "semantic" and cache.embedder is None
        if is_ours and cache.threshold < LEAST_THRESHOLD:
            message = f"a threshold of {cache.threshold:g} lets questions be answered that hardly mean the same"
            advice = "write 0.95; with serve: observe, edgeroute cache report tells how often answers were right"
            document.warn((*path, "threshold"), message, advice)
        elif is_ours and cache.threshold > MOST_THRESHOLD:
            message = f"a threshold of {cache.threshold:g} is hardly ever reached: nothing in other words is answered"
            document.warn((*path, "threshold"), message, "write 0.95, or mode: exact")
        if cache.scope == "team" and not any(key.team for key in config.virtual_keys.values()):
            message = "no virtual key has a team, so each shares answers with nobody but itself"
            document.warn((*path, "scope"), message, "give keys a team, or remove the line", at_key=True)
    if has_cache(config):
        return
    for index, rule in enumerate(config.rules):
        if rule.cache is not None:
            message = f'"cache" of rule "{rule.name}" has no effect: nothing is cached'
            advice = "write cache: exact in a model, or remove it"
            document.warn(("rules", index, "cache"), message, advice, at_key=True)


def _switches_on(config: Config) -> Iterator[bool]:
    return (rule.cache is not None and rule.cache.mode in ("exact", "semantic") for rule in config.rules)
