"""Checks of what places requests: strategies with their settings, replicas, prices."""

import ipaddress

from edgeroute.config.document import Document, Path
from edgeroute.config.models import Model, credentials_of, price_of, replicas_of
from edgeroute.config.names import Names
from edgeroute.config.schema import Config, Pool, Provider, StrategyName
from edgeroute.config.values import Address, HashKey, Malformed, Url

MOST_CANDIDATES = 64
"""For so many the index of `affinity` has room: a bit of a word each."""

DEFAULT_KEYS: dict[StrategyName, list[HashKey]] = {
    "session": [HashKey("session"), HashKey("user")],
    "bounded-hash": [HashKey("session"), HashKey("user"), HashKey("prompt")],
}
"""What is hashed where `key` is not set."""

_USED_BY: dict[str, tuple[StrategyName, ...]] = {
    "key": ("session", "bounded-hash"),
    "load_factor": ("bounded-hash",),
    "cache_salt": ("affinity",),
    "index": ("affinity",),
    "second_price": ("affinity",),
}
_LOOK_AT_PRICES: tuple[StrategyName, ...] = ("cost", "affinity")


def check_replicas(document: Document, path: Path, provider: Provider | None) -> None:
    """Reports what is wrong with the replicas of a provider, and with where more of them are found."""
    names = set(document.names(*path))
    if {"url", "urls"} <= names:
        document.error((*path, "urls"), '"url" and "urls" are both set', "keep one of them", at_key=True)
    check_urls(document, path)
    _check_discovery(document, (*path, "discover"))
    replicas = (provider.urls or []) if provider else []
    if provider and provider.discover is None and replicas and all(each.drain for each in replicas):
        advice = "take drain from one of them, or remove the provider and its targets"
        document.error((*path, "urls"), "all replicas are drained, so none takes requests", advice, at_key=True)


def check_urls(document: Document, path: Path) -> None:
    """Reports a list of URLs that is empty, and those that stand in it twice."""
    if document.is_empty((*path, "urls")):
        document.error((*path, "urls"), '"urls" is empty', "name at least one URL", at_key=True)
    seen: set[str] = set()
    for place, url in _urls_in(document, path):
        if url in seen:
            document.error(place, "this URL is listed twice", "remove one of them")
        seen.add(url)


def _urls_in(document: Document, path: Path) -> list[tuple[Path, str]]:
    """The URLs under `urls` that can be read, as they count, each with its place."""
    found: list[tuple[Path, str]] = []
    for index in range(len(document.items((*path, "urls")))):
        for place in ((*path, "urls", index), (*path, "urls", index, "url")):
            text = document.text(place)
            try:
                found += [] if text is None else [(place, Url.parse(text))]
            except Malformed:  # is reported where it is read
                continue
    return found


def check_strategies(document: Document, config: Config, names: Names) -> None:
    """Reports settings that a strategy does not use, and what it needs and does not have."""
    for name, model in names.interpreted.items():
        value = config.models.get(name)
        if not isinstance(value, Pool) or value.strategy is None:  # as it is by default, or could not be read
            continue
        _check_settings(document, name, model)
        if model.strategy.name == "ordered" and document.names("models", name, "targets"):
            advice = "write a list, first choice first; or leave strategy out, to draw by weight"
            message = "targets with weights cannot be ordered"
            document.error(_strategy(name), message, advice)
        if model.strategy.name == "cost":
            _check_prices(document, config, name, model)
        if model.strategy.name == "affinity":
            _check_candidates(document, config, name, model)


def warn_strategies(document: Document, config: Config, names: Names) -> None:
    """Warns of salts that no provider takes, and of prices that nobody looks at."""
    for name, model in names.interpreted.items():
        engines = [config.providers[target.provider].engine for target in model.targets]
        if model.strategy.cache_salt is not None and not any(engines):
            message = "no provider of this model takes a cache_salt: it keeps apart only what edgeroute itself knows"
            advice = "set engine: vllm or engine: sglang in the provider, if that is what serves it"
            document.warn((*_strategy(name), "cache_salt"), message, advice, at_key=True)
        if model.strategy.name in _LOOK_AT_PRICES:
            continue
        targets: Path = ("models", name, "targets")
        steps = [*document.names(*targets), *range(len(document.items(targets)))]
        for place in ((*targets, step, "price") for step in steps):
            if document.find(place) is not None:
                message = f'"price" has no effect: strategy "{model.strategy.name}" does not look at prices'
                document.warn(place, message, "set strategy: cost, or remove the price", at_key=True)


def _strategy(model: str) -> Path:
    return ("models", model, "strategy")


def _check_discovery(document: Document, path: Path) -> None:
    settings = document.names(*path)
    given = [name for name in ("dns", "srv", "file") if name in settings]
    if not given and (settings or document.is_empty(path)):
        advice = "write discover: {dns: http://host:8000/v1}, {srv: http://name/v1} or {file: replicas.yaml}"
        document.error(path, '"discover" does not say where to look', advice, at_key=True)
    for name in given[1:]:
        message = f'"{given[0]}" and "{name}" are both set'
        document.error((*path, name), message, "keep one of them", at_key=True)
    for name in given:
        text = document.text((*path, name))
        if name == "file" or text is None:
            continue
        try:
            parsed = Url.parse(text)
        except Malformed:  # is reported where it is read
            continue
        if parsed.is_numeric:
            document.error((*path, name), "an address has nothing to look up", "write it under urls")
        elif name == "srv" and parsed.port is not None:
            advice = "take the port out; to look up addresses alone write dns"
            document.error((*path, name), "SRV records say the ports themselves", advice)
    _check_nameserver(document, (*path, "nameserver"))


def _check_nameserver(document: Document, path: Path) -> None:
    text = document.text(path)
    if text is None:
        return
    try:
        ipaddress.ip_address(Address.parse(text).host)
    except Malformed:  # is reported where it is read
        return
    except ValueError:
        advice = "write its address and port, such as 10.0.0.2:53"
        document.error(path, "a name server cannot be looked up itself", advice)
    if document.text((*path[:-1], "file")) is not None:
        document.error(path, "nobody is asked for a file", "remove it", at_key=True)


def _check_settings(document: Document, name: str, model: Model) -> None:
    path = _strategy(name)
    given = document.names(*path)
    for setting, strategies in _USED_BY.items():
        if setting in given and model.strategy.name not in strategies:
            message = f'strategy "{model.strategy.name}" does not use "{setting}"'
            advice = f"remove it; it is for {' and '.join(strategies)}"
            document.error((*path, setting), message, advice, at_key=True)
    if document.is_empty((*path, "key")):
        advice = f"name what to hash ({HashKey.expected}), or remove the line"
        document.error((*path, "key"), '"key" is empty', advice, at_key=True)
    keys = document.texts((*path, "key"))
    for index, text in keys:
        if text.lower() in (other.lower() for place, other in keys if place < index):
            document.error((*path, "key", index), "this is listed twice", "remove one of them")


def _check_prices(document: Document, config: Config, name: str, model: Model) -> None:
    missing = [target for target in model.targets if price_of(config, target) is None]
    if not missing:
        return
    written = [f"{target.provider}/{target.model}" for target in missing]
    shown = ", ".join(written[:5]) + (f" and {len(written) - 5} more" if len(written) > 5 else "")
    price = "price: {input: …, cached_input: …, output: …}"
    example = f"{{target: {written[0]}, {price}}}"
    if document.names("models", name, "targets"):
        example = f"{written[0]}: {{weight: {missing[0].weight}, {price}}}"
    message = f"strategy cost needs a price for every target; not known: {shown}"
    document.error(_strategy(name), message, f"write it, per million tokens: {example}")


def _check_candidates(document: Document, config: Config, name: str, model: Model) -> None:
    count = 0
    for target in model.targets:
        provider = config.providers.get(target.provider)
        if provider is not None:
            count += len(replicas_of(target.provider, provider)) * max(1, len(credentials_of(provider)))
    if count > MOST_CANDIDATES:
        message = f"affinity knows {MOST_CANDIDATES} replicas at most (each once for each credential), not {count}"
        advice = "use strategy: bounded-hash, or several models with a part of the replicas each"
        document.error(_strategy(name), message, advice)
