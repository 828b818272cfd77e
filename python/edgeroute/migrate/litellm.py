"""LiteLLM's proxy configuration (YAML) as a draft of ours.

What its settings mean is taken from LiteLLM's documentation of the proxy: config settings, load balancing,
reliability. Deployments with one `model_name` are a pool; `simple-shuffle` draws by weight, else rpm, else tpm.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from edgeroute.config.diagnostics import Source
from edgeroute.config.models import match
from edgeroute.config.providers import CREDENTIAL_HEADERS
from edgeroute.config.vocabulary import foreign_variable
from edgeroute.migrate.access import Access
from edgeroute.migrate.caches import read_litellm_cache
from edgeroute.migrate.draft import (
    Draft,
    Model,
    Provider,
    Target,
    Timeouts,
    VirtualKey,
    is_model_name,
    is_placeholder,
    milliseconds,
    name_of,
)
from edgeroute.migrate.foreign import Settings, carried, read_settings, variables
from edgeroute.migrate.litellm_reasons import ENTRY, GENERAL, MODULE, PARAMETERS, ROUTER, TOP
from edgeroute.migrate.litellm_strategies import read_prices, translate_strategy
from edgeroute.migrate.litellm_tables import read_keys, read_teams
from edgeroute.migrate.report import Place, Reason
from edgeroute.migrate.untranslated import report_untranslated
from edgeroute.migrate.upstreams import (
    SELF_HOSTED,
    azure,
    base_url,
    catalogued,
    extra_header,
    speaks_otherwise,
    unsupported,
)
from edgeroute.providers import CATALOGUE

_CATALOGUED = {
    "openai": ("openai", "OPENAI_API_KEY"),
    "text-completion-openai": ("openai", "OPENAI_API_KEY"),
    "anthropic": ("anthropic", "ANTHROPIC_API_KEY"),
    "cerebras": ("cerebras", "CEREBRAS_API_KEY"),
    "dashscope": ("alibaba", "DASHSCOPE_API_KEY"),
    "deepinfra": ("deepinfra", "DEEPINFRA_API_KEY"),
    "deepseek": ("deepseek", "DEEPSEEK_API_KEY"),
    "fireworks_ai": ("fireworks", "FIREWORKS_AI_API_KEY"),
    "gemini": ("google", "GEMINI_API_KEY"),
    "groq": ("groq", "GROQ_API_KEY"),
    "mistral": ("mistral", "MISTRAL_API_KEY"),
    "moonshot": ("moonshot", "MOONSHOT_API_KEY"),
    "nebius": ("nebius", "NEBIUS_API_KEY"),
    "nvidia_nim": ("nvidia", "NVIDIA_NIM_API_KEY"),
    "openrouter": ("openrouter", "OPENROUTER_API_KEY"),
    "perplexity": ("perplexity", "PERPLEXITYAI_API_KEY"),
    "together_ai": ("together", "TOGETHERAI_API_KEY"),
    "xai": ("xai", "XAI_API_KEY"),
    "zai": ("zai", "ZAI_API_KEY"),
}
"""LiteLLM's prefix: our provider, and the variable in which LiteLLM looks for its key."""

_BARE_NAMES = {
    "openai": re.compile(r"(gpt-|chatgpt-|o[1-9](-|$)|text-embedding-|davinci|babbage|omni-)"),
    "anthropic": re.compile(r"claude-"),
    "vertex_ai": re.compile(r"gemini-"),
    "cohere": re.compile(r"command"),
}
"""Models that LiteLLM knows without a prefix."""

_TOTAL = 15 * 60_000  # the default of timeouts.total
_WEIGHTS = ("weight", "rpm", "tpm")
_RATES = Reason(
    "changed",
    "rpm and tpm of a deployment only weigh targets; they are no limit",
    "limit clients with limits: {requests_per_minute: …, tokens_per_minute: …} in teams and virtual_keys",
)


@dataclass(frozen=True, slots=True)
class Exports:
    """Tables of LiteLLM's database, exported as CSV or JSON; None where there is none."""

    keys: Source | None = None
    teams: Source | None = None


def import_litellm(source: Source, environ: Mapping[str, str], now: datetime, exports: Exports = Exports()) -> Draft:
    """A LiteLLM configuration as a draft, without keys that have expired by `now`.

    Raises ConfigError if the file is not YAML with a map at its top.
    """
    return _LiteLLM(source, environ, now).imported(exports)


class _LiteLLM:
    def __init__(self, source: Source, environ: Mapping[str, str], now: datetime) -> None:
        self._now = now
        self._draft = Draft(reserved=variables(source))
        self._report = self._draft.report
        self._environ = environ
        self._top = read_settings(source, self._report)
        self._credentials: dict[str, Settings] = {}
        self._weights: dict[str, list[tuple[Target, dict[str, float], Place]]] = {}

    def imported(self, exports: Exports) -> Draft:
        for each in self._top.maps("credential_list"):
            name = each.text("credential_name")
            if name is not None:
                self._credentials[name] = each.map("credential_values")
        router, module = self._top.map("router_settings"), self._top.map("litellm_settings")
        for entry in self._top.maps("model_list"):
            self._deployment(entry)
        for name, found in self._weights.items():
            self._settle(self._draft.models[name], found)
        translate_strategy(self._draft, router)
        self._aliases(router)
        self._fallbacks(router, module)
        self._deadlines(router, module)
        self._logging(module)
        read_litellm_cache(self._draft, module)
        self._keys(self._top.map("general_settings"), exports)
        router.report_unread(ROUTER)
        module.report_unread(MODULE)
        self._top.report_unread(TOP)
        report_untranslated(self._draft)
        return self._draft

    def _deployment(self, entry: Settings) -> None:
        """One entry of `model_list`: another target of the model that it names."""
        parameters = entry.map("litellm_params")
        name, written = entry.text("model_name"), parameters.text("model")
        if name is None or written is None:
            self._report.left_out(entry.place, "an entry needs model_name and litellm_params.model")
            return
        place = parameters.at("model")
        if not is_model_name(name):
            reason = "a model's name is printable ASCII without spaces, at most 200; a * may stand at its end only"
            self._report.left_out(entry.at("model_name"), reason, "give it another name")
            return
        if foreign_variable(written) is not None:
            self._report.left_out(place, "the model is in a variable, so its provider is not known", "write it out")
            return
        prefix, upstream = _split(written, parameters.text("custom_llm_provider"))
        if prefix == "*":
            advice = "write one line for each provider: models: {openai/*: openai/*, anthropic/*: anthropic/*}"
            self._report.left_out(place, "a target has one provider; `*` stands for all that LiteLLM knows", advice)
            return
        if not is_model_name(upstream):
            self._report.left_out(place, "this is not the name of a model at a provider", "write provider/model")
            return
        providers = self._providers(prefix, parameters, place)
        for provider in providers:
            self._target(entry, parameters, name, Target(f"{provider}/{carried(_upstream(prefix, upstream))}"))
        if providers:
            entry.report_unread(ENTRY)
            parameters.report_unread(PARAMETERS)

    def _target(self, entry: Settings, parameters: Settings, name: str, target: Target) -> None:
        if target.name.endswith("*") and not name.endswith("*"):
            self._report.left_out(entry.at("model_name"), "the target has a *, but the model's name has none")
            return
        model = self._draft.models.setdefault(name, Model())
        if entry.place not in model.places:
            model.places.append(entry.place)
        weights: dict[str, float] = {}
        for each in _WEIGHTS:
            holder = parameters if each in parameters else entry
            weight = holder.number(each)
            if weight is not None:
                weights[each] = weight
                if each != "weight":
                    self._report.add(holder.at(each), _RATES)
        target.order = parameters.number("order") or 0
        model.ordered = model.ordered or "order" in parameters
        target.timeouts = self._first_byte(parameters, "timeout")
        target.price = read_prices(self._top.map("router_settings"), entry, parameters)
        self._weights.setdefault(name, []).append((target, weights, parameters.at("model")))

    def _settle(self, model: Model, found: list[tuple[Target, dict[str, float], Place]]) -> None:
        """Makes a pool of the targets found for a model: in order if any has one, else by weight."""
        measure = next((each for each in _WEIGHTS if any(each in weights for _, weights, _ in found)), None)
        targets: dict[str, Target] = {}
        for target, weights, place in found:
            target.weight = 1 if measure is None else weights.get(measure, 0)
            if target.weight == 0 and not model.ordered:
                reason = f"a target without {measure} beside others that have it gets nothing of LiteLLM; here weight 1"
                self._report.changed(place, reason, "remove it under models if it should get nothing")
            if target.name in targets:
                targets[target.name].weight += target.weight
            else:
                targets[target.name] = target
        model.targets = list(targets.values())
        if model.ordered:
            model.targets.sort(key=lambda each: each.order)
            if len({each.order for each in model.targets}) < len(model.targets):
                reason = "targets of one order are tried one after the other, not drawn"
                self._report.changed(found[0][2], reason, "write a map of weights where the order does not matter")

    def _providers(self, prefix: str, parameters: Settings, place: Place) -> list[str]:
        """The providers that an entry stands for: one, or one for each organization that it lists."""
        credential = self._credentials.get(parameters.text("litellm_credential_name") or "")
        settings = parameters if credential is None else credential
        key = parameters.text("api_key") or settings.text("api_key")
        keyed = key is not None and not is_placeholder(key)
        headers: dict[str, str] = {}
        for group in ("extra_headers", "headers"):
            given = parameters.map(group)
            for name in given:
                text, at = given.text(name) or "", given.at(name)
                found = extra_header(self._draft, name, text, at, beside_a_key=keyed)
                headers.update([found] if found else [])
        organizations = [carried(text) for text, _ in parameters.texts("organization")]
        variants = [{"openai-organization": each, **headers} for each in organizations] or [headers]
        made = [self._provider(prefix, parameters, settings, each, place) for each in variants]
        return [each for each in made if each is not None]

    def _provider(
        self, prefix: str, parameters: Settings, settings: Settings, headers: dict[str, str], place: Place
    ) -> str | None:
        """The provider of an entry; None, and a finding, if there is none for it."""
        address = parameters.text("api_base") or parameters.text("base_url") or settings.text("api_base")
        key, key_place = parameters.text("api_key") or settings.text("api_key"), settings.at("api_key")
        if "api_key" in parameters:
            key_place = parameters.at("api_key")
        has_header = not headers.keys().isdisjoint(CREDENTIAL_HEADERS)
        if prefix == "azure":
            settings.ignore("api_version")
            endpoint = address or "os.environ/AZURE_API_BASE"
            credential = self._credential(key, key_place, "AZURE_API_KEY", assumed=not has_header)
            made = azure(self._draft, endpoint, credential, parameters.at("api_base"), headers)
            return None if made is None else self._draft.provider(made)
        if prefix in _CATALOGUED and address is None:
            name, variable = _CATALOGUED[prefix]
            credential = self._credential(key, key_place, variable, assumed=not has_header)
            return catalogued(self._draft, name, credential, headers)
        base, dialect = _own(prefix)
        if base is None and address is not None and not speaks_otherwise(prefix):
            base = name_of(prefix, "openai-compatible")
            reason = f"{prefix} is taken to speak OpenAI's dialect, since it has an api_base"
            self._report.changed(parameters.at("api_base"), reason, "check the provider's url")
        if base is None:
            self._report.add(place, unsupported(prefix))
            return None
        address = address or ("http://localhost:11434" if base == "ollama" else None)
        if address is None:
            self._report.left_out(place, f"{prefix} needs an api_base", "add the provider with dialect and url")
            return None
        url = base_url(self._draft, address, parameters.at("api_base"), "/v1" if base == "ollama" else "")
        if url is None:
            return None
        if key is None and prefix in _CATALOGUED and not has_header:
            variable = _CATALOGUED[prefix][1]
            reason = f"no credential is sent to this address; LiteLLM would send {variable}"
            self._report.changed(parameters.at("api_base"), reason, "add api_key to the provider if it wants one")
        variable = f"{base.upper().replace('-', '_')}_API_KEY"
        credential = self._credential(key, key_place, variable, assumed=False)
        keys = () if credential is None else (credential,)
        return self._draft.provider(Provider(base, dialect, url, keys, tuple(headers.items())))

    def _credential(self, key: str | None, place: Place, variable: str, *, assumed: bool) -> str | None:
        """The credential that is written; without one that of LiteLLM's variable, if it would be assumed."""
        text = key or (f"os.environ/{variable}" if assumed else None)
        return None if text is None else self._draft.credential(text, place, variable)

    def _aliases(self, router: Settings) -> None:
        aliases = router.map("model_group_alias")
        for alias in aliases:
            item = aliases.map(alias) if aliases.is_map(alias) else None
            name = item.text("model") if item is not None else aliases.text(alias)
            if item is not None and item.flag("hidden"):
                self._report.changed(item.at("hidden"), "lists of models show every alias")
            place = aliases.at(alias)
            if name is None or not is_model_name(alias) or "*" in alias:
                self._report.left_out(place, "an alias is a name for the name of a model", "give it another name")
            elif match(name, self._draft.models) is None:
                self._report.left_out(place, f'there is no model "{name}"', "nothing is left of it; see above")
            elif alias in self._draft.models:
                self._report.left_out(place, f'"{alias}" is a model too; the model was kept', "rename one of them")
            else:
                self._draft.models[alias] = Model(alias=name, places=[place])

    def _fallbacks(self, router: Settings, module: Settings) -> None:
        specific: dict[str, list[tuple[str, Place]]] = {}
        general = [*router.texts("default_fallbacks"), *module.texts("default_fallbacks")]
        for each in [*router.maps("fallbacks"), *module.maps("fallbacks")]:
            for name in each:
                fallbacks = each.texts(name)
                if name == "*":
                    general += fallbacks
                elif name not in self._draft.models or self._draft.models[name].alias is not None:
                    self._report.left_out(each.at(name), f'there is no model "{name}"', "nothing is left of it")
                else:
                    specific.setdefault(name, []).extend(fallbacks)
        last = {name for name, _ in general}
        for name, model in list(self._draft.models.items()):
            if model.alias is None:
                wanted = specific.get(name) or ([] if name in last else general)
                self._draft.add_fallbacks(name, wanted)

    def _deadlines(self, router: Settings, module: Settings) -> None:
        self._draft.timeouts = self._first_byte(router, "timeout") or self._first_byte(module, "request_timeout")
        of_targets = [each.timeouts for model in self._draft.models.values() for each in model.targets]
        longest = max((value for each in [self._draft.timeouts, *of_targets] for value in each.values()), default=0)
        if longest > _TOTAL:
            self._draft.timeouts["total"] = longest
        for settings in (router, module):
            retries = settings.number("num_retries")
            if retries is not None and self._draft.attempts is None:
                self._draft.attempts = min(16, int(retries) + 1)
                reason = "attempts count for the whole request, those at fallbacks included; LiteLLM counts for each"
                self._report.changed(settings.at("num_retries"), reason, "raise defaults.attempts if fallbacks starve")

    def _first_byte(self, settings: Settings, name: str) -> Timeouts:
        """LiteLLM's deadline of a whole reply; one that is not streamed begins when it is whole."""
        seconds = settings.number(name)
        if not seconds:
            return {}
        reason = "the deadline counts until a reply begins; a stream may go on as long as its pieces keep coming"
        self._report.changed(settings.at(name), reason, "see timeouts: {gap: …, total: …}")
        return {"first_byte": milliseconds(seconds)}

    def _logging(self, module: Settings) -> None:
        if module.flag("json_logs"):
            self._draft.settings["log"] = "json"

    def _keys(self, general: Settings, exports: Exports) -> None:
        access = Access(self._draft)
        master = general.text("master_key")
        if master is not None:
            place = general.at("master_key")
            key = VirtualKey(self._draft.key_hash(master, place, self._environ), comment="master_key")
            access.add_key("master", key, None, None, place)
        if exports.teams is not None:
            read_teams(exports.teams, self._draft, access)
        if exports.keys is not None:
            general.ignore("database_url")
            read_keys(exports.keys, self._draft, access, self._now)
        access.make_teams()
        self._draft.somebody_may_call(general.place)
        general.report_unread(GENERAL)


def _split(written: str, given: str | None) -> tuple[str, str]:
    """Provider and model, as LiteLLM finds them: what is given, the prefix, or what the name begins with."""
    if given is not None:
        return given, written.removeprefix(f"{given}/")
    prefix, slash, model = written.partition("/")
    if slash and (prefix in _CATALOGUED or prefix in SELF_HOSTED or prefix == "azure"):
        return prefix, model
    for provider, names in _BARE_NAMES.items():
        if not slash and names.match(written):
            return provider, written
    return prefix, model


def _upstream(prefix: str, model: str) -> str:
    """The provider's own name for a model, where LiteLLM completes or marks it."""
    if prefix == "fireworks_ai" and not model.startswith("accounts/"):
        return f"accounts/fireworks/models/{model}"
    if prefix == "azure":
        return re.sub(r"^(o_series|gpt5_series|responses)/", "", model)
    return model


def _own(prefix: str) -> tuple[str | None, str]:
    """What a provider at an address of its own is called, and what it speaks."""
    if prefix == "anthropic":
        return "anthropic-compatible", "anthropic-messages"
    if prefix in _CATALOGUED:
        known = _CATALOGUED[prefix][0]
        return "openai-compatible" if known == "openai" else f"{known}-compatible", CATALOGUE[known].dialect
    return SELF_HOSTED.get(prefix), "openai-chat"
