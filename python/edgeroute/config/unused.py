"""Warnings about what a correct configuration has and nothing leads to."""

from edgeroute.config.caches import helpers, model_caches
from edgeroute.config.document import Document
from edgeroute.config.models import fallbacks_of, match, models_of, split_target
from edgeroute.config.names import Names
from edgeroute.config.schema import Config


def warn_unused(document: Document, config: Config, names: Names) -> None:
    """Reports providers without targets, teams without keys, and models that no request can reach."""
    serving = {target.provider for model in names.interpreted.values() for target in model.targets}
    serving |= {split_target(rule.pin).provider for rule in config.rules if rule.pin is not None}
    for cache in model_caches(config).values():
        serving |= {target.provider for target in helpers(cache).values()}
    for name in config.providers:
        if name not in serving:
            message = f'provider "{name}" serves no model'
            document.warn(("providers", name), message, "add a target, or remove the provider", at_key=True)
    teams = {key.team for key in config.virtual_keys.values()}
    for name in config.teams:
        if name not in teams:
            message = f'team "{name}" has no virtual key'
            document.warn(("teams", name), message, "add one, or remove the team", at_key=True)
    reachable = _reachable(config, names)
    for name in config.models:
        if name not in reachable:
            message = f'model "{name}" cannot be reached: no team may ask for it, and nothing leads to it'
            document.warn(("models", name), message, "add it to a team's models, or remove it", at_key=True)


def _reachable(config: Config, names: Names) -> set[str]:
    """The models that some virtual key may ask for, and those that rules, aliases and fallbacks lead to."""
    pending = [name for rule in config.rules for name in (*models_of(rule), *fallbacks_of(rule))]
    for key in config.virtual_keys.values():
        team = config.teams[key.team] if key.team is not None else None
        if team is None or team.models is None:
            return set(config.models)
        pending += [*team.models, *team.aliases.values()]
        pending += [name for name in config.models if match(name, team.models) is not None]
    reached: set[str] = set()
    while pending:
        name = names.match(pending.pop())
        if name is not None and name not in reached:
            reached.add(name)
            model = names.interpreted[name]
            pending += model.fallbacks if model.alias is None else [model.alias]
    return reached
