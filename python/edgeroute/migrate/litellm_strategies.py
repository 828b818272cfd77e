"""LiteLLM's routing strategies as ours, and the prices that one of them needs.

What each does is taken from LiteLLM's documentation of its router (strategies, pre-call checks, custom pricing).
"""

from edgeroute.migrate.draft import Draft, Model, Target
from edgeroute.migrate.foreign import Settings
from edgeroute.providers import CATALOGUE, catalogue_price

_SETTING = "routing_strategy"
_SEE = "see docs/how-to/strategies.md"
_BY_COST = "cost-based-routing"
_OURS = {
    "least-busy": ("least-load", "load is tokens in flight, not requests"),
    "usage-based-routing": ("least-load", "load is tokens in flight, not those of this minute"),
    "usage-based-routing-v2": ("least-load", "load is tokens in flight, not those of this minute"),
    "latency-based-routing": ("latency", "latency is that of first tokens, by size of prompt, and of further ones"),
    _BY_COST: ("cost", "prices are those of the file, else those of edgeroute's catalogue"),
}
_CHECKS = {
    "prompt_caching": ("affinity", "the beginning of a prompt goes where it was read last, unless load speaks against"),
    "session_affinity": ("session", "a session stays with its target by hashing, without a store"),
    "deployment_affinity": ("session", "a user stays with a target by hashing, without a store"),
}
"""What `optional_pre_call_checks` may name; they come before the strategy."""

_COSTS = {
    "input": "input_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "output": "output_cost_per_token",
}


def read_prices(router: Settings, entry: Settings, parameters: Settings) -> dict[str, float]:
    """The prices per million tokens of a deployment, if it has them and the router looks at prices."""
    if router.text(_SETTING) != _BY_COST:
        return {}
    prices: dict[str, float] = {}
    for place in (parameters, entry.map("model_info")):
        for ours, theirs in _COSTS.items():
            cost = place.number(theirs)
            if cost is not None:
                prices.setdefault(ours, round(cost * 1e6, 6))
    return prices if {"input", "output"} <= prices.keys() else {}


def translate_strategy(draft: Draft, router: Settings) -> None:
    """Gives the models of a draft the strategy that the router has for all of them."""
    found = _found(draft, router)
    if found is None:
        return
    strategy, setting = found
    models = {name: model for name, model in draft.models.items() if len(model.targets) > 1}
    for name, model in models.items():
        if model.ordered:
            reason = f'targets of "{name}" have an order, which is their strategy'
            draft.report.changed(router.at(setting), reason, f"remove order to have strategy: {strategy}")
        elif strategy == "cost" and (unknown := _without_price(draft, model)):
            reason = f'"{name}" is drawn by weight: prices are not known of {", ".join(unknown)}'
            draft.report.left_out(router.at(setting), reason, "write price in its targets, and strategy: cost")
        else:
            model.strategy = strategy


def _found(draft: Draft, router: Settings) -> tuple[str, str] | None:
    """The strategy and the setting that asks for it; None if targets are to be drawn by weight."""
    written, place = router.text(_SETTING), router.at(_SETTING)
    of_check: str | None = None
    for check, where in router.texts("optional_pre_call_checks"):
        if of_check is None and check in _CHECKS:
            of_check, note = _CHECKS[check]
            draft.report.changed(where, f'"{check}" becomes strategy: {of_check}; {note}', _SEE)
        else:
            draft.report.left_out(where, f'"{check}" does not exist here beside a strategy', _SEE)
    if of_check is not None:
        if written is not None:
            draft.report.changed(place, f'"{written}" gives way to strategy: {of_check}', _SEE)
        return of_check, "optional_pre_call_checks"
    if written in _OURS:
        strategy, note = _OURS[written]
        draft.report.changed(place, f'"{written}" becomes strategy: {strategy}; {note}', _SEE)
        return strategy, _SETTING
    if written not in (None, "simple-shuffle"):
        draft.report.left_out(place, f'"{written}" does not exist here: targets are drawn by weight', _SEE)
    return None


def _without_price(draft: Draft, model: Model) -> list[str]:
    return [each.name for each in model.targets if not each.price and not _is_catalogued(draft, each)]


def _is_catalogued(draft: Draft, target: Target) -> bool:
    """Whether the catalogue will know what a target costs."""
    name, _, model = target.name.partition("/")
    url = draft.providers[name].url or CATALOGUE[name].url
    return any(known.url == url and catalogue_price(each, model) for each, known in CATALOGUE.items())
