"""Bifrost's config.json as a draft of ours.

What its settings mean is taken from Bifrost's documentation (deployment guides for config.json, routing rules,
governance). Clients ask Bifrost for `provider/model` or for a bare model; both names are made here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase

from edgeroute.config.diagnostics import Source
from edgeroute.migrate.bifrost_governance import Governance
from edgeroute.migrate.bifrost_reasons import AZURE, CLIENT, EMPTY_LISTS, KEY, NETWORK, PLUGINS, PROVIDER, TOP
from edgeroute.migrate.caches import read_bifrost_cache
from edgeroute.migrate.draft import (
    Draft,
    Model,
    Provider,
    Target,
    Timeouts,
    is_model_name,
    is_placeholder,
    milliseconds,
    name_of,
)
from edgeroute.migrate.foreign import Settings, carried, read_settings, variables
from edgeroute.migrate.report import Place, Reason, reason_for
from edgeroute.migrate.untranslated import report_untranslated
from edgeroute.migrate.upstreams import SELF_HOSTED, azure, base_url, extra_header, unsupported
from edgeroute.providers import CATALOGUE

_CATALOGUED = {"gemini": "google"} | {
    name: name
    for name in (
        "openai", "anthropic", "cerebras", "deepseek", "fireworks", "groq", "mistral", "nebius", "openrouter",
        "perplexity", "xai",
    )
}  # fmt: skip
"""Bifrost's name: ours."""

_PROXY = re.compile(r"env\.\w+|http://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?")
_BARE_NAMES = {
    "openai": ("gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "text-embedding-*"),
    "anthropic": ("claude-*",),
    "gemini": ("gemini-*",),
    "deepseek": ("deepseek-*",),
    "xai": ("grok-*",),
}
"""What Bifrost's catalogue of models gives to a provider when a client names only the model."""


@dataclass(slots=True)
class Account:
    """Keys of a provider that serve the same models at one address; `models` is None if they serve all."""

    name: str
    models: list[str] | None
    aliases: dict[str, str]
    weight: float
    timeouts: Timeouts
    place: Place
    keys: set[str] = field(default_factory=set[str])

    def serves(self, model: str) -> bool:
        """Whether a client may ask this account for a model."""
        return self.models is None or model in self.models or model in self.aliases

    def is_like(self, other: "Account") -> bool:
        """Whether both serve the same models under the same names, equally often."""
        return (self.models, self.aliases, self.weight) == (other.models, other.aliases, other.weight)

    def target(self, model: str, share: float = 1) -> Target:
        """The account as a target for a model."""
        upstream = self.aliases.get(model, model)
        return Target(f"{self.name}/{carried(upstream)}", self.weight * share, timeouts=dict(self.timeouts))


@dataclass(slots=True)
class _Made:
    """What becomes one provider of ours, as far as it is read."""

    provider: Provider
    account: Account
    credentials: list[str]


@dataclass(frozen=True, slots=True)
class _Section:
    """A provider of Bifrost's; `base` is what kind it is, `made` what its keys became so far."""

    name: str
    base: str
    network: Settings
    headers: tuple[tuple[str, str], ...]
    proxy: str | None
    timeouts: Timeouts
    made: list[_Made] = field(default_factory=list[_Made])


def import_bifrost(source: Source, environ: Mapping[str, str], now: datetime) -> Draft:
    """A Bifrost configuration as a draft, without keys that have expired by `now`.

    Raises ConfigError if the file is not JSON with an object at its top.
    """
    return _Bifrost(source, environ, now).imported()


class _Bifrost:
    def __init__(self, source: Source, environ: Mapping[str, str], now: datetime) -> None:
        self._now = now
        self._draft = Draft(reserved=variables(source))
        self._report = self._draft.report
        self._environ = environ
        self._top = read_settings(source, self._report)
        self._empty_is_all = self._top.number("version") == 1
        self._accounts: dict[str, list[Account]] = {}

    def imported(self) -> Draft:
        providers = self._top.map("providers")
        for name in providers:
            self._provider(name, providers.map(name))
        self._share_timeouts()
        governance = Governance(self._draft, self._top.map("governance"), self._accounts, self._environ, self._now)
        governance.empty_is_all = self._empty_is_all
        self._models(governance)
        governance.read()
        self._client(self._top.map("client"))
        self._draft.somebody_may_call(governance.place)
        for plugin in self._top.maps("plugins"):
            if plugin.flag("enabled", otherwise=True):
                name = plugin.text("name") or "plugin"
                if name.startswith("semantic_cache"):
                    read_bifrost_cache(self._draft, plugin)
                else:
                    self._report.add(plugin.place, reason_for(name, PLUGINS, TOP["plugins"]))
        self._top.report_unread(TOP)
        report_untranslated(self._draft)
        return self._draft

    def _provider(self, name: str, settings: Settings) -> None:
        custom = settings.map("custom_provider_config")
        base = custom.text("base_provider_type") or name
        custom.ignore("is_key_less")
        custom.report_unread(PROVIDER)
        if base not in _CATALOGUED and base not in SELF_HOSTED and base != "azure":
            self._report.add(settings.place, unsupported(base), first=True)
            return
        network = settings.map("network_config")
        retries = network.number("max_retries")
        if retries is not None:
            self._draft.attempts = min(16, max(3, self._draft.attempts or 0, int(retries) + 1))
            reason = "attempts count for the whole request, those at fallbacks included, for all providers alike"
            self._report.changed(network.at("max_retries"), reason, "see defaults.attempts")
        keys = settings.maps("keys")
        used = [each for each in keys if each.flag("enabled", otherwise=True)]
        keyed = not all(is_placeholder(each.text("value") or "") for each in used)
        headers: dict[str, str] = {}
        given = network.map("extra_headers")
        for header in given:
            text, place = given.text(header) or "", given.at(header)
            found = extra_header(self._draft, header, text, place, beside_a_key=keyed)
            headers.update([found] if found else [])
        proxy = self._proxy(settings.map("proxy_config")) or self._proxy(network.map("proxy_config"))
        section = _Section(name, base, network, tuple(headers.items()), proxy, _timeouts(network))
        for key in keys:
            if key.flag("enabled", otherwise=True):
                self._key(section, key)
            else:
                self._report.add(key.place, Reason("not needed", "the key is switched off"))
        if not keys and "base_url" in network and base != "azure":
            provider = self._at(section, network.text("base_url"), network.at("base_url"))
            if provider is not None:
                account = Account("", None, {}, 1, section.timeouts, settings.place)
                section.made.append(_Made(provider, account, []))
        if not section.made:
            cause, advice = ("none of its keys is left", "see them below") if keys else ("it has no keys", "add them")
            why = Reason("left out", f'nothing is left of provider "{name}": {cause}', f"{advice}, and import again")
            self._report.add(settings.place, why, first=True)
        for each in section.made:
            self._add(name, each)
        network.report_unread(NETWORK)
        settings.report_unread(PROVIDER)

    def _key(self, section: _Section, key: Settings) -> None:
        """One key of a provider: joins those it differs from only in the credential, or is an account of its own."""
        models, aliases = self._served(key)
        own, place = key.map(f"{section.base}_key_config"), key.at("value")
        variable = f"{re.sub(r'[^A-Z0-9]+', '_', section.name.upper())}_API_KEY"
        credential = self._draft.credential(key.text("value") or "", place, variable)
        credentials = [] if credential is None else [credential]
        address, where = section.network.text("base_url"), section.network.at("base_url")
        if section.base == "azure":
            aliases |= self._aliases(own.map("deployments"))
            if credential is None:
                self._report.left_out(place, "tokens of Microsoft Entra ID are not fetched", "use an API key")
                return
            endpoint = own.text("endpoint") or address or "env.AZURE_ENDPOINT"
            provider = azure(self._draft, endpoint, credential, own.at("endpoint"), dict(section.headers))
            provider = None if provider is None else replace(provider, proxy=section.proxy)
            credentials = []
            own.report_unread(AZURE)
        else:
            upstream = own.text("model_name")
            if upstream is not None and _is_alias("", upstream):
                aliases |= dict.fromkeys(models or [], upstream)
                if models is None:
                    reason = "the key serves all models, so each goes under the name that the client wrote"
                    self._report.changed(own.at("model_name"), reason, "name the models that it stands for")
            provider = self._at(section, own.text("url") or address, own.at("url") if "url" in own else where)
        weight = key.number("weight")
        if weight == 0:
            self._report.left_out(key.at("weight"), "a key of weight 0 is not drawn", "give it a weight")
            return
        account = Account("", models, aliases, 1 if weight is None else weight, section.timeouts, key.place)
        account.keys = {text for text in (key.text("name"), key.text("id")) if text is not None}
        key.report_unread(KEY)
        if provider is None or (models == [] and not aliases):
            return
        for each in section.made:
            if each.provider == provider and each.account.is_like(account) and credentials:
                each.credentials += [one for one in credentials if one not in each.credentials]
                each.account.keys |= account.keys
                return
        section.made.append(_Made(provider, account, credentials))

    def _at(self, section: _Section, address: str | None, place: Place) -> Provider | None:
        """A provider without its credentials. Bifrost adds /v1 to an address itself."""
        ours = _CATALOGUED.get(section.base) or SELF_HOSTED[section.base]
        dialect = CATALOGUE[ours].dialect if ours in CATALOGUE else "openai-chat"
        if address is None and section.name == section.base and ours in CATALOGUE:
            return Provider(ours, None, None, (), section.headers, section.proxy)
        if address is None:
            self._report.left_out(place, f"{section.name} needs an address", "add the provider with dialect and url")
            return None
        url = base_url(self._draft, address, place, "" if dialect == "anthropic-messages" else "/v1")
        if url is None:
            return None
        name = ours if section.name == section.base else name_of(section.name, "provider")
        known = name in CATALOGUE and CATALOGUE[name].dialect == dialect
        return Provider(name, None if known else dialect, url, (), section.headers, section.proxy)

    def _add(self, name: str, made: _Made) -> None:
        """Makes the provider of an account. Only the first of a provider of the catalogue may leave out what it is."""
        first, base = made.provider, made.provider.base
        if first.dialect is None and base in self._draft.providers:
            known = CATALOGUE[base]
            first = replace(first, dialect=known.dialect, url=first.url or known.url)
        made.account.name = self._draft.provider(replace(first, api_keys=tuple(made.credentials)))
        self._accounts.setdefault(name, []).append(made.account)

    def _served(self, key: Settings) -> tuple[list[str] | None, dict[str, str]]:
        """The models of a key (None: all), and what the names it gives to models mean."""
        names = [text for text, _ in key.texts("models")]
        aliases = self._aliases(key.map("aliases"))
        excluded = [text for text, _ in key.texts("blacklisted_models")]
        if "*" in names or (not names and (self._empty_is_all or not key.is_list("models"))):
            if not names and not self._empty_is_all:
                reason = "the key names no models; it is taken to serve all"
                self._report.changed(key.place, reason, 'write "models": ["*"], or name them')
            if excluded:
                reason = "a key that serves all models but some is not known here"
                self._report.left_out(key.at("blacklisted_models"), reason, "write a rule that rejects them")
            return None, aliases
        if not names:
            reason = "an empty list of models means none since Bifrost 1.5; until 1.4 it meant all"
            self._report.left_out(key.at("models"), reason, EMPTY_LISTS)
        return [each for each in names if each not in excluded and is_model_name(each)], aliases

    def _aliases(self, given: Settings) -> dict[str, str]:
        """What names of models stand for."""
        aliases: dict[str, str] = {}
        for alias in given:
            upstream = None if given.is_map(alias) else given.text(alias)
            if upstream is not None and _is_alias(alias, upstream):
                aliases[alias] = upstream
            else:
                self._report.left_out(given.at(alias), "only an alias that is a name for a name is carried")
        return aliases

    def _proxy(self, proxy: Settings) -> str | None:
        kind, address = proxy.text("type"), proxy.text("url")
        user, password = proxy.text("username"), proxy.text("password")
        if "ca_cert_pem" in proxy:
            place = proxy.at("ca_cert_pem")
            self._report.left_out(place, "a proxy has no authority of its own here", "trust it system-wide")
        if kind != "http" or address is None:
            if kind not in (None, "none", "environment"):
                self._report.left_out(proxy.at("type"), f'"{kind}" proxies are not supported', "use one of type http")
            return None
        if not _PROXY.fullmatch(address):
            self._report.left_out(proxy.at("url"), "this is not the http:// address of a proxy", "set proxy yourself")
            return None
        if user is None or address.startswith("env."):
            return carried(address)
        name = self._draft.credential(user, proxy.at("username"), "PROXY_USER")
        secret = self._draft.credential(password or "", proxy.at("password"), "PROXY_PASSWORD")
        return f"http://{name}:{secret}@{address.removeprefix('http://')}"

    def _share_timeouts(self) -> None:
        """Deadlines that all accounts share stand in `defaults`."""
        accounts = [each for found in self._accounts.values() for each in found]
        shared = accounts[0].timeouts if accounts else Timeouts()
        longest = max((value for each in accounts for value in each.timeouts.values()), default=0)
        if all(each.timeouts == shared for each in accounts):
            self._draft.timeouts = dict(shared)
            for each in accounts:
                each.timeouts = Timeouts()
        if longest > 15 * 60_000:
            self._draft.timeouts["total"] = longest

    def _models(self, governance: Governance) -> None:
        """`provider/model` for all that is served, and bare names as Bifrost's catalogue would find them."""
        bare: dict[str, list[str]] = {}
        for provider, accounts in self._accounts.items():
            named = dict.fromkeys(model for each in accounts for model in [*(each.models or []), *each.aliases])
            for model in [*named, *(["*"] if any(each.models is None for each in accounts) else [])]:
                serving = [each for each in accounts if each.serves(model)]
                targets = [each.target(model) for each in serving]
                if not is_model_name(f"{provider}/{model}"):
                    reason = f'"{provider}/{model}" cannot be the name of a model'
                    self._report.left_out(self._top.at("providers"), reason, "rename the provider")
                    continue
                self._draft.models[f"{provider}/{model}"] = Model(
                    targets=targets, places=[each.place for each in serving]
                )
                if "/" not in model and model != "*":
                    bare.setdefault(model, []).append(provider)
        for model, providers in bare.items():
            providers += [each for each in self._serving_all(model) if each not in providers]
            self._bare(model, providers, governance)
        for provider, patterns in _BARE_NAMES.items():
            if f"{provider}/*" in self._draft.models:
                for pattern in patterns:
                    self._bare(pattern, [provider], governance)

    def _serving_all(self, model: str) -> list[str]:
        """Providers that serve all their models, of which this is one by its name."""
        return [
            provider
            for provider, patterns in _BARE_NAMES.items()
            if f"{provider}/*" in self._draft.models and any(fnmatchcase(model, each) for each in patterns)
        ]

    def _bare(self, model: str, providers: list[str], governance: Governance) -> None:
        """A model by its name alone, at the providers that serve it."""
        if model in self._draft.models:
            return
        targets: list[Target] = []
        places: list[Place] = []
        for provider in providers:
            accounts = [each for each in self._accounts[provider] if each.serves(model)]
            total = sum(each.weight for each in accounts)
            targets += [each.target(model, governance.weight(provider, providers) / total) for each in accounts]
            places += [each.place for each in accounts]
        if targets:
            self._draft.models[model] = Model(targets=targets, places=places)

    def _client(self, client: Settings) -> None:
        size = client.number("max_request_body_size_mb")
        if size:
            self._draft.settings["max_body"] = f"{min(1024, max(1, int(size)))}MiB"
        if "enforce_auth_on_inference" in client and not client.flag("enforce_auth_on_inference"):
            reason = "every request needs a virtual key"
            self._report.changed(client.at("enforce_auth_on_inference"), reason, "give one to those who had none")
        client.report_unread(CLIENT)


def _timeouts(network: Settings) -> Timeouts:
    found = {
        "first_byte": network.number("default_request_timeout_in_seconds"),
        "gap": network.number("stream_idle_timeout_in_seconds"),
    }
    return {name: milliseconds(value) for name, value in found.items() if value}


def _is_alias(alias: str, upstream: str) -> bool:
    """Whether one name can stand for another."""
    return is_model_name(alias or "any") and is_model_name(upstream) and "*" not in alias + upstream
