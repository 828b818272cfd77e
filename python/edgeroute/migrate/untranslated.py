"""What clients of OpenAI's protocol lose: other gateways translate between protocols, so they could ask for every
model; here a target serves only those who speak its provider's dialect.
"""

from edgeroute.config.models import match
from edgeroute.migrate.draft import Draft, Model, Target
from edgeroute.migrate.report import Place

_OPENAI = "openai-chat"
_WHO = "clients that speak OpenAI's protocol"
_ADVICE = (
    "add a target of Anthropic's OpenAI-compatible endpoint, a second provider with dialect: openai-chat and url: "
    "https://api.anthropic.com/v1, or let them use Anthropic's SDK; see docs/migrate.md"
)


def report_untranslated(draft: Draft) -> None:
    """Reports each model, fallback and rule of a complete draft that these clients do not get, and what they get."""
    for name, model in draft.models.items():
        if model.alias is None:
            for place in model.places[:1]:
                _report(draft, place, _lost(draft, name, model))
            _report_fallbacks(draft, model)
    for rule in draft.rules:
        name = match(rule.model, draft.models) or rule.model
        _report(draft, rule.place, _lost(draft, name, draft.models[name]))


def _report_fallbacks(draft: Draft, model: Model) -> None:
    """Fallbacks that are left unused, of a model that is reached itself."""
    if not _reached(draft, model):
        return
    for fallback, place in model.fallbacks.items():
        if _first_reached(draft, [fallback]) is None:
            _report(draft, place, f'{_WHO} never get to the fallback "{fallback}"')


def _report(draft: Draft, place: Place, lost: str | None) -> None:
    if lost is not None:
        draft.report.changed(place, lost, _ADVICE)


def _lost(draft: Draft, name: str, model: Model) -> str | None:
    """What happens to these clients when they ask for a model; None if they get it as before."""
    reached = _reached(draft, model)
    if len(reached) == len(model.targets):
        return None
    if reached:
        return f'{_WHO} get, of the targets of "{name}", only {", ".join(each.name for each in reached)}'
    instead = _first_reached(draft, list(model.fallbacks))
    if instead is not None:
        return f'{_WHO} get the fallback "{instead}" instead of "{name}", without a word'
    return f"{_WHO} get 400 for models that only providers of Anthropic's protocol serve"


def _reached(draft: Draft, model: Model) -> list[Target]:
    return [each for each in model.targets if draft.dialect(each) == _OPENAI]


def _first_reached(draft: Draft, names: list[str]) -> str | None:
    """The first of some models, or of the fallbacks behind each, that these clients can get."""
    pending, seen = list(names), set[str]()
    while pending:
        name = pending.pop(0)
        serving = match(name, draft.models)
        if serving is None or serving in seen:
            continue
        seen.add(serving)
        model = draft.models[serving]
        if _reached(draft, model):
            return name
        pending[:0] = model.fallbacks if model.alias is None else [model.alias]
    return None
