"""Why settings of Bifrost have no counterpart here, and what to do; patterns as in `report.reason_for`."""

from edgeroute.migrate.report import Reason

_STORE = Reason("not needed", "edgeroute has no database: the configuration is one file")
_PLUGINS = Reason("left out", "there are no plugins", "see docs/migrate.md for what is built in")
_POOL = Reason("not needed", "there are no worker pools or queues to size")
_LOGS = Reason("not needed", "a request is one log line and its metrics; content is never logged")
_BUDGETS = Reason("left out", "budgets come later", "limit with limits: {tokens_per_minute: …}")
_PRICES = Reason("left out", "prices matter to strategies cost and affinity only", "write price in a target")
_MCP = Reason("left out", "edgeroute serves chat, completions, embeddings, responses and messages")
_CACHE = Reason("left out", "a cache is switched on in models and rules", "see docs/how-to/caches.md")
_VECTORS = Reason("not needed", "questions and answers are kept in a file of the host")
_OWN_LIMITS = Reason("left out", "limits belong to teams and virtual keys", "write limits there")
_BODIES = Reason("left out", "bodies pass to providers unchanged", "let clients send what they mean")
_DESCRIPTION = Reason("not needed", "descriptions are comments")
_OTHER = Reason("left out", "edgeroute has no such setting", "see docs/migrate.md")
_DASHBOARD = Reason("not needed", "there is no dashboard and no management API; admin_key protects the admin listener")

EMPTY_LISTS = 'write ["*"] for all; if the file is for 1.4, write "version": 1 at its top, and import again'
"""What to do about lists that say what is allowed, and are empty."""

TOP = {
    "$* schema version source_of_truth encryption_key": _STORE,
    "config_store logs_store framework": _STORE,
    "vector_store": _VECTORS,
    "local_cache semantic_cache": _CACHE,
    "plugins": _PLUGINS,
    "mcp mcp_*": _MCP,
    "auth_config": _DASHBOARD,
    "server websocket": _POOL,
    "*load_balanc*": Reason(
        "left out", "weights do not change by themselves", "write strategy: latency, or least-load, in a model"
    ),
    "guardrails_config": Reason("left out", "guardrails come later", "keep them in front of or behind edgeroute"),
    "*": _OTHER,
}
PLUGINS = {
    "governance": Reason("not needed", "virtual keys and limits are built in"),
    "telemetry prometheus": Reason("not needed", "metrics are built in: /metrics of the admin listener"),
    "logging": _LOGS,
    "otel maxim datadog": Reason("left out", "there are no exporters", "ship the log lines, and scrape the metrics"),
    "local_cache*": _CACHE,
    "mocker": Reason("left out", "the mock provider is a provider", "see `edgeroute mock --help`"),
}
CLIENT = {
    "initial_pool_size drop_excess_requests": _POOL,
    "*logging* log_* hidden_request_types retain_content_*": _LOGS,
    "allow_direct_keys": Reason("not needed", "a client's own provider key is never passed on"),
    "allowed_origins allowed_headers": Reason(
        "left out", "browsers are not served: there is no CORS", "put a proxy that adds it in front"
    ),
    "prometheus_labels": Reason("left out", "metrics have fixed labels", "add labels when scraping"),
    "header_filter_config": Reason(
        "left out", "of a client's headers a provider gets an allow-list", "see docs/reference/endpoints.md"
    ),
    "required_headers": Reason(
        "left out", "no header is demanded by itself", "write a rule: when: '!(\"x-name\" in headers)', reject: MESSAGE"
    ),
    "whitelisted_routes": Reason("left out", "every endpoint for clients needs a key", "probes are on `admin`"),
    "compat enable_litellm_fallbacks": _BODIES,
    "enable_local_cache": _CACHE,
    "mcp_* async_*": _MCP,
    "enforce_governance_header": Reason("not needed", "every request needs a virtual key"),
    "*": _OTHER,
}
PROVIDER = {
    "concurrency_and_buffer_size": _POOL,
    "send_back_raw_* store_raw_*": _BODIES,
    "prompt_cache": _BODIES,
    "pricing_overrides": _PRICES,
    "allowed_requests": Reason("left out", "a provider is not limited to kinds of requests"),
    "request_path_overrides": Reason(
        "left out", "the paths under a provider's URL are those of its dialect", "use a server that has them"
    ),
    "openai_config": _BODIES,
    "description status": _DESCRIPTION,
    "*": _OTHER,
}
NETWORK = {
    "retry_backoff_*": Reason("not needed", "the next target is tried at once"),
    "max_conns_per_host keep_alive* enforce_http2": _POOL,
    "insecure_skip_verify": Reason(
        "left out", "certificates are always verified", "set ca_file to the authority's certificate"
    ),
    "ca_cert_pem": Reason(
        "left out", "an authority's certificate is a file", "save it and set ca_file in the provider"
    ),
    "beta_header_overrides": _BODIES,
    "stream_throughput_guard": Reason("left out", "the deadline of a stream is the gap", "set timeouts.gap"),
    "base_url": Reason("not needed", "each key has an address of its own"),
    "*": _OTHER,
}
KEY = {
    "use_for_batch_api": Reason("not needed", "batches are not served"),
    "description config_hash status": _DESCRIPTION,
    "*": _OTHER,
}
AZURE = {
    "api_version": Reason("not needed", "Azure's v1 API takes none"),
    "client_id client_secret tenant_id scopes": Reason(
        "left out", "tokens of Microsoft Entra ID are not fetched", "use the resource's API key"
    ),
    "*": _OTHER,
}
GOVERNANCE = {
    "budgets": _BUDGETS,
    "model_configs providers": _OWN_LIMITS,
    "auth_config": _DASHBOARD,
    "complexity_analyzer_config routing_complexity*": Reason("left out", "classification of requests comes later"),
    "pricing_overrides": _PRICES,
    "*": _OTHER,
}
VIRTUAL_KEY = {
    "budget* calendar_aligned": _BUDGETS,
    "description": _DESCRIPTION,
    "mcp_*": _MCP,
    "*": _OTHER,
}
PROVIDER_CONFIG = {
    "rate_limit*": _OWN_LIMITS,
    "budget*": _BUDGETS,
    "blacklisted_models": Reason(
        "left out", "a list of models that a key may not use does not exist", "name those it may use"
    ),
    "*": _OTHER,
}
TEAM = {"budget* calendar_aligned": _BUDGETS, "description": _DESCRIPTION, "*": _OTHER}
RULE = {"*": _OTHER}
