"""Words that people bring from other gateways, and words of ours that this version does not enforce yet."""

import re
from collections.abc import Collection

_BUDGETS = "budgets come later; until then write limits: {tokens_per_minute: …}"
_KEYS = 'clients authenticate with virtual_keys: {NAME: {hash: "sha256:…"}}'
HASH = 'write hash: "sha256:…": `edgeroute keys new` makes a key and its hash, `edgeroute keys hash` the hash of yours'
_TLS = "write tls: {certificate: FILE, key: FILE}, at the top of the file"
_VERIFIED = "certificates are always verified; trust an authority of your own with ca_file"
_PROXY = "write proxy: http://host:port in the provider, or set HTTPS_PROXY in the environment"
_ADMIN = 'write admin_key: "${EDGEROUTE_ADMIN_KEY}", at the top of the file'
_FORWARDED = "write trusted_proxies: [10.0.0.0/8], at the top of the file"
_STRATEGY = "write strategy in each model: strategy: least-load"
_PRICE = "write price: {input: …, cached_input: …, output: …} in the target, each per million tokens"
_IN_MODELS = "write it in each model: cache: {mode: exact, ttl: 1h}"
_SIMILARITY = "write it in each model: cache: {mode: semantic, threshold: 0.95}"
_EMBEDS = "edgeroute embeds questions itself; for another one write embedder: provider/model in a model's cache"
_OF_PROVIDER = "add a provider with it, and write target: provider/model"
_REDIS = "write redis: redis://user:password@host:6379"
_PLACE = "where answers are kept stands at the top of the file: cache: {path: FOLDER, size: 256MiB, redis: URL}"
_ALWAYS_IN_KEY = "requests that differ in model, provider, system prompt or tools never share an answer"
_CACHE = "write cache: exact, or semantic, in each model; where answers are kept is cache: {path: FOLDER} at the top"
_TOP = "write each setting at the top of the file; see `edgeroute schema`"

# What to write instead of a setting of another gateway.
FOREIGN = {
    "rpm": "write requests_per_minute, under limits",
    "rpm_limit": "write requests_per_minute, under limits",
    "tpm": "write tokens_per_minute, under limits",
    "tpm_limit": "write tokens_per_minute, under limits",
    "max_parallel_requests": "write concurrency, under limits",
    "max_requests": "write concurrency, under limits",
    "rate_limit": "write limits: {requests_per_minute: …, tokens_per_minute: …}",
    "api_base": "write url, or urls for several replicas",
    "base_url": "write url, or urls for several replicas",
    "endpoint": "write url, or urls for several replicas",
    "key": "write api_key",
    "keys": "write api_key, or api_keys for several; for clients write virtual_keys",
    "token": "write api_key",
    "type": "write dialect: openai-chat or anthropic-messages",
    "value": "a credential is text: api_key, or api_keys: [ONE, OTHER]",
    "organization": "write headers: {openai-organization: …}",
    "extra_headers": "write headers: {NAME: VALUE}",
    "default_headers": "write headers: {NAME: VALUE}",
    "custom_headers": "write headers: {NAME: VALUE}",
    "network_config": "write url, headers and proxy in the provider, and timeouts under defaults",
    "proxy_config": _PROXY,
    "proxy_url": _PROXY,
    "http_proxy": _PROXY,
    "https_proxy": _PROXY,
    "no_proxy": "the environment has it: NO_PROXY=host,.domain,10.0.0.0/8",
    "ssl_verify": _VERIFIED,
    "insecure_skip_verify": _VERIFIED,
    "verify": _VERIFIED,
    "ca_cert": "write ca_file: the path of a PEM file",
    "ca_cert_pem": "write ca_file: the path of a PEM file",
    "cafile": "write ca_file: the path of a PEM file",
    "ssl_certfile": _TLS,
    "ssl_certfile_path": _TLS,
    "ssl_keyfile": _TLS,
    "ssl_keyfile_path": _TLS,
    "cert": _TLS,
    "cert_file": _TLS,
    "key_file": _TLS,
    "admin_password": _ADMIN,
    "admin_token": _ADMIN,
    "ui_password": _ADMIN,
    "forwarded_allow_ips": _FORWARDED,
    "use_x_forwarded_for": _FORWARDED,
    "set_real_ip_from": _FORWARDED,
    "shutdown_timeout": "write drain: 30s; drain_delay is how long /readyz answers 503 before",
    "grace_period": "write drain: 30s; drain_delay is how long /readyz answers 503 before",
    "max_budget": _BUDGETS,
    "budget_duration": _BUDGETS,
    "soft_budget": _BUDGETS,
    "model_list": "write models: {NAME: provider/model}; `edgeroute import litellm` converts the whole file",
    "model_name": "the name is the key: models: {NAME: provider/model}",
    "model_group_alias": "an alias is a model too: models: {ALIAS: NAME}",
    "litellm_params": "write models: {NAME: provider/model}, and the key and URL under providers",
    "litellm_settings": _TOP,
    "general_settings": f"{_KEYS}; other settings stand at the top of the file",
    "router_settings": "write defaults: {attempts: …, timeouts: {…}}, and strategy and fallbacks in each model",
    "routing_strategy": _STRATEGY,
    "routing_strategy_args": _STRATEGY,
    "load_balancing": _STRATEGY,
    "loadBalancing": _STRATEGY,
    "lb_policy": _STRATEGY,
    "balance": _STRATEGY,
    "mean_load_percentage": "write strategy: {name: bounded-hash, load_factor: 1.25}",
    "meanLoadPercentage": "write strategy: {name: bounded-hash, load_factor: 1.25}",
    "hash_balance_factor": "write strategy: {name: bounded-hash, load_factor: 1.25}",
    "input_cost_per_token": _PRICE,
    "output_cost_per_token": _PRICE,
    "cache_read_input_token_cost": _PRICE,
    "replicas": "write urls: [ONE, OTHER], or discover: {dns: …} to find them",
    "backends": "write urls: [ONE, OTHER], or discover: {dns: …} to find them",
    "service_discovery": "write discover: {dns: …}, {srv: …} or {file: …}",
    "master_key": _KEYS,
    "num_retries": "write defaults: {attempts: …}",
    "retries": "write defaults: {attempts: …}",
    "max_retries": "write defaults: {attempts: …}",
    "timeout": "write defaults: {timeouts: {connect: …, first_byte: …, gap: …, total: …}}",
    "request_timeout": "write defaults: {timeouts: {total: …}}",
    "stream_timeout": "write defaults: {timeouts: {gap: …}}",
    "default_fallbacks": "write fallbacks in each model",
    "context_window_fallbacks": "write fallbacks in the model",
    "weight": "weights stand in a map: targets: {provider/model: 80, other/model: 20}",
    "condition": "write when",
    "cel_expression": "write when",
    "expression": "write when",
    "match": "write when",
    "if": "write when",
    "action": "write model: NAME, or reject: MESSAGE",
    "then": "write model: NAME, or reject: MESSAGE",
    "params": "fields of the body stand under body: set: {body: {temperature: 0.2}}",
    "set_params": "write set: {body: {temperature: 0.2}}",
    "set_headers": "write set: {headers: {NAME: VALUE}}",
    "remove_params": "write remove: {body: [NAME]}",
    "remove_headers": "write remove: {headers: [NAME]}",
    "chain_rule": "write continue: true",
    "scope": "write virtual_key: NAME or team: NAME; a rule without either is for everybody",
    "scope_id": "write virtual_key: NAME or team: NAME",
    "target": "in a rule write model: NAME; in a model targets, where a map has provider/model as its key",
    "routing_rules": "write rules",
    "port": "write listen: 127.0.0.1:4000",
    "host": "write listen: 127.0.0.1:4000",
    "bind": "write listen: 127.0.0.1:4000",
    "num_workers": "write workers",
    "log_level": "write log: text or log: json; every request is one line",
    "api_key_hash": HASH,
    "users": "write virtual_keys, grouped by teams",
    "cache_params": _CACHE,
    "caching": _CACHE,
    "semantic_cache": _CACHE,
}

# The same in one section only, by its type in the schema.
FOREIGN_IN = {
    "PromptCache": {"ttl": "write lifetime"},
    "Cache": {
        **dict.fromkeys(("ttl", "max_age", "default_in_memory_ttl", "default_in_redis_ttl"), _IN_MODELS),
        **dict.fromkeys(("threshold", "similarity_threshold"), _SIMILARITY),
        **dict.fromkeys(("host", "port", "password", "url", "redis_url"), _REDIS),
        **dict.fromkeys(("mode", "type", "enabled", "cache_params", "supported_call_types"), _CACHE),
        **dict.fromkeys(("embedding_model", "redis_semantic_cache_embedding_model", "embedder"), _EMBEDS),
        "namespace": "write scope in each model's cache, or a path of its own",
        "disk_cache_dir": "write path",
        "max_size": "write size for the disk, and memory for what each worker keeps of it",
        "max_entries": "write entries",
    },
    "ModelCache": {
        **dict.fromkeys(("max_age", "expiration"), "write ttl, with a unit: 1h"),
        **dict.fromkeys(("type", "enabled", "strategy"), "write mode: exact or semantic"),
        **dict.fromkeys(("similarity_threshold", "semantic_threshold"), "write threshold: 0.95"),
        **dict.fromkeys(("path", "size", "memory", "entries", "redis"), _PLACE),
        **dict.fromkeys(("namespace", "cache_key", "default_cache_key"), "write scope: virtual_key, team or everybody"),
        **dict.fromkeys(("conversation_history_threshold", "max_messages"), "write turns, which counts the user's"),
        **dict.fromkeys(("exclude_system_prompt", "cache_by_model", "cache_by_provider"), _ALWAYS_IN_KEY),
        "embedding_model": "write embedder: provider/model",
        "dimension": "it is what the embedder gives",
        **dict.fromkeys(("single_flight", "coalesce"), "write share: true"),
        "temperature": "write max_temperature",
    },
    "Embedder": {
        "model": "write target: provider/model",
        **dict.fromkeys(("url", "base_url", "api_base", "api_key"), _OF_PROVIDER),
        **dict.fromkeys(("timeout", "max_wait"), "write wait"),
        **dict.fromkeys(("dimension", "dimensions"), "it is what the target gives"),
    },
    "RuleCache": {
        **dict.fromkeys(("max_age", "expiration"), "write ttl, with a unit: 30s"),
        **dict.fromkeys(("type", "enabled"), "write mode: off, exact or semantic"),
        **dict.fromkeys(("scope", "threshold", "serve"), "a rule changes mode and ttl; the rest stands in the model"),
    },
}

# Settings of other gateways that hold a credential; in a virtual key our word is hash.
CREDENTIALS = {"key", "keys", "api_key", "api_keys", "token", "api_key_hash"}

# Our own words, for which this version has no enforcement: refused rather than ignored.
LATER = {
    "budget": _BUDGETS,
    "budgets": _BUDGETS,
    "customers": "customers come later; a team is the largest group now",
    "customer": "customers come later; a team is the largest group now",
    "classify": "classification of requests comes later",
    "storage": "storage comes later",
    "redis": "limits over several hosts come later; for cached answers write cache: {redis: redis://host:6379}",
    "hedge": "hedging comes later",
    "guardrails": "guardrails come later",
}

# What strategies are called elsewhere, in lower case with hyphens, and ours that is most like each.
_STRATEGIES = {
    "priority": "ordered",
    "failover": "ordered",
    "fallback": "ordered",
    "first-available": "ordered",
    "random": "weighted",
    "simple-shuffle": "weighted",
    "weighted-random": "weighted",
    "weighted-pick": "weighted",
    "loadbalance": "weighted",
    "roundrobin": "round-robin",
    "rr": "round-robin",
    "wrr": "round-robin",
    "weighted-round-robin": "round-robin",
    "leastload": "least-load",
    "least-busy": "least-load",
    "least-conn": "least-load",
    "leastconn": "least-load",
    "least-connections": "least-load",
    "least-request": "least-load",
    "least-requests": "least-load",
    "least-outstanding-requests": "least-load",
    "usage-based-routing": "least-load",
    "usage-based-routing-v2": "least-load",
    "p2c": "power-of-two",
    "power-of-two-choices": "power-of-two",
    "random-two-choices": "power-of-two",
    "latency-based-routing": "latency",
    "latency-based": "latency",
    "lowest-latency": "latency",
    "least-latency": "latency",
    "fastest": "latency",
    "ewma": "latency",
    "peak-ewma": "latency",
    "cost-based-routing": "cost",
    "lowest-cost": "cost",
    "least-cost": "cost",
    "cheapest": "cost",
    "price": "cost",
    "sticky": "session",
    "sticky-session": "session",
    "session-affinity": "session",
    "ip-hash": "session",
    "rendezvous": "session",
    "maglev": "session",
    "chwbl": "bounded-hash",
    "prefixhash": "bounded-hash",
    "prefix-hash": "bounded-hash",
    "consistent-hash": "bounded-hash",
    "consistent-hashing": "bounded-hash",
    "ring-hash": "bounded-hash",
    "hash": "bounded-hash",
    "cache-aware": "affinity",
    "prefix-aware": "affinity",
    "prefix-cache": "affinity",
    "prefix-cache-affinity": "affinity",
    "prefix-cache-scorer": "affinity",
    "prefixaware": "affinity",
    "kv-aware": "affinity",
    "kvaware": "affinity",
    "lmetric": "affinity",
    "precise-prefix-cache": "affinity",
    "bah": "affinity",
}

# What modes, scopes and the like of caches are called elsewhere.
_CACHES = {
    **dict.fromkeys(("simple", "direct", "hash", "true", "on", "local", "redis", "disk"), "exact"),
    **dict.fromkeys(("similar", "similarity", "redis-semantic", "valkey-semantic", "qdrant-semantic"), "semantic"),
    **dict.fromkeys(("false", "no", "none", "disabled", "no-store", "bypass"), "off"),
    **dict.fromkeys(("key", "user", "api-key", "private"), "virtual_key"),
    **dict.fromkeys(("tenant", "group"), "team"),
    **dict.fromkeys(("all", "global", "public", "shared"), "everybody"),
    **dict.fromkeys(("shadow", "dry-run"), "observe"),
    **dict.fromkeys(("instant", "immediate"), "at-once"),
    "original": "paced",
}

# What a provider speaks, by the name of who speaks it.
_DIALECTS = {
    **dict.fromkeys(("openai", "openai-compatible", "openai-like", "vllm", "ollama"), "openai-chat"),
    **dict.fromkeys(("anthropic", "claude"), "anthropic-messages"),
}

_FOREIGN_VARIABLE = re.compile(r"(?:os\.environ/|env\.)([A-Za-z_][A-Za-z0-9_]*)")


def foreign_variable(text: str) -> str | None:
    """The variable that another gateway would read here (`os.environ/NAME`, `env.NAME`), or None."""
    found = _FOREIGN_VARIABLE.fullmatch(text)
    return found.group(1) if found else None


def foreign_word(text: str, ours: Collection[object]) -> str | None:
    """What to write instead of a word that other gateways have for one of ours, or None."""
    written = text.lower().replace("_", "-")
    if "exact" in ours and "off" not in ours and _CACHES.get(written, written) == "off":
        return "take the line out: without it nothing is cached"
    words = {table[written] for table in (_STRATEGIES, _CACHES, _DIALECTS) if written in table}
    return next((f'the nearest here is "{word}"' for word in words if word in ours), None)
