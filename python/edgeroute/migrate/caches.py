"""Caches of other gateways as ours: theirs are for everything, ours belong to models."""

import re
from urllib.parse import quote

from edgeroute.config.vocabulary import foreign_variable
from edgeroute.migrate.draft import Draft
from edgeroute.migrate.foreign import Settings, carried
from edgeroute.migrate.report import Place, Reason

_SEMANTIC = {"redis-semantic", "valkey-semantic", "qdrant-semantic"}
_IN_REDIS = {"redis", "redis-semantic", "valkey-semantic"}
_LONGEST_TTL_MS = 720 * 3_600_000
_THRESHOLD = Reason(
    "left out",
    "how similar two questions are depends on who embeds them; edgeroute embeds them itself, and asks for 0.95",
    "see docs/how-to/caches.md before you lower threshold",
)
_EMBEDDER = Reason("not needed", "edgeroute embeds questions itself")
_STORE = Reason("left out", "answers are kept in a file of the host, and in Redis", "see cache in docs/reference")

LITELLM = {
    "supported_call_types": Reason(
        "left out", "a cache belongs to a model", "take cache out of the models whose answers are not to be kept"
    ),
    "namespace redis_namespace": Reason(
        "left out", "answers are kept apart by who shares them", "see scope in docs/how-to/caches.md"
    ),
    "similarity_threshold": _THRESHOLD,
    "*embedding_model* qdrant_* valkey_* redis_semantic_*": _EMBEDDER,
    "*": _STORE,
}
BIFROST = {
    "threshold": _THRESHOLD,
    "provider keys embedding_model dimension": _EMBEDDER,
    "conversation_history_threshold": Reason(
        "left out",
        "of longer conversations nothing is answered by meaning",
        "raise turns, which counts the user's",
    ),
    "exclude_system_prompt cache_by_*": Reason(
        "left out", "requests that differ in model, provider or system prompt never share an answer"
    ),
    "*": _STORE,
}


def read_litellm_cache(draft: Draft, module: Settings) -> None:
    """`cache` and `cache_params` of `litellm_settings`."""
    parameters = module.map("cache_params")
    is_on = module.flag("cache")
    if not is_on:
        if "cache_params" in module:
            draft.report.left_out(module.at("cache_params"), "the cache is off: cache is not true")
        return
    if parameters.text("mode") == "default_off":
        reason = "the cache answers only who asks for it, which a client cannot do here"
        advice = "write a rule: {name: cached, when: '\"x-cached\" in headers', cache: exact}"
        draft.report.left_out(parameters.at("mode"), reason, advice)
        return
    kind = parameters.text("type") or "local"
    ttls = ("ttl", "default_in_redis_ttl" if kind in _IN_REDIS else "default_in_memory_ttl")
    _switch_on(draft, parameters, kind in _SEMANTIC, module.at("cache"), *ttls)
    if kind in _IN_REDIS:
        draft.redis = _redis(draft, parameters)
    parameters.report_unread(LITELLM)


def read_bifrost_cache(draft: Draft, plugin: Settings) -> None:
    """The plugin `semantic_cache`."""
    settings = plugin.map("config")
    if settings.text("default_cache_key") is None:
        reason = "without default_cache_key only requests with x-bf-cache-key are cached, each key apart"
        advice = "write a rule: {name: cached, when: '\"x-bf-cache-key\" in headers', cache: exact}"
        draft.report.left_out(plugin.place, reason, advice)
        return
    is_semantic = settings.text("provider") is not None and settings.number("dimension") != 1
    _switch_on(draft, settings, is_semantic, plugin.place, "ttl")
    settings.report_unread(BIFROST)


def _switch_on(draft: Draft, settings: Settings, is_semantic: bool, place: Place, *ttls: str) -> None:
    draft.cache = {"mode": "semantic" if is_semantic else "exact"}
    for name in ttls:
        written = settings.text(name)
        if written is None or "ttl" in draft.cache:
            continue
        seconds = _seconds(written)
        if seconds is None:
            draft.report.left_out(settings.at(name), "this is no time", "write ttl in the models' cache")
        else:
            draft.cache["ttl"] = min(max(1, round(seconds)) * 1000, _LONGEST_TTL_MS)
    reason = "an answer is given only to the virtual key for which it was made, and none with a temperature above 0.3"
    draft.report.changed(place, reason, "see scope and max_temperature in docs/how-to/caches.md")
    if is_semantic:
        reason = "answers to similar questions are compared first, and given once that has shown that they are right"
        draft.report.changed(place, reason, "see serve in docs/how-to/caches.md")


def _seconds(text: str) -> float | None:
    """A number of seconds, or a duration as Go writes it: `90`, `5m`, `1h30m`."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", text):
        return float(text)
    if not re.fullmatch(r"([0-9]{1,6}(ms|s|m|h))+", text):
        return None
    scales = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    return sum(int(number) * scales[unit] for number, unit in re.findall(r"([0-9]+)(ms|s|m|h)", text))


def _redis(draft: Draft, parameters: Settings) -> str | None:
    """The address of LiteLLM's Redis: written out, or in the variables that LiteLLM reads."""
    url = parameters.text("url") or parameters.text("redis_url")
    if url is not None:
        place = parameters.at("url" if "url" in parameters else "redis_url")
        return draft.credential(url, place, "REDIS_URL")
    host, port = parameters.text("host"), parameters.text("port") or "6379"
    if host is None:
        place = parameters.at("type")
        draft.report.changed(place, "the address of Redis is read from REDIS_URL", "export it: redis://:PASSWORD@HOST")
        return "${REDIS_URL}"
    database, user, ssl = parameters.text("db"), parameters.text("username"), parameters.text("ssl")
    for name, value, form in (
        ("host", host, r"[A-Za-z0-9._-]{1,253}"),
        ("port", port, "[1-9][0-9]{0,4}"),
        ("db", database, "[0-9]{1,4}"),
    ):
        if value is not None and foreign_variable(value) is None and not re.fullmatch(form, value):
            draft.report.left_out(parameters.at(name), f"this is no {name} of Redis", "write cache: {redis: URL}")
            return None
    password = parameters.text("password")
    secret = None if password is None else draft.credential(password, parameters.at("password"), "REDIS_PASSWORD")
    if secret is not None:
        draft.report.changed(parameters.at("password"), "it becomes part of a URL", "write special characters as %XX")
    if secret is None and user is not None:
        draft.report.left_out(parameters.at("username"), "there is no password", "write cache: {redis: URL}")
    if ssl is not None and foreign_variable(ssl) is not None:
        reason = "whether it uses TLS is known to the environment alone; here it does not"
        draft.report.changed(parameters.at("ssl"), reason, "write rediss:// if it does")
    scheme = "rediss" if parameters.flag("ssl") else "redis"
    name = "" if user is None else carried(user) if foreign_variable(user) else quote(user, safe="")
    who = "" if secret is None else f"{name}:{secret}@"
    return f"{scheme}://{who}{carried(host)}:{carried(port)}{'' if database is None else f'/{carried(database)}'}"
