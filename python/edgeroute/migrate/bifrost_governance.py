"""Bifrost's governance: virtual keys, teams, rate limits and routing rules."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from edgeroute.config.models import match
from edgeroute.config.rules import rule_diagnostics
from edgeroute.migrate.access import Access, ForeignTeam
from edgeroute.migrate.bifrost_reasons import EMPTY_LISTS, GOVERNANCE, PROVIDER_CONFIG, RULE, TEAM, VIRTUAL_KEY
from edgeroute.migrate.bifrost_rules import UntranslatableError, only_model, translate
from edgeroute.migrate.draft import Draft, Limits, Model, Rule, Target, VirtualKey, slug, unique
from edgeroute.migrate.foreign import Settings
from edgeroute.migrate.report import Place

_SCOPES = ("virtual_key", "team", "customer", "global")
_MINUTE = ("1m", "60s")
_LIMITS = {"request": "requests_per_minute", "token": "tokens_per_minute"}


class Account(Protocol):
    """What is asked of an account here; see `bifrost.Account`."""

    name: str
    models: list[str] | None
    weight: float
    keys: set[str]

    def serves(self, model: str) -> bool:
        """Whether it serves a model."""
        ...

    def target(self, model: str, share: float = 1) -> Target:
        """The account as a target."""
        ...


class Governance:
    """Reads the section `governance` into a draft whose models are there already."""

    def __init__(
        self,
        draft: Draft,
        settings: Settings,
        accounts: Mapping[str, Sequence[Account]],
        environ: Mapping[str, str],
        now: datetime,
    ) -> None:
        self._draft = draft
        self._report = draft.report
        self._settings = settings
        self._accounts = accounts
        self._environ = environ
        self._now = now
        self._access = Access(draft)
        self._keys = settings.maps("virtual_keys")
        self._rate_limits = {each.text("id"): each for each in settings.maps("rate_limits")}
        self._people: dict[str, dict[str, list[str]]] = {}
        self._customers: dict[str, list[str]] = {}
        self.empty_is_all = False
        self.place = settings.place

    def weight(self, provider: str, among: Sequence[str]) -> float:
        """How often virtual keys choose a provider among those that serve a bare name."""
        found: set[float] = set()
        for key in self._keys:
            configured = {each.text("provider"): each for each in key.maps("provider_configs")}
            if provider in configured and len(configured.keys() & set(among)) > 1:
                weight = configured[provider].number("weight")
                found.add(1 if weight is None else weight)
        if len(found) > 1:
            reason = "the weights of providers differ between virtual keys; here a model has one set of weights"
            self._report.changed(self._settings.at("virtual_keys"), reason, "see the weights under models")
        return found.pop() if len(found) == 1 else 1

    def read(self) -> None:
        """Reads teams, then keys, then rules, which name both."""
        for team in self._settings.maps("teams"):
            self._team(team)
        for key in self._keys:
            self._key(key)
        self._access.make_teams()
        for customer in self._settings.maps("customers"):
            self._customer(customer)
        rules = [*self._settings.maps("routing_rules")]
        rules.sort(key=lambda rule: (_scope(rule), rule.number("priority") or 0))
        for rule in rules:
            self._rule(rule)
        self._settings.report_unread(GOVERNANCE)

    def _team(self, team: Settings) -> None:
        identifier, name = team.text("id"), team.text("name")
        identifier = identifier or name
        if identifier is None:
            self._report.left_out(team.place, "a team needs an id or a name")
            return
        self._access.add_team(identifier, ForeignTeam(name or identifier, None, self._limits(team), team.place))
        customer = team.text("customer_id")
        if customer is not None:
            self._customers.setdefault(customer, []).append(f"team {identifier}")
        team.report_unread(TEAM)

    def _key(self, key: Settings) -> None:
        value, name = key.text("value"), key.text("name") or key.text("id") or "key"
        identifier = key.text("id")
        if not key.flag("is_active", otherwise=True):
            self._report.left_out(key.place, "the key is not active", "nobody can use it")
            return
        if value is None:
            reason = "the key has no value here: Bifrost made one and keeps it in its database"
            self._report.left_out(key.place, reason, "make a new one: edgeroute keys new")
            return
        expiry = key.text("expires_at")
        if expiry is not None and self._draft.has_expired(expiry, key.at("expires_at"), self._now):
            return
        team, customer = key.text("team_id"), key.text("customer_id")
        if team is not None and not self._access.knows(team):
            self._report.left_out(key.at("team_id"), f'there is no team "{team}"', "the key was left out with it")
            return
        models = self._models(key)
        made = VirtualKey(self._draft.key_hash(value, key.at("value"), self._environ), limits=self._limits(key))
        ours = self._access.add_key(name, made, team, models, key.place)
        if ours is None:
            return
        for each, text in (("virtual_key_name", key.text("name")), ("virtual_key_id", identifier)):
            self._person(each, text, f"virtual_key_name {ours}")
        if customer is not None:
            self._customers.setdefault(customer, []).append(f"key {ours}")
        key.report_unread(VIRTUAL_KEY)

    def _models(self, key: Settings) -> tuple[str, ...] | None:
        """The public models that a key may ask for; None if all."""
        configs = key.maps("provider_configs")
        if key.flag("allow_all_providers") or (not configs and self.empty_is_all):
            return None
        if not configs:
            reason = "without provider_configs a key may use no provider since Bifrost 1.5; until 1.4 it meant all"
            self._report.left_out(key.place, reason, EMPTY_LISTS)
        allowed: dict[str, list[str] | None] = {}
        for config in configs:
            provider = config.text("provider") or ""
            names = [text for text, _ in config.texts("allowed_models")]
            everything = "*" in names or (not names and self.empty_is_all)
            config.ignore("weight", "id", "name")
            if provider not in self._accounts:
                self._report.left_out(config.place, f'provider "{provider}" was not carried', "see above")
                continue
            if any(text != "*" for text, _ in config.texts("key_ids")):
                reason = "a virtual key cannot choose among the credentials of a provider"
                self._report.changed(config.at("key_ids"), reason, "name the provider's targets in a model of its own")
            if not names and not everything:
                reason = "without allowed_models a key may use none of them since Bifrost 1.5; until 1.4 it meant all"
                self._report.left_out(config.place, reason, EMPTY_LISTS)
            config.report_unread(PROVIDER_CONFIG)
            allowed[provider] = None if everything else names
        found = tuple(name for name, model in self._draft.models.items() if self._may(name, model, allowed))
        extra: list[str] = []
        for provider, names in allowed.items():
            for each in names or []:
                extra += [f"{provider}/{each}"] if match(f"{provider}/{each}", self._draft.models) else []
                covering = match(each, self._draft.models)
                if covering is not None and self._providers(self._draft.models[covering]) == {provider}:
                    extra.append(each)
        if len(found) == len(self._draft.models):
            return None
        others = [name for name in self._draft.models if name not in found]
        covering = {name for name in found if name.endswith("*") and any(each.startswith(name[:-1]) for each in others)}
        for name in covering:
            reason = f'"{name}" would also allow models of providers that the key may not use'
            self._report.left_out(key.place, reason, "let its clients name the provider too: provider/model")
        self._report_bare(key, allowed, extra)
        return tuple(dict.fromkeys(name for name in [*found, *extra] if name not in covering))

    def _report_bare(self, key: Settings, allowed: Mapping[str, list[str] | None], extra: Sequence[str]) -> None:
        """Reports bare names of models that the key has at its providers, and that others serve too."""
        for name, model in self._draft.models.items():
            others = self._providers(model) - allowed.keys()
            theirs = [each for each in allowed if f"{each}/{name}" in self._draft.models or f"{each}/{name}" in extra]
            if theirs and others:
                reason = f'"{name}" is also served by providers that this key may not use'
                alias = f"{name}: {theirs[0]}/{name}"
                advice = f"let its clients ask for {theirs[0]}/{name}, or add to its team: aliases: {{{alias}}}"
                self._report.changed(key.place, reason, advice)

    def _may(self, name: str, model: Model, allowed: Mapping[str, list[str] | None]) -> bool:
        """Whether all that serves a public name is allowed."""
        for provider in self._providers(model):
            names = allowed.get(provider, [])
            if names is not None and name.removeprefix(f"{provider}/") not in names:
                return False
        return True

    def _providers(self, model: Model) -> set[str]:
        """The providers, by Bifrost's names, that serve a public model."""
        ours = {target.name.partition("/")[0] for target in model.targets}
        return {name for name, found in self._accounts.items() if any(each.name in ours for each in found)}

    def _limits(self, owner: Settings) -> Limits:
        """The limits that somebody refers to; only windows of a minute can be carried."""
        limits: Limits = {}
        for identifier, place in [*owner.texts("rate_limit_id"), *owner.texts("rate_limit_ids")]:
            found = self._rate_limits.get(identifier)
            if found is None:
                self._report.left_out(place, f'there is no rate limit "{identifier}"')
                continue
            for theirs, ours in _LIMITS.items():
                most, window = found.number(f"{theirs}_max_limit"), found.text(f"{theirs}_reset_duration")
                if not most:
                    continue
                if window in _MINUTE:
                    limits[ours] = max(1, int(most))
                else:
                    advice = f"limit with {ours} if bursts must be bounded"
                    where = found.at(f"{theirs}_reset_duration")
                    self._report.left_out(where, f"limits count in minutes, not in windows of {window}", advice)
        return limits

    def _customer(self, customer: Settings) -> None:
        identifier = customer.text("id") or ""
        for member in self._customers.get(identifier, []):
            kind, _, name = member.partition(" ")
            ours = [f"virtual_key_name {name}"]
            if kind == "team":
                ours = [f"team_name {each}" for each in self._access.teams_of(name)]
            for each in ours:
                self._person("customer_id", identifier, each)
                self._person("customer_name", customer.text("name"), each)
        reason = "customers come later; a team is the largest group now"
        self._report.left_out(customer.place, reason, "put its limits into its teams")

    def _person(self, variable: str, theirs: str | None, ours: str) -> None:
        if theirs is not None:
            self._people.setdefault(variable, {}).setdefault(theirs, []).append(ours)

    def _rule(self, rule: Settings) -> None:
        name = rule.text("name") or rule.text("id") or "rule"
        if not rule.flag("enabled", otherwise=True):
            self._report.left_out(rule.place, "the rule is switched off", "nothing is lost")
            return
        written = rule.text("cel_expression") or "true"
        names = {**self._people, **self._teams()}
        where = rule.at("cel_expression")
        try:
            condition = translate(written, names)
            scope = _SCOPES[_scope(rule)]
            if scope != "global":
                owner = translate(f'{scope}_id == "{rule.text("scope_id") or ""}"', names)
                condition = owner if condition == "true" else f"{owner} && ({condition})"
        except UntranslatableError as problem:
            self._report.left_out(where, f"the rule cannot be carried: {problem}", "write it anew; see docs/migrate.md")
            return
        problems = rule_diagnostics([condition])
        if problems:
            reason = f"the rule cannot be carried: {problems[0].message}"
            self._report.left_out(where, reason, problems[0].advice or "see docs/reference/rules.md")
            return
        taken = {each.name: each for each in self._draft.rules}
        if re.search(r"\bprovider\s*(==|!=|in\b)", written):
            reason = "a rule on `provider` matches only those who name it: provider/model"
            self._report.changed(where, reason, "add conditions on bare names of models")
        label = unique(slug(name, "rule"), taken)
        model = self._destination(label, rule, only_model(written))
        if model is None:
            return
        if rule.flag("chain_rule"):
            self._report.changed(rule.at("chain_rule"), "the first match decides; rules are not chained")
        shown = " ".join(f"line {rule.place.line}, {name}: {written}".split())
        self._draft.rules.append(Rule(label, condition, model, shown, rule.place))
        rule.ignore("description", "id")
        rule.report_unread(RULE)

    def _teams(self) -> dict[str, dict[str, list[str]]]:
        teams: dict[str, dict[str, list[str]]] = {"team_id": {}, "team_name": {}}
        for team in self._settings.maps("teams"):
            identifier = team.text("id") or team.text("name") or ""
            ours = [f"team_name {each}" for each in self._access.teams_of(identifier)]
            if ours:
                teams["team_id"][identifier] = ours
                teams["team_name"].setdefault(team.text("name") or identifier, []).extend(ours)
        return teams

    def _destination(self, label: str, rule: Settings, only: str | None) -> str | None:
        """The model that a rule chooses; made for it where it has several targets or fallbacks of its own."""
        targets, public = self._targets(rule, only)
        fallbacks = self._fallbacks(rule, only)
        if not targets:
            return None
        if len(public) == 1 and not fallbacks:
            return public[0]
        name = unique(f"rule-{label}", self._draft.models)
        self._draft.models[name] = Model(targets=targets, places=[rule.place])
        self._draft.add_fallbacks(name, fallbacks)
        return name

    def _targets(self, rule: Settings, only: str | None) -> tuple[list[Target], list[str]]:
        targets: dict[str, Target] = {}
        public: list[str] = []
        for each in rule.maps("targets"):
            provider, model = each.text("provider"), each.text("model") or only
            weight = each.number("weight")
            pinned = each.text("key_id") or each.text("provider_key_name")
            name = self._public(provider, model, each.place)
            if name is None or model is None:
                continue
            public.append(name)
            for target in self._serving(provider, model, name, 1 if weight is None else weight, pinned, each):
                known = targets.setdefault(target.name, target)
                known.weight += target.weight if known is not target else 0
        return list(targets.values()), public

    def _serving(
        self, provider: str | None, model: str, name: str, weight: float, pinned: str | None, each: Settings
    ) -> list[Target]:
        """The targets behind `provider/model`, which share a weight."""
        accounts = [account for account in self._accounts.get(provider or "", []) if account.serves(model)]
        if pinned is not None:
            chosen = [account for account in accounts if account.keys == {pinned}]
            if not chosen:
                reason = "a rule cannot choose among the credentials of a provider"
                self._report.changed(each.at("key_id"), reason, "any of them is used")
            accounts = chosen or accounts
        if not accounts:
            public = self._draft.models[match(name, self._draft.models) or name]
            return [Target(_filled(target.name, model), target.weight * weight) for target in public.targets]
        total = sum(account.weight for account in accounts) or 1
        return [account.target(model, weight / total) for account in accounts]

    def _fallbacks(self, rule: Settings, only: str | None) -> list[tuple[str, Place]]:
        found: list[tuple[str, Place]] = []
        if rule.holds_maps("fallbacks"):
            for each in rule.maps("fallbacks"):
                name = self._public(each.text("provider"), each.text("model") or only, each.place)
                found += [] if name is None else [(name, each.place)]
            return found
        for text, place in rule.texts("fallbacks"):
            provider, _, model = text.partition("/")
            name = self._public(provider, model or only, place)
            found += [] if name is None else [(name, place)]
        return found

    def _public(self, provider: str | None, model: str | None, place: Place) -> str | None:
        """The public name of `provider/model`, if it is served."""
        if model is None:
            reason = "a rule names one model; it cannot keep the client's model and change the provider"
            advice = "write a rule for each model: when: 'model == \"NAME\"', model: PROVIDER/NAME"
            self._report.left_out(place, reason, advice)
            return None
        name = model if provider is None else f"{provider}/{model}"
        if match(name, self._draft.models) is None:
            self._report.left_out(place, f'there is no model "{name}"', "its provider was not carried, or lacks it")
            return None
        return name


def _scope(rule: Settings) -> int:
    scope = rule.text("scope") or "global"
    return _SCOPES.index(scope) if scope in _SCOPES else len(_SCOPES) - 1


def _filled(target: str, model: str) -> str:
    return target[:-1] + model if target.endswith("*") else target
