"""Why settings of LiteLLM have no counterpart here, and what to do; patterns as in `report.reason_for`."""

from edgeroute.migrate.report import Reason

_DATABASE = Reason(
    "left out",
    "edgeroute has no database: virtual keys and teams stand in the configuration",
    "export LiteLLM_VerificationToken and LiteLLM_TeamTable and import with --keys and --teams; see docs/migrate.md",
)
_REDIS = Reason(
    "left out",
    "workers of a host share limits and health in memory; limits over several hosts come later",
    "with several hosts divide the limits by their number",
)
_HEALTH = Reason(
    "left out",
    "three connect failures in a row take a replica to the end of the order for ten seconds; no other failure does",
    "see docs/architecture.md",
)
_CACHE = Reason(
    "left out", "a cache is switched on in models and rules", "see what clients may say in docs/how-to/caches.md"
)
_PRICES = Reason(
    "left out",
    "budgets come later, and prices matter to strategies cost and affinity only",
    "limit with limits: {tokens_per_minute: …}; write price in a target",
)
_LOGS = Reason(
    "left out",
    "there are no callbacks: a request is one log line and its metrics",
    "ship the log lines, and scrape /metrics of the admin listener",
)
_VERBOSE = Reason("not needed", "a request is one log line; content is never logged")
_SPECIFIC_FALLBACKS = Reason(
    "left out",
    "a fallback for one kind of 4xx does not exist: the provider's own error is passed to the client",
    "for long prompts write a rule: when: 'prompt_tokens + max_tokens > 128000', model: NAME",
)
_GUARDRAILS = Reason("left out", "guardrails come later", "keep them in front of or behind edgeroute")
_OTHER_ENDPOINTS = Reason(
    "left out", "edgeroute serves chat, completions, embeddings, responses and messages", "keep it where it is"
)
_RETRIES = Reason("left out", "attempts are counted for the whole request", "set defaults.attempts")
_STREAM = Reason(
    "left out",
    "the deadline until a reply begins is the same for streams and whole replies",
    "lower timeouts.first_byte if clients stream",
)
_CONTENT = Reason(
    "left out",
    "bodies pass to providers unchanged, so nothing is added to them and nothing dropped",
    "let clients send what they mean",
)
_TAGS = Reason("left out", "there is no routing by tags", "write a rule on a header that carries the tag")
_IDENTITY = Reason(
    "left out", "clients authenticate with virtual keys only", "put another authentication in front of edgeroute"
)

PARAMETERS = {
    "stream_timeout": _STREAM,
    "max_retries num_retries": _RETRIES,
    "max_parallel_requests": Reason(
        "left out", "concurrency is limited for teams and virtual keys", "write limits: {concurrency: …} there"
    ),
    "api_version": Reason("not needed", "the API's version is part of the provider's URL"),
    "azure_ad_token tenant_id client_id client_secret azure_* ": Reason(
        "left out", "tokens of Microsoft Entra ID are not fetched", "use the resource's API key"
    ),
    "input_cost_* output_cost_* *_cost_* cost_* max_budget budget_duration": _PRICES,
    "tags": _TAGS,
    "region_name": Reason("left out", "there is no routing by region", "write a model for each region"),
    "aws_* vertex_* s3_* gcs_*": Reason("not needed", "the provider's URL says where it is"),
    "cooldown_time": _HEALTH,
    "use_in_pass_through use_litellm_proxy": _OTHER_ENDPOINTS,
    "ssl_verify": Reason("left out", "certificates are always verified", "set ca_file for a private authority"),
    "mock_response": Reason("left out", "the mock provider is a provider", "see `edgeroute mock --help`"),
    "guardrails": _GUARDRAILS,
    "*": _CONTENT,
}
ENTRY = {
    "model_info": Reason(
        "not needed", "modes and windows of models are not used in this version, prices by strategies cost and affinity"
    ),
}
ROUTER = {
    "stream_timeout": _STREAM,
    "redis_* cache_*": _REDIS,
    "context_window_fallbacks content_policy_fallbacks": _SPECIFIC_FALLBACKS,
    "cooldown_time allowed_fails allowed_fails_policy disable_cooldowns": _HEALTH,
    "retry_policy model_group_retry_policy retry_after max_fallbacks": _RETRIES,
    "enable_pre_call_checks": Reason(
        "left out", "windows of models are not known in this version", "write a rule on prompt_tokens"
    ),
    "enable_tag_filtering tag_*": _TAGS,
    "routing_strategy_args": Reason("left out", "strategies have other settings here", "see docs/how-to/strategies.md"),
    "set_verbose debug_level": _VERBOSE,
    "provider_budget_config": _PRICES,
    "*": Reason("left out", "the router has no such setting", "see docs/migrate.md"),
}
MODULE = {
    "stream_timeout": _STREAM,
    "cache* disable_cache_*": _CACHE,
    "context_window_fallbacks content_policy_fallbacks": _SPECIFIC_FALLBACKS,
    "cooldown_time allowed_fails": _HEALTH,
    "*callback* *_callbacks langfuse_* turn_off_message_logging redact_* datadog_* otel*": _LOGS,
    "drop_params modify_params additional_drop_params": _CONTENT,
    "set_verbose telemetry suppress_debug_info ssl_verify force_ipv4 log_raw_request_response": _VERBOSE,
    "max_budget budget_duration max_end_user_budget* *_cost* default_internal_user_params *spend*": _PRICES,
    "default_team_settings": Reason(
        "left out", "teams have no callbacks of their own", "teams themselves come with --teams"
    ),
    "guardrails *guardrail*": _GUARDRAILS,
    "mcp_*": _OTHER_ENDPOINTS,
    "default_team_params upperbound_key_generate_params key_generation_settings": _DATABASE,
    "*": Reason("left out", "edgeroute has no such setting", "see docs/migrate.md"),
}
GENERAL = {
    "database_* store_model_in_db store_prompts_* allow_requests_on_db_unavailable use_redis* *spend*": _DATABASE,
    "alerting* alert_types": Reason("left out", "there is no alerting", "alert on the metrics"),
    "custom_auth* enable_jwt_auth litellm_jwtauth enable_oauth2* public_routes allowed_routes": _IDENTITY,
    "pass_through_endpoints": _OTHER_ENDPOINTS,
    "max_parallel_requests global_max_parallel_requests": Reason(
        "left out", "concurrency is limited for teams and virtual keys", "write limits: {concurrency: …} there"
    ),
    "background_health_checks health_check_*": _HEALTH,
    "forward_client_headers_to_llm_api": Reason(
        "left out", "of a client's headers a provider gets an allow-list", "see docs/reference/endpoints.md"
    ),
    "disable_* ui_* proxy_batch_* proxy_budget_*": Reason(
        "not needed", "what it switches off or tunes does not exist here"
    ),
    "port host": Reason("left out", "where to listen stands at the top", "write listen: HOST:PORT"),
    "key_management_system key_management_settings": Reason(
        "left out", "secrets come from ${NAME} or ${file:/path}", "mount them as files"
    ),
    "*": Reason("left out", "edgeroute has no such setting", "see docs/migrate.md"),
}
TOP = {
    "environment_variables": Reason(
        "left out", "the configuration sets no environment variables", "set them where edgeroute is started"
    ),
    "guardrails prompts policies*": _GUARDRAILS,
    "callback_settings": _LOGS,
    "finetune_settings files_settings vector_* mcp_* search_tools agent*": _OTHER_ENDPOINTS,
    "include": Reason("left out", "included files are not read", "import each of them, and join the results"),
}
