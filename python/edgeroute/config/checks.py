"""What the parts of a configuration say of each other: names exist, nothing goes in circles."""

from edgeroute.config.diagnostics import nearest
from edgeroute.config.document import Document, Path
from edgeroute.config.models import Model, Target, find_cycles, match, split_target
from edgeroute.config.names import Names
from edgeroute.config.rules import check_rules, warn_unlimited
from edgeroute.config.schema import Config, Pool, Provider, Team
from edgeroute.config.unused import warn_unused
from edgeroute.config.values import Address
from edgeroute.providers import CATALOGUE

_NEEDED = {
    "providers": ("somebody has to serve models", 'providers: {openai: {api_key: "${OPENAI_API_KEY}"}}'),
    "models": ("clients would have nothing to ask for", "models: {fast: provider/model}"),
    "virtual_keys": ("nobody could call", 'virtual_keys: {NAME: {hash: "sha256:…"}}'),
}


def check(document: Document, config: Config) -> None:
    """Reports every error and warning that is not about a single value."""
    names = Names(document, config)
    _check_needed(document)
    _check_addresses(document, config)
    _check_timeouts(document, config)
    for name, provider in config.providers.items():
        _check_provider(document, name, provider)
    for name, model in names.interpreted.items():
        _check_model(document, names, name, config.models[name], model)
    _check_cycles(document, names)
    check_rules(document, names)
    for name, team in config.teams.items():
        _check_team(document, names, name, team)
    _check_virtual_keys(document, config)
    if not document.has_errors:  # so that no warning is the consequence of an error
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


def _check_addresses(document: Document, config: Config) -> None:
    listening: list[tuple[tuple[str, ...], Address]] = [
        (("listen",), config.listen),
        (("admin",), config.admin),
    ]
    if config.mock is not None:
        listening.append((("mock", "listen"), config.mock.listen))
    owners: dict[str, str] = {}
    for path, address in listening:
        name = ".".join(path)
        if address in owners:
            message = f'"{owners[address]}" and "{name}" cannot both listen on one address'
            written = path if document.find(path) else (owners[address],)  # the other one is a default
            document.error(written, message, "give one of them another port")
        owners.setdefault(address, name)


def _check_timeouts(document: Document, config: Config) -> None:
    timeouts = config.defaults.timeouts
    for name in ("connect", "first_byte", "gap"):
        if getattr(timeouts, name) > timeouts.total:
            written = document.find(("defaults", "timeouts", name)) is not None
            path: Path = ("defaults", "timeouts", name if written else "total")
            message = f'"{name}" is longer than "total", so it can never pass'
            document.warn(path, message, f"lower {name}, or raise total")


def _check_provider(document: Document, name: str, provider: Provider) -> None:
    path: Path = ("providers", name)
    given = set(document.names(*path))
    known = CATALOGUE.get(name)
    if {"url", "urls"} <= given:
        document.error((*path, "urls"), '"url" and "urls" are both set', "keep one of them", at_key=True)
    if document.is_empty((*path, "urls")):
        document.error((*path, "urls"), '"urls" is empty', "name at least one URL", at_key=True)
    urls = document.texts((*path, "urls"))
    for index, (place, text) in enumerate(urls):
        if text.rstrip("/") in (other.rstrip("/") for _, other in urls[:index]):
            document.error((*path, "urls", place), "this URL is listed twice", "remove one of them")
    missing = [] if "dialect" in given else ['"dialect"']
    missing += [] if {"url", "urls"} & given else ['"url"']
    if known is None and missing:
        near = nearest(name, CATALOGUE)
        advice = f'did you mean "{near}"? ' if near else ""
        advice += f"{name} is not in the catalogue, so say what it speaks and where it is"
        document.error(path, f'provider "{name}" needs {" and ".join(missing)}', advice, at_key=True)
    if provider.api_key is not None and (*path, "api_key") not in document.replaced:
        advice = "read it from the environment, ${NAME}, or from a file, ${file:/path}"
        document.warn((*path, "api_key"), "this credential is written into the configuration", advice)
    if known is not None and not {"url", "urls", "api_key"} & given:
        advice = f'add api_key: "${{{known.key_variable}}}"'
        document.warn(path, f'provider "{name}" has no api_key and will refuse requests', advice, at_key=True)
    _check_version(document, path, provider)


def _check_version(document: Document, path: Path, provider: Provider) -> None:
    """OpenAI's SDKs take a base URL with its version, and so do we; without one every request is a 404."""
    if provider.dialect != "openai-chat":
        return
    places = [
        ((*path, "url"), provider.url),
        *(((*path, "urls", i), u) for i, u in enumerate(provider.urls or [])),
    ]
    for place, url in places:
        if url is not None and url.count("/") == len(("http:", "", "host")) - 1:
            advice = "most servers answer under /v1: add it, unless this one does not"
            document.warn(place, "this URL has no path", advice)


def _check_model(document: Document, names: Names, name: str, value: str | Pool, model: Model) -> None:
    path: Path = ("models", name)
    if model.alias is not None:
        _check_alias(document, names, name, model.alias, path)
    elif isinstance(value, str):
        _check_target(document, names, name, model.targets[0], path)
    else:
        _check_pool(document, names, name, path)


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
    for index, text in document.texts(targets):
        _check_target(document, names, name, split_target(text), (*targets, index))
        if text in listed:
            advice = "remove one of them; to weigh targets write a map"
            document.error((*targets, index), "this target is listed twice", advice)
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


def _check_team(document: Document, names: Names, name: str, team: Team) -> None:
    path: Path = ("teams", name)
    if document.is_empty((*path, "models")):
        advice = "name some, or remove the line to allow all"
        document.error((*path, "models"), f'team "{name}" may use no model', advice, at_key=True)
    for index, model in document.texts((*path, "models")):
        if model not in team.aliases:
            names.check_model(model, (*path, "models", index), "a team")
    for alias, model in team.aliases.items():
        here = (*path, "aliases", alias)
        if "*" in alias or "*" in model:
            document.error(here, "an alias of a team cannot have a *", "write each alias out", at_key=True)
            continue
        known = names.check_model(model, here, "an alias")
        if known and team.models is not None and match(model, team.models) is None and alias not in team.models:
            message = f'team "{name}" may not use "{document.shown(here, model)}", so this alias is of no use'
            document.warn(here, message, "add the model to those of the team")


def _check_virtual_keys(document: Document, config: Config) -> None:
    teams = document.names("teams")
    owners: dict[str, str] = {}
    for name, key in config.virtual_keys.items():
        path: Path = ("virtual_keys", name)
        if key.team is not None and key.team not in teams:
            near = document.nearest(key.team, teams)
            advice = f'did you mean "{near}"?' if near else "add it under teams"
            where = (*path, "team")
            document.error(where, f'unknown team "{document.shown(where, key.team)}"', advice)
        if key.hash in owners:
            message = f'virtual keys "{owners[key.hash]}" and "{name}" have the same hash'
            advice = "each virtual key needs a credential of its own"
            document.error((*path, "hash"), message, advice)
        owners.setdefault(key.hash, name)
