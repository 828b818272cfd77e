"""A draft as a YAML file for people: our order, comments that say where things came from."""

import json
import re
from collections.abc import Iterator, Mapping

from edgeroute.config.values import format_quantity
from edgeroute.migrate.draft import Draft, Model, Provider, Target, VirtualKey, proportions
from edgeroute.migrate.report import Place

_WIDTH = 110
_COMMENT_COLUMN = 41
_PLAIN = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./@+-]*\*?|https?://[A-Za-z0-9_./@:-]*[A-Za-z0-9_/]")
_NUMBER = re.compile(r"[0-9][0-9_.:eExX+-]*")
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}

Value = str | int | float | list["Value"] | dict[str, "Value"]


def write(draft: Draft, origin: str) -> str:
    """The configuration as YAML. `origin` says where it comes from, for the first line."""
    lines = [f"# Made from {origin}. Look at the report of the import, then: edgeroute check -c FILE"]
    if draft.settings:
        lines += ["", *(f"{name}: {_scalar(value)}" for name, value in draft.settings.items())]
    lines += _section("defaults", _defaults(draft))
    lines += _section("providers", {name: (_provider(each), each.comment) for name, each in draft.providers.items()})
    lines += ["", f"cache: {_flow({'redis': draft.redis})}"] if draft.redis is not None else []
    cache = _cache(draft.cache)
    models = {name: (_model(each, cache), _lines(each.places)) for name, each in draft.models.items()}
    lines += _section("models", models)
    if draft.rules:
        lines += ["", "rules:"]
    for rule in draft.rules:
        lines += [f"  # {rule.comment}", f"  - name: {rule.name}", f"    when: {_condition(rule.when)}"]
        lines += [f"    model: {_scalar(rule.model)}"]
    teams: dict[str, tuple[Value, str]] = {}
    for name, team in draft.teams.items():
        teams[name] = (_given(models=team.models, limits=dict(team.limits)), "")
    lines += _section("teams", teams)
    lines += _section("virtual_keys", {name: (_key(each), each.comment) for name, each in draft.virtual_keys.items()})
    return "\n".join(lines) + "\n"


def _defaults(draft: Draft) -> dict[str, tuple[Value, str]]:
    given = _given(attempts=draft.attempts, timeouts=_timeouts(draft.timeouts))
    return {name: (value, "") for name, value in given.items()}


def _provider(provider: Provider) -> Value:
    keys = list(provider.api_keys)
    return _given(
        dialect=provider.dialect,
        url=provider.url,
        api_key=keys[0] if len(keys) == 1 else None,
        api_keys=keys if len(keys) > 1 else None,
        headers=dict(provider.headers),
        proxy=provider.proxy,
    )


def _cache(settings: Mapping[str, str | int]) -> Value | None:
    """The cache of a model: its mode alone where nothing else is said."""
    mode, ttl = settings.get("mode"), settings.get("ttl")
    return {"mode": mode, "ttl": format_quantity(int(ttl), "milliseconds")} if mode and ttl else mode


def _model(model: Model, cache: Value | None) -> Value:
    if model.alias is not None:
        return model.alias
    targets = model.targets
    if len(targets) == 1 and not model.fallbacks and not targets[0].timeouts and cache is None:
        return targets[0].name
    alike = model.strategy is not None and len({each.weight for each in targets}) == 1
    written = _listed(targets) if model.ordered or alike else _weighted(targets)
    return _given(targets=written, strategy=model.strategy, fallbacks=list(model.fallbacks), cache=cache)


def _listed(targets: list[Target]) -> Value:
    settings = [_given(target=each.name, **_settings(each)) for each in targets]
    return [each["target"] if len(each) == 1 else each for each in settings]


def _weighted(targets: list[Target]) -> Value:
    if len(targets) == 1:
        return _listed(targets)
    weights = proportions([each.weight for each in targets])
    return {
        each.name: {"weight": weight, **_settings(each)} if _settings(each) else weight
        for each, weight in zip(targets, weights, strict=True)
    }


def _settings(target: Target) -> dict[str, Value]:
    return _given(timeouts=_timeouts(target.timeouts), price=dict(target.price))


def _key(key: VirtualKey) -> Value:
    return _given(team=key.team, hash=key.hash, limits=dict(key.limits))


def _timeouts(timeouts: Mapping[str, int]) -> dict[str, Value]:
    return {name: format_quantity(value, "milliseconds") for name, value in timeouts.items()}


def _given(**settings: object) -> dict[str, Value]:
    """What is set: not None and not empty."""
    return {name: value for name, value in settings.items() if value not in (None, [], {})}  # pyright: ignore[reportReturnType]


def _lines(places: list[Place]) -> str:
    lines = sorted({each.line for each in places})
    if not lines:
        return ""
    shown = ", ".join(map(str, lines[:6])) + (", …" if len(lines) > 6 else "")
    return f"line{'s' * (len(lines) > 1)} {shown}"


def _section(name: str, entries: Mapping[str, tuple[Value, str]]) -> list[str]:
    if not entries:
        return []
    lines = ["", f"{name}:"]
    for key, (value, comment) in entries.items():
        first, *rest = _block(f"{_scalar(key)}:", value, "  ")
        lines += [*_commented(first, comment), *rest]
    return lines


def _block(head: str, value: Value, indent: str) -> Iterator[str]:
    """`head` and a value: on one line if it fits, else one line for each part."""
    inline = f"{indent}{head} {_flow(value)}"
    if not isinstance(value, (dict, list)) or (len(inline) <= _WIDTH - 20 and _is_small(value)):
        yield inline
        return
    yield f"{indent}{head}"
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _block(f"{_scalar(name)}:", each, indent + "  ")
    else:
        for each in value:
            yield f"{indent}  - {_flow(each)}"


def _is_small(value: Value) -> bool:
    """Whether a value reads well on one line."""
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    nested = sum(isinstance(each, (dict, list)) for each in parts)
    return nested == 0 or (nested == 1 and len(parts) == 1) or (nested <= 1 and len(_flow(value)) < 80)


def _flow(value: Value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(name)}: {_flow(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return _scalar(value)


def _condition(text: str) -> str:
    """In single quotes, so that those of its literals stay; YAML would fold line breaks in them."""
    if not text.isprintable():
        return json.dumps(text, ensure_ascii=False)
    return f"'{text.replace(chr(39), chr(39) * 2)}'"


def _scalar(value: str | float) -> str:
    text = f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    if isinstance(value, str) and _NUMBER.fullmatch(text):
        return f'"{text}"'
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)


def _commented(line: str, comment: str) -> list[str]:
    """A line with its comment behind it, or above it where there is no room."""
    comment = " ".join(comment.split())
    together = f"{line:<{_COMMENT_COLUMN - 1}} # {comment}"
    if not comment:
        return [line]
    return [together] if len(together) <= _WIDTH else [f"  # {comment}", line]
