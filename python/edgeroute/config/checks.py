"""What the parts of a configuration say of each other: names exist, nothing goes in circles."""

from edgeroute.config.caches import check_caches, warn_caches
from edgeroute.config.diagnostics import suggest
from edgeroute.config.document import Document, Path
from edgeroute.config.listeners import check_listeners, warn_listeners
from edgeroute.config.models import Target, find_cycles, match, split_target
from edgeroute.config.names import Names
from edgeroute.config.placement import check_strategies, warn_strategies
from edgeroute.config.providers import check_providers, warn_providers
from edgeroute.config.rules import check_rules, warn_unlimited
from edgeroute.config.schema import Config, ListedTarget, Pool, TargetTimeouts, Timeouts, WeightedTarget
from edgeroute.config.unused import warn_unused
from edgeroute.config.values import format_quantity

_NEEDED = {
    "providers": ("somebody has to serve models", 'providers: {openai: {api_key: "${OPENAI_API_KEY}"}}'),
    "models": ("clients would have nothing to ask for", "models: {fast: provider/model}"),
    "virtual_keys": ("nobody could call", 'virtual_keys: {NAME: {hash: "sha256:…"}}'),
}


def check(document: Document, config: Config) -> None:
    """Reports every error and warning that is not about a single value."""
    names = Names(document, config)
    _check_needed(document)
    check_listeners(document, config)
    check_providers(document, config)
    for name in names.models:
        _check_model(document, names, name)
    check_strategies(document, config, names)
    check_caches(document, config, names)
    _check_cycles(document, names)
    check_rules(document, config, names)
    for name in document.names("teams"):
        _check_team(document, names, name)
    _check_virtual_keys(document, config)
    if not document.has_errors:  # so that no warning is the consequence of an error
        warn_listeners(document, config)
        warn_providers(document, config)
        warn_strategies(document, config, names)
        warn_caches(document, config)
        _warn_timeouts(document, config)
        _warn_placeholders(document, config)
        warn_unlimited(document, config)
        warn_unused(document, config, names)


def _check_needed(document: Document) -> None:
    if not document.names():
        return  # an empty file is reported as that
    for name, (reason, example) in _NEEDED.items():
        if document.find((name,)) is None:
            document.error((), f'"{name}" is missing: {reason}', f"for example {example}")
        elif document.is_empty((name,)):
            document.error((name,), f'"{name}" is empty: {reason}', f"for example {example}", at_key=True)


def _warn_timeouts(document: Document, config: Config) -> None:
    """Warns of parts of a request that may take longer than the whole."""
    total = config.defaults.timeouts.total
    _warn_longer(document, ("defaults", "timeouts"), config.defaults.timeouts, total)
    for name, model in config.models.items():
        targets = model.targets if isinstance(model, Pool) else {}
        entries = targets.items() if isinstance(targets, dict) else enumerate(targets)
        for step, target in entries:
            if isinstance(target, (ListedTarget, WeightedTarget)):
                _warn_longer(document, ("models", name, "targets", step, "timeouts"), target.timeouts, total)


def _warn_longer(document: Document, path: Path, timeouts: Timeouts | TargetTimeouts, total: int) -> None:
    for name in ("connect", "first_byte", "gap"):
        value: int | None = getattr(timeouts, name)
        if value is not None and value > total:
            written = document.find((*path, name)) is not None
            limit = format_quantity(total, "milliseconds")
            message = f'"{name}" is longer than "total" ({limit}), which ends the request first'
            advice = f"lower {name}, or raise total under defaults.timeouts"
            document.warn((*path, name) if written else ("defaults", "timeouts", "total"), message, advice)


def _check_model(document: Document, names: Names, name: str) -> None:
    path: Path = ("models", name)
    text = document.text(path)
    model = names.interpreted[name]
    if text is None:
        _check_pool(document, names, name, path)
    elif model.alias is None:
        _check_target(document, names, name, model.targets[0], path)
    else:
        _check_alias(document, names, name, model.alias, path)


def _check_alias(document: Document, names: Names, name: str, alias: str, path: Path) -> None:
    if alias.endswith("*") and not name.endswith("*") and names.match(alias) is not None:
        message = f'"{document.shown(path, alias)}" has a *, but the model "{name}" has none'
        document.error(path, message, "put a * at the end of both names, or of neither")
    elif names.match(alias) is None and "/" in alias:
        names.check_provider(split_target(alias), path)
    else:
        names.check_model(alias, path, "an alias")


def _check_pool(document: Document, names: Names, name: str, path: Path) -> None:
    targets: Path = (*path, "targets")
    if document.is_empty(targets):
        advice = "name at least one: provider/model"
        document.error(targets, f'model "{name}" has no targets', advice, at_key=True)
    for text in document.names("models", name, "targets"):
        _check_target(document, names, name, split_target(text), (*targets, text), at_key=True)
    listed: set[str] = set()
    for index in range(len(document.items(targets))):
        plain, within = (*targets, index), (*targets, index, "target")
        for place in (plain, within):
            text = document.text(place)
            if text is None:
                continue
            _check_target(document, names, name, split_target(text), place)
            if text in listed:
                advice = "remove one of them; to weigh targets write a map"
                document.error(place, "this target is listed twice", advice)
            listed.add(text)
    for index, fallback in document.texts((*path, "fallbacks")):
        names.check_model(fallback, (*path, "fallbacks", index), "a fallback")


def _check_target(
    document: Document, names: Names, name: str, target: Target, path: Path, *, at_key: bool = False
) -> None:
    if not names.check_provider(target, path, at_key=at_key):
        return
    written = document.shown(path, f"{target.provider}/{target.model}")
    if not target.model:
        advice = f"write {target.provider}/ and the provider's name for the model"
        document.error(path, "the target has no model", advice, at_key=at_key)
    elif "*" in target.model[:-1] or not target.model.isprintable() or " " in target.model:
        advice = "it has no spaces, and a * at its end only"
        document.error(path, f'"{written}" is not a target', advice, at_key=at_key)
    elif target.model.endswith("*") and not name.endswith("*"):
        message = f'"{written}" has a *, but the model "{name}" has none'
        advice = f'call the model "{target.provider}/*", or give the target a full name'
        document.error(path, message, advice, at_key=at_key)


def _check_cycles(document: Document, names: Names) -> None:
    edges: dict[str, list[str]] = {}
    for name, model in names.interpreted.items():
        following = model.fallbacks if model.alias is None else (model.alias,)
        edges[name] = [found for each in following if (found := names.match(each)) is not None]
    for cycle in find_cycles(edges):
        aliases = all(names.interpreted[name].alias is not None for name in cycle)
        kind = "aliases" if aliases else "fallbacks"
        message = f"these {kind} go round in a circle: {' → '.join(cycle)}"
        document.error(("models", cycle[0]), message, "take one of them out", at_key=True)


def _check_team(document: Document, names: Names, name: str) -> None:
    path: Path = ("teams", name)
    models = [text for _, text in document.texts((*path, "models"))]
    aliases = document.names(*path, "aliases")
    if document.is_empty((*path, "models")):
        advice = "name some, or remove the line to allow all"
        document.error((*path, "models"), f'team "{name}" may use no model', advice, at_key=True)
    for index, model in document.texts((*path, "models")):
        if model not in aliases:
            names.check_model(model, (*path, "models", index), "a team")
    for alias in aliases:
        here = (*path, "aliases", alias)
        model = document.text(here)
        if model is None:
            continue
        if "*" in alias or "*" in model:
            document.error(here, "an alias of a team cannot have a *", "write each alias out", at_key=True)
            continue
        known = names.check_model(model, here, "an alias")
        restricted = document.find((*path, "models")) is not None
        if known and restricted and match(model, models) is None and alias not in models:
            message = f'team "{name}" may not use "{document.shown(here, model)}", so this alias is of no use'
            document.warn(here, message, "add the model to those of the team")


def _check_virtual_keys(document: Document, config: Config) -> None:
    teams = document.names("teams")
    owners: dict[str, str] = {}
    for name in document.names("virtual_keys"):
        path: Path = ("virtual_keys", name)
        team = document.text((*path, "team"))
        if team is not None and team not in teams:
            near = document.nearest(team, teams)
            advice = suggest(near, teams, "teams are" if teams else "add it under teams: {NAME: {}}")
            where = (*path, "team")
            document.error(where, f'unknown team "{document.shown(where, team)}"', advice)
        key = config.virtual_keys.get(name)
        if key is None:
            continue
        if key.hash in owners:
            message = f'virtual keys "{owners[key.hash]}" and "{name}" have the same hash'
            advice = "each virtual key needs a credential of its own: `edgeroute keys new`"
            document.error((*path, "hash"), message, advice)
        owners.setdefault(key.hash, name)


def _warn_placeholders(document: Document, config: Config) -> None:
    """Warns of hashes that stand in examples, whose keys nobody has."""
    for name, key in config.virtual_keys.items():
        if len(set(key.hash)) == 1:
            message = f'the hash of virtual key "{name}" is a placeholder: no key has it'
            advice = "put in the hash of a key: `edgeroute keys new` makes both"
            document.warn(("virtual_keys", name, "hash"), message, advice)
