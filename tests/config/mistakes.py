"""Configuration files with mistakes that people make, by the name of the golden file that says what they are told.

They find the folder `tls` beside them, and the environment of `test_config_mistakes.py`.
"""

# What a case leaves out of the file is taken from here.
SECTIONS = {
    "providers": """
providers:
  openai: {api_key: "${OPENAI_API_KEY}"}
  anthropic: {api_key: "${ANTHROPIC_API_KEY}"}
""",
    "models": """
models:
  fast: openai/gpt-5-mini
  smart: {targets: [anthropic/claude-opus-4-8, openai/gpt-5.5], fallbacks: [fast]}
""",
    "virtual_keys": """
virtual_keys:
  demo: {hash: "sha256:2904cb91b4d3e13d761f8ea8a47d42158ae6729fe2c90764d9b3b0294140812e"}
""",
}


# Taken as they are, nothing added.
WHOLE = {
    "empty": "",
    "only_comments": "# nothing yet\n",
    "not_a_map": "- openai\n- anthropic\n",
    "only_text": "openai\n",
    "nothing_needed_is_there": "workers: 2\n",
    "sections_are_empty": "providers: {}\nmodels: {}\nvirtual_keys: {}\n",
    "two_documents": "workers: 1\n---\nworkers: 2\n",
    "tab": "providers:\n\topenai: {}\n",
    "unclosed_brace": "providers:\n  openai: {api_key: x\nmodels: {}\n",
    "secret_near_a_syntax_error": "providers:\n  openai: {api_key: sk-very-secret-1234, url: [a: b: c}\n",
    "secrets_near_a_syntax_error": "api_keys:\n  - sk-very-secret-1234\n  - hunter2: b: c\n",
    "unclosed_quote": 'log: "text\nworkers: 1\n',
    "unquoted_variable": "providers:\n  openai: {api_key: ${OPENAI_API_KEY}}\n",
    "unquoted_condition": """
rules:
  - name: premium
    when: "x-tier" in headers
    model: fast
""",
    "unquoted_colon": "rules:\n  - name: a: b\n",
    "unquoted_star": "models:\n  *: openai/*\n",
    "bad_indentation": "providers:\n  openai: {}\n models: {}\n",
    "control_character": "log: te\x07xt\n",
    "too_deep": "a: " + "[" * 40 + "]" * 40 + "\n",
    "anchor": "defaults: &common {attempts: 2}\n",
    "alias": "models:\n  fast: *smart\n",
    "merge_key": "defaults:\n  <<: {attempts: 2}\n",
    "tag": "workers: !!int 3\n",
    "key_is_a_list": "? [a, b]\n: 1\n",
}

MISTAKES = {
    "unknown_setting": "models:\n  fast: {targts: [openai/gpt-5-mini], targets: [openai/gpt-5-mini]}\n",
    "unknown_setting_listing_all": "defaults: {zzzzzzzz: 1}\n",
    "setting_of_another_place": "timeouts: {connect: 1s}\n",
    "setting_of_later": "models:\n  fast: {targets: [openai/gpt-5-mini], hedge: 2s}\nbudgets: {}\n",
    "given_twice": "workers: 1\nlog: text\nworkers: 2\n",
    "model_given_twice": "models:\n  fast: openai/a\n  fast: openai/b\n",
    "no_value": "workers:\nlog: ~\nteams:\nmodels: {fast: , smart: [openai/a]}\n",
    "words_of_litellm": """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
litellm_settings: {num_retries: 3}
general_settings: {master_key: sk-very-secret-1234}
router_settings: {routing_strategy: usage-based-routing}
""",
    "words_of_others_in_limits": """
teams:
  a: {limits: {rpm: 10, tpm: 100, max_budget: 5, max_parallel_requests: 2}}
""",
    "words_of_others_in_providers": """
providers:
  openai: {api_base: "http://localhost:1/v1", api_key: os.environ/OPENAI_API_KEY}
  anthropic: {base_url: "http://localhost:1", api_key: env.ANTHROPIC_API_KEY}
""",
    "words_of_others_in_rules": "rules:\n  - {name: a, cel_expression: 'true', targets: [openai/x]}\n",
    "not_a_number": "workers: many\nmax_connections: 4_096\ndefaults: {attempts: 2.5}\n",
    "out_of_range": "workers: 65\ndefaults: {attempts: 0, timeouts: {connect: 0s}}\nmax_body: 2GiB\n",
    "not_a_time": "drain: 30\nmock: {listen: 127.0.0.1:4010, first_token: soon, token_interval: 1:30}\n",
    "not_a_size": "max_body: 8M\nmax_stream: 8388608\n",
    "not_a_choice": """
interface: asgy
log: yes
providers:
  openai: {dialect: opnai-chat, api_key: "${OPENAI_API_KEY}"}
  anthropic: {dialect: "${SECRET}", api_key: "${ANTHROPIC_API_KEY}"}
""",
    "not_an_address": "listen: 4000\nadmin: localhost\nmock: {listen: '127.0.0.1:70000'}\n",
    "same_address": "listen: 127.0.0.1:9400\nmock: {listen: 127.0.0.1:9400}\n",
    "mock_without_address": "mock: {seed: 1}\n",
    "wrong_kind_of_value": "workers: [1]\nrules: {a: b}\ndefaults: 3\nmodels: {fast: [openai/gpt-5-mini]}\n",
    "variable_missing": """
providers:
  openai: {api_key: "${OPENAI_API_KEZ}"}
  anthropic: {api_key: "${NOWHERE_TO_BE_FOUND}", url: 'https://${EMPTY}/v1'}
""",
    "variable_malformed": """
providers:
  openai: {api_key: "${OPENAI_API_KEY:-none}", url: "https://${HOST/v1"}
  anthropic: {api_key: "$${ANTHROPIC_API_KEY} ${}"}
""",
    "variable_in_a_name": 'models:\n  "${MODEL}": openai/gpt-5-mini\n',
    "variable_in_a_condition": "rules:\n  - {name: a, when: 'path == \"${PATH}\"', model: fast}\n",
    "variable_is_something_else": """
workers: ${SECRET}
log: ${SECRET}
drain: ${SECRET}
models:
  fast: openai/a
  long: "${SECRET}"
  smart: {targets: ["${SECRET}", "${SECRET}/x"], fallbacks: ["${SECRET}"]}
rules: [{name: "${SECRET} ", when: stream, model: "${SECRET}"}]
virtual_keys: {a: {team: "${SECRET}", hash: "${SECRET}"}}
""",
    "file_unreadable": """
providers:
  openai: {api_key: "${file:missing.txt}"}
  anthropic: {api_key: "${file:.}"}
""",
    "secret_with_a_line_break": """
providers:
  openai: {api_key: "${TWO_LINES}"}
  anthropic: {api_key: "a b"}
""",
    "url_malformed": """
providers:
  a:
    dialect: openai-chat
    urls: ["gpu-0:8000/v1", "http://", "http://h:99999/v1", "ftp://h/v1", "http://a b/v1"]
  b: {dialect: openai-chat, url: "https://user:hunter2@host/v1"}
  c: {dialect: openai-chat, url: "https://host/v1?key=1"}
""",
    "url_twice": """
providers:
  a: {dialect: openai-chat, url: "http://h/v1", urls: []}
  b: {dialect: openai-chat, urls: ["http://h/v1", "http://h/v1/"]}
""",
    "provider_incomplete": """
providers:
  opnai: {}
  vllm: {url: "http://h/v1"}
  tgi: {dialect: openai-chat}
""",
    "provider_name_malformed": """
providers:
  open ai/x: {dialect: openai-chat, url: "http://h/v1"}
""",
    "provider_unknown": """
models:
  fast: opnai/gpt-5-mini
  smart: {targets: {anthropic/x: 1, groq/y: 2}}
""",
    "target_malformed": "models:\n  a: {targets: [fast, openai/, '/x']}\n  b: openai/\n  fast: openai/a b\n",
    "target_twice": "models:\n  fast: {targets: [openai/a, openai/a]}\n",
    "no_targets": "models:\n  fast: {targets: []}\n  smart: {targets: {}}\n  long: {fallbacks: []}\n",
    "weights": "models:\n  fast: {targets: {openai/a: 0, openai/b: -1, openai/c: 1.5, openai/d: }}\n",
    "alias_unknown": "models:\n  fast: openai/a\n  gpt-4o: fats\n  best: nothing-like-it\n",
    "alias_circle": "models:\n  a: b\n  b: c\n  c: a\n  d: d\n  fast: openai/a\n",
    "fallback_unknown": """
models:
  fast: {targets: [openai/a], fallbacks: [openai/b, smrt]}
  smart: openai/b
""",
    "fallback_circle": """
models:
  fast: {targets: [openai/a], fallbacks: [smart]}
  smart: {targets: [openai/b], fallbacks: [fast]}
""",
    "wildcards": """
models:
  fast: openai/*
  open*i/x: openai/x
  any/*: {targets: [openai/g*t]}
  other/*: any/*
  one: any/*
""",
    "model_name_malformed": "models:\n  'two words': openai/a\n  '': openai/a\n",
    "rule_name": """
rules:
  - {name: Premium Users, when: 'stream', model: fast}
  - {name: a, when: 'stream == true', model: fast}
  - {name: a, when: 'stream == false', model: fast}
""",
    "rule_action": """
rules:
  - {name: both, when: 'stream', model: fast, reject: no}
  - {name: neither, when: 'stream'}
  - {name: unknown, when: 'stream', model: fsat}
  - {name: target, when: 'path == "/"', model: openai/gpt-5}
  - {when: 'message_count > 9'}
""",
    "rule_actions_together": """
rules:
  - {name: rejects, when: 'stream', reject: no, tag: a, continue: true}
  - {name: empty, when: 'path == "/a"', set: {}, remove: {}}
  - {name: sticky, when: 'path == "/b"', model: fast, sticky: user}
  - {name: nothing, when: 'path == "/c"', continue: true}
  - {name: none, when: 'path == "/d"', model: {}}
  - {name: adds, when: 'path == "/e"', fallbacks: {add: []}}
  - {name: words, when: 'path == "/f"', tag: Two Words, continue: yes, sticky: team, on_error: ignore}
""",
    "rule_models": """
rules:
  - {name: shares, when: 'stream', model: {fsat: 80, smart: 0}}
  - {name: list, when: 'path == "/a"', model: [fast, smart]}
  - {name: follows, when: 'path == "/b"', fallbacks: [smrt]}
  - {name: adds, when: 'path == "/c"', fallbacks: {add: [fast, smrt]}}
  - {name: pins, when: 'path == "/d"', pin: opnai/gpt-5}
  - {name: pins-a-model, when: 'path == "/e"', pin: fast}
  - {name: pins-nothing, when: 'path == "/f"', pin: openai/}
  - {name: pins-a-pattern, when: 'path == "/g"', pin: openai/g*t}
""",
    "rule_changes": """
rules:
  - name: body
    when: 'stream'
    set: {body: {model: fast, stream: false, messages: [], temperature: 0.2}}
    remove: {body: [stream_options, temperature]}
  - name: values
    when: 'path == "/a"'
    set: {body: {a: True, b: .5, c: 0x10, d: [1, 007], e: {f: , g: 1_000}, h: "${NOWHERE}"}}
  - name: headers
    when: 'path == "/b"'
    set: {headers: {Authorization: a, Host: b, x-edgeroute-rule: c, x-tenant: acme, x-auth-token: d, x y: e}}
    remove: {headers: [X-Tenant, cookie, content-length]}
""",
    "rule_scope": """
rules:
  - {name: key, virtual_key: dmeo, when: 'stream', model: fast}
  - {name: team, team: search, when: 'stream', model: fast}
  - {name: both, virtual_key: demo, team: ads, when: 'stream', model: fast, priority: first}
  - {name: pasted, virtual_key: sk-very-secret-1234, when: 'path == "/"', model: fast}
  - {name: foreign, scope: team, scope_id: ads, chain_rule: true, when: 'stream == true', model: fast}
teams: {ads: {}}
""",
    "include": """
rules: [{name: a, when: 'stream', model: fast}]
include: [rules/wrong.yaml, rules/none.yaml, rules/w*.yaml, "ru*/a", rules/broken.yaml, rules/n*.yaml, "${NO}"]
""",
    "let": """
let:
  model: 'stream'
  loop: 'stream'
  Upper: 'stream'
  wrong: 'strem && message_count > 3'
  later: 'after'
  after: 'message_count > 3'
rules:
  - {name: a, when: 'wrong || later || loop', model: fast}
""",
    "rule_on_error": """
let: {is_batch: 'headers["x-purpose"] == "batch"'}
rules:
  - {name: a, when: 'stream && headers["x-tier"] == "none"', reject: no}
  - {name: b, when: '"x-tier" in headers && headers["x-tier"] == "none"', reject: no}
  - {name: c, when: 'headers["x-tier"] == "none"', reject: no, on_error: match}
  - {name: d, when: 'headers["x-tier"] == "none" || stream', model: fast}
  - {name: e, when: 'is_batch', reject: no}
  - {name: f, when: '1 / message_count > 2', reject: no}
""",
    "rule_circle": """
rules:
  - {name: a, when: 'model == "fast"', model: smart, continue: true}
  - {name: b, when: "model in ['other', 'smart']", model: fast, continue: true}
  - {name: c, when: 'model == "self"', model: self, continue: true}
  - {name: d, virtual_key: demo, when: 'model == "back"', model: self, tag: d, continue: true}
  - {name: e, when: 'model == "self" && stream', model: fast, continue: true}
models: {fast: openai/a, smart: openai/b, other: openai/c, self: openai/d, back: openai/e}
""",
    "rule_reject": """
rules:
  - {name: a, when: 'stream', reject: {status: 500, message: no}}
  - {name: b, when: 'path == "/"', reject: {status: 403}}
  - {name: c, when: 'message_count > 9', reject: ''}
""",
    "rule_condition": """
rules:
  - {name: a, when: 'headers["x"] == "é" && WRONG', model: fast}
  - name: b
    when: >-
      stream &&
      WRONG
    model: fast
  - {name: c, when: '  ', model: fast}
""",
    "rule_types": """
rules:
  - {name: a, when: 'prompt_tokens > "many"', model: fast}
  - {name: b, when: 'headers["x-tier"]', model: fast}
  - {name: c, when: 'stream && prompt_tokens', model: fast}
  - {name: d, when: 'model.startswith("gpt")', model: fast}
  - {name: e, when: 'stream &&', model: fast}
""",
    "rule_never_matches": """
rules:
  - {name: a, when: 'stream', model: fast}
  - {name: b, when: 'stream', model: smart}
  - {name: never, when: 'false', model: fast}
  - {name: nor-this, when: '! true', model: fast}
  - {name: rest, when: 'true', model: fast}
  - {name: late, when: 'path == "/"', model: smart}
  - {name: scoped, virtual_key: demo, when: 'stream', model: smart}
  - {name: earlier, when: 'message_count > 5', tag: t, continue: true, priority: -2}
  - {name: early, when: 'message_count > 5', model: smart, priority: -1}
  - {name: outrun, when: 'message_count > 5', model: fast}
workers: none
""",
    "team_unknown": """
teams:
  search: {}
virtual_keys:
  demo: {team: serach, hash: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
""",
    "team_models": """
teams:
  a: {models: [fast, smrat], aliases: {best: smort, x*: fast}, limits: {concurrency: 0}}
  b: {models: []}
""",
    "hash_is_the_key_itself": """
virtual_keys:
  demo: {hash: sk-plain-text-key}
  other: {hash: "sha256:…"}
  third: {api_key: sk-plain-text-key}
""",
    "hash_twice": """
virtual_keys:
  a: {hash: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
  b: {hash: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
  c: {}
""",
    "secret_near_another_mistake": """
providers:
  openai: {api_key: sk-very-secret-1234, dialct: openai-chat}
  anthropic: {api_key: [sk-very-secret-1234], tokens: {x: sk-very-secret-1234}}
""",
    "tls_incomplete": "tls: {certificate: tls/localhost.crt}\n",
    "tls_files_unreadable": "tls: {certificate: tls/missing.crt, key: tls}\n",
    "tls_files_exchanged": "tls: {certificate: tls/localhost.key, key: tls/localhost.crt}\n",
    "tls_key_of_another": "tls: {certificate: tls/localhost.crt, key: tls/other.key}\n",
    "tls_key_of_another_kind": "tls: {certificate: tls/localhost.crt, key: tls/ed25519.key}\n",
    "tls_key_weak": "tls: {certificate: tls/weak.crt, key: tls/weak.key}\n",
    "tls_files_damaged": "tls: {certificate: tls/damaged.crt, key: tls/encrypted.key}\n",
    "tls_key_damaged": "tls: {certificate: tls/localhost.crt, key: tls/damaged.key}\n",
    "tls_file_pasted": """
tls:
  certificate: "${PEM}"
  key: |
    -----BEGIN PRIVATE KEY-----
    MIG-do-not-print
    -----END PRIVATE KEY-----
""",
    "ca_file_wrong": """
providers:
  a: {dialect: openai-chat, url: "https://a/v1", ca_file: tls/missing.pem}
  b: {dialect: openai-chat, url: "https://b/v1", ca_file: tls/localhost.key}
  c: {dialect: openai-chat, url: "https://c/v1", ca_file: "${SECRET}"}
  d: {dialect: openai-chat, url: "https://d/v1", ca_file: [tls/localhost.crt]}
""",
    "admin_key_malformed": "admin_key: two words\ndrain_delay: 11m\n",
    "networks": """
trusted_proxies: [10.0.0.1/8, proxy.internal, 10.0.0.0/33, "::1", "::1", fe80::1%eth0, "${SECRET}", 10.0.0.0-10.0.0.9]
""",
    "header_forbidden": """
providers:
  openai:
    api_key: "${OPENAI_API_KEY}"
    headers: {Host: a, content-type: b, Connection: c, proxy-authorization: d, accept-encoding: e, x-edgeroute-f: f}
  anthropic:
    api_key: "${ANTHROPIC_API_KEY}"
    headers: {X-Api-Key: hunter2, x-tenant: g, X-Tenant: h}
""",
    "header_malformed": """
providers:
  openai:
    api_key: "${OPENAI_API_KEY}"
    headers: {x-a: "${TWO_LINES}", x-b: "hunter2 ", x-c: é, "x d": e, "${SECRET}": f, x-g: [h], x-i: }
""",
    "proxy_malformed": """
providers:
  a: {dialect: openai-chat, url: "https://a/v1", proxy: "https://user:hunter2@proxy:3128"}
  b: {dialect: openai-chat, url: "https://b/v1", proxy: "socks5://proxy:1080"}
  c: {dialect: openai-chat, url: "https://c/v1", proxy: proxy:3128}
  d: {dialect: openai-chat, url: "https://d/v1", proxy: "http://proxy:99999"}
  e: {dialect: openai-chat, url: "https://e/v1", proxy: "http://user:hunter2/@proxy:3128"}
  f: {dialect: openai-chat, url: "https://f/v1", proxy: "${SECRET}"}
""",
    "credentials": """
providers:
  openai: {api_key: "${OPENAI_API_KEY}", api_keys: []}
  anthropic: {api_keys: ["${ANTHROPIC_API_KEY}", "${OPENAI_API_KEY}", "${ANTHROPIC_API_KEY}"]}
  groq: {api_keys: "${OPENAI_API_KEY}"}
""",
    "target_settings": """
models:
  fast:
    targets:
      openai/a: {weight: 0, timeouts: {total: 1m, conect: 1s}}
      opnai/b: {timeouts: {gap: 1}}
      openai/c: {weight: 1, target: openai/c}
  smart:
    targets:
      - {target: opnai/d, timeouts: 5s}
      - {timeouts: {connect: 1s}}
      - openai/e
      - {target: openai/e, weight: 2}
""",
    "several_in_one_entry": """
models:
  fast: {targets: many, fallbacks: [slow]}
  two words: opnai/a
teams:
  search: {models: [fats], limits: {concurrency: many}}
virtual_keys:
  a: {team: serach, hash: sk-plain-text-key}
  b: {team: serach}
  c: {team: serach, hash: "${NOWHERE_TO_BE_FOUND}", limits: {requests_per_minute: 0}}
""",
    "words_of_others_in_new_places": """
ssl_keyfile_path: /etc/tls.key
admin_password: hunter2
forwarded_allow_ips: "*"
providers:
  openai: {api_key: "${OPENAI_API_KEY}", organization: org-1, extra_headers: {a: b}, ssl_verify: false, proxy_url: "http://p:1"}
  anthropic: {keys: [{value: "hunter2"}], network_config: {extra_headers: {}}}
""",
    "long_line": f"""
models:
  fast: openai/{"x" * 300}
  smart: {{targets: [openai/{"y" * 200}, opnai/z]}}
""",
    "wide_characters": 'log: "文字"\nrules: [{name: "名前", when: "stream", model: fast}]\n',
    "strategy_unknown": """
models:
  fast: {targets: [openai/a], strategy: least-laod}
  smart: {targets: [openai/a], strategy: clever}
  long: {targets: [openai/a], strategy: [affinity]}
  wide: {targets: [openai/a], strategy: "${SECRET}"}
""",
    "dialect_of_others": """
providers:
  near: {dialect: openai, url: http://127.0.0.1:8000/v1}
  far: {dialect: Claude, url: http://127.0.0.1:8001}
  none: {dialect: gemini, url: http://127.0.0.1:8002}
models: {fast: {targets: [near/a, far/b, none/c]}}
""",
    "strategy_of_others": """
models:
  a: {targets: [openai/a], strategy: simple-shuffle}
  b: {targets: [openai/a], strategy: least-busy}
  c: {targets: [openai/a], strategy: latency-based-routing}
  d: {targets: [openai/a], strategy: cost-based-routing}
  e: {targets: [openai/a], strategy: usage-based-routing-v2}
  f: {targets: [openai/a], strategy: LeastLoad}
  g: {targets: [openai/a], strategy: PrefixHash}
  h: {targets: [openai/a], strategy: round_robin}
  i: {targets: [openai/a], strategy: consistent-hash}
  j: {targets: [openai/a], strategy: cache_aware}
  k: {targets: [openai/a], strategy: {name: prefix_hash}}
""",
    "strategy_setting_of_another": """
models:
  fast: {targets: [openai/a], strategy: {name: least-load, load_factor: 1.5, key: [session]}}
  smart: {targets: [openai/a], strategy: {name: session, index: 1MiB, cache_salt: team}}
  long: {targets: [openai/a], strategy: {name: affinity, key: [user]}}
""",
    "strategy_without_name": """
models:
  fast: {targets: [openai/a], strategy: {key: [session]}}
  smart: {targets: [openai/a], strategy: }
  long: {targets: [openai/a], strategy: {}}
""",
    "strategy_ordered_with_weights": """
models:
  fast: {targets: {openai/a: 1, anthropic/b: 2}, strategy: ordered}
  smart: {targets: {openai/a: 1}, strategy: {name: ordered}}
""",
    "strategy_key": """
models:
  fast: {targets: [openai/a], strategy: {name: session, key: [sesion, "header:", user_id]}}
  smart: {targets: [openai/a], strategy: {name: session, key: []}}
  long: {targets: [openai/a], strategy: {name: bounded-hash, key: [session, "header:X-A", "header:x-a"]}}
  wide: {targets: [openai/a], strategy: {name: session, key: user}}
""",
    "strategy_values": """
models:
  a: {targets: [openai/a], strategy: {name: bounded-hash, load_factor: 0.9}}
  b: {targets: [openai/a], strategy: {name: bounded-hash, load_factor: 1.255}}
  c: {targets: [openai/a], strategy: {name: bounded-hash, load_factor: 125%}}
  d: {targets: [openai/a], strategy: {name: affinity, second_price: -1, index: 1KiB}}
  e: {targets: [openai/a], strategy: {name: affinity, cache_salt: tenant, index: 8388608}}
""",
    "cost_without_prices": """
providers:
  openai: {api_key: "${OPENAI_API_KEY}"}
  vllm: {dialect: openai-chat, url: "http://gpu-0:8000/v1"}
models:
  known: {targets: [openai/gpt-5-mini, {target: vllm/a, price: {input: 0, output: 0}}], strategy: cost}
  fast: {targets: [openai/gpt-5-mini, vllm/llama, openai/gpt-unheard-of], strategy: cost}
  smart: {targets: {vllm/llama: 3, openai/gpt-5-mini: 1}, strategy: cost}
  openai/*: {targets: [openai/*], strategy: cost}
""",
    "price_malformed": """
models:
  fast:
    targets: [{target: openai/a, price: {input: 1}}, {target: openai/b, price: 3}]
  smart:
    targets: {openai/a: {weight: 1, price: {input: -1, output: 1e-3, cached_input: $0.1}}}
""",
    "affinity_with_too_many": f"""
providers:
  vllm:
    dialect: openai-chat
    api_keys: ["${{OPENAI_API_KEY}}", "${{ANTHROPIC_API_KEY}}"]
    urls: [{", ".join(f"http://g{number}/v1" for number in range(33))}]
models:
  fast: {{targets: [vllm/llama], strategy: affinity}}
""",
    "replica_twice": """
providers:
  vllm:
    dialect: openai-chat
    urls: ["http://gpu-0:8000/v1", {url: "http://GPU-0:8000/v1/", weight: 2}, "http://gpu-1:8000/v1"]
models: {fast: vllm/a}
""",
    "replicas_drained": """
providers:
  vllm: {dialect: openai-chat, urls: [{url: "http://a/v1", drain: true}, {url: "http://b/v1", drain: true}]}
  found: {dialect: openai-chat, urls: [{url: "http://a/v1", drain: true}], discover: {dns: "http://all/v1"}}
models: {fast: vllm/a}
""",
    "replica_settings": """
providers:
  vllm:
    dialect: openai-chat
    urls:
      - {url: "http://a/v1", weight: 0}
      - {url: "http://b/v1", weight: -1}
      - {url: "http://c/v1", weight: 1.5, drain: yes}
      - {weight: 2}
      - {url: "c:8000", priority: 2}
      - [http://d/v1]
models: {fast: vllm/a}
""",
    "discover": """
providers:
  a: {dialect: openai-chat, discover: {every: 10s}}
  b: {dialect: openai-chat, discover: {dns: "http://b/v1", file: replicas.yaml}}
  c: {dialect: openai-chat, discover: {srv: "http://_http._tcp.c:8000/v1", every: 10ms}}
  d: {dialect: openai-chat, discover: {dns: "http://10.0.0.7:8000/v1"}}
  e: {dialect: openai-chat, discover: {dns: gpu.models.svc}}
  f: {dialect: openai-chat, discover: {file: " "}}
  g: {dialect: openai-chat, discover: http://g/v1}
  h: {dialect: openai-chat, discover: {dns: "http://h/v1", nameserver: "dns.svc:53"}}
  i: {dialect: openai-chat, discover: {file: replicas.yaml, nameserver: "10.0.0.2:53"}}
models: {fast: b/a}
""",
    "prompt_cache": """
providers:
  openai: {api_key: "${OPENAI_API_KEY}", engine: tgi, prompt_cache: {ttl: 5m, lifetime: 300, minimum: -1}}
  anthropic: {api_key: "${ANTHROPIC_API_KEY}", engine: vLLM, prompt_cache: 5m}
""",
    "words_of_others_in_placement": """
routing_strategy: least-busy
providers:
  vllm: {dialect: openai-chat, replicas: ["http://b/v1"], url: "http://a/v1"}
models:
  fast:
    targets: [{target: vllm/a, weight: 3, input_cost_per_token: 0.001}]
    lb_policy: least_conn
  smart: {targets: [vllm/a], strategy: {name: bounded-hash, mean_load_percentage: 125, ttl: 60}}
""",
    "cache_values": """
cache: {path: "", size: 256MB, memory: 10, entries: 0, redis: "http://:hunter2@cache"}
models:
  a: {targets: [openai/a], cache: {mode: exact, ttl: 0s}}
  b: {targets: [openai/a], cache: {mode: exact, ttl: -5m}}
  c: {targets: [openai/a], cache: {mode: exact, ttl: 3600, max_temperature: 2.5}}
  d: {targets: [openai/a], cache: {mode: exact, ttl: 31d}}
  e: {targets: [openai/a], cache: {mode: semantic, threshold: 95, turns: 0}}
  f: {targets: [openai/a], cache: {mode: semantic, threshold: 95%, scope: tenant, serve: shadow, replay: instant}}
  g: {targets: [openai/a], cache: {ttl: 1h}}
  h: {targets: [openai/a], cache: off}
  i: {targets: [openai/a], cache: true}
  j: {targets: [openai/a], cache: {}}
  k: {targets: [openai/a], cache: {mode: semantic, threshold: -0.1, share: 1}}
""",
    "cache_redis": """
cache: {redis: "redis://user:hunter2@cache:6379/0?x=1"}
""",
    "cache_without_effect": """
models:
  fast: {targets: [openai/a], cache: {mode: exact, threshold: 0.97, serve: always, turns: 2, ttl: 1m}}
rules:
  - {name: a, when: 'stream', cache: {mode: off, ttl: 30s}}
  - {name: b, when: 'stream', cache: {}}
  - {name: c, when: 'stream', cache: none}
  - {name: d, when: 'stream', cache: off, reject: No.}
""",
    "embedders": """
models:
  a: {targets: [openai/a], cache: {mode: semantic, embedder: opnai/small}}
  b: {targets: [openai/a], cache: {mode: semantic, embedder: a}}
  c: {targets: [openai/a], cache: {mode: semantic, embedder: openai/}}
  d: {targets: [openai/a], cache: {mode: semantic, embedder: {target: "openai/*", wait: 50}}}
  e: {targets: [openai/a], cache: {mode: semantic, embedder: anthropic/claude-haiku-4-5}}
  f: {targets: [openai/a], cache: {mode: semantic, embedder: {wait: 50ms}}}
  g: {targets: [openai/a], cache: {mode: semantic, embedder: {target: openai/small, wait: 1m, model: b}}}
  h: {targets: [openai/a], cache: {mode: exact, embedder: openai/small, judge: openai/a}}
  i: {targets: [openai/a], cache: {mode: semantic, embedder: [openai/small], judge: anthropic/claude-haiku-4-5}}
  j: {targets: [openai/a], cache: {mode: semantic, serve: always, judge: openai/a}}
  k: {targets: [openai/a], cache: {mode: semantic, judge: opnai/a}}
  l: {targets: [openai/a], cache: {mode: semantic, judge: {target: openai/a}}}
""",
    "words_of_others_in_caches": """
litellm_settings: {cache: true}
cache_params: {type: redis, host: localhost, ttl: 600}
cache: {type: redis, host: localhost, password: hunter2, ttl: 600, namespace: a, similarity_threshold: 0.8, url: a}
models:
  a: {targets: [openai/a], cache: {mode: simple, max_age: 60}}
  b: {targets: [openai/a], cache: {mode: redis-semantic, similarity_threshold: 0.8, namespace: a, redis: "redis://h"}}
  c: {targets: [openai/a], cache: {mode: semantic, conversation_history_threshold: 3, cache_by_model: 1, treshold: 1}}
  d: {targets: [openai/a], ttl: 1h}
rules:
  - {name: a, when: 'stream', cache: {scope: team}}
defaults: {cache: exact}
""",
}

# Valid, with warnings.
DOUBTS = {
    "caches_in_doubt": """
cache: {redis: "redis://:hunter2@cache:6379"}
models:
  faq: {targets: [openai/a], cache: {mode: semantic, threshold: 0.8, scope: team}}
  strict: {targets: [openai/a], cache: {mode: semantic, threshold: 0.9}}
  never: {targets: [openai/a], cache: {mode: semantic, threshold: 0.995}}
""",
    "caches_unused": """
cache: {size: 1GiB}
rules: [{name: fresh, when: 'stream', cache: off}, {name: short, when: '!stream', cache: {ttl: 1m}}]
""",
    "listeners_in_doubt": """
admin: 0.0.0.0:9400
tls: {certificate: tls/localhost.crt, key: tls/open.key}
trusted_proxies: [10.0.0.0/8, 0.0.0.0/0]
""",
    "admin_key_written": "admin: 0.0.0.0:9400\nadmin_key: sk-very-secret-1234\n",
    "providers_in_doubt": """
providers:
  openai: {api_keys: ["${OPENAI_API_KEY}", sk-very-secret-1234]}
  anthropic: {headers: {anthropic-beta: context-1m, x-goog-api-key: sk-very-secret-1234}}
  vllm:
    dialect: openai-chat
    url: "http://gpu-0:8000/v1"
    ca_file: tls/localhost.crt
    proxy: "http://user:hunter2@proxy"
  groq: {headers: {Authorization: "${SECRET}"}}
""",
    "timeouts_in_doubt": """
defaults: {timeouts: {total: 1m, first_byte: 30s}}
models:
  fast:
    targets: {openai/a: {weight: 1, timeouts: {connect: 2m}}, openai/b: 1}
  smart:
    targets: [anthropic/c, {target: openai/d, timeouts: {first_byte: 2m, gap: 59s}}]
""",
    "hash_of_the_example": """
virtual_keys:
  demo: {hash: "sha256:1111111111111111111111111111111111111111111111111111111111111111"}
""",
    "let_unused": """
let: {used: 'stream', unused: 'used'}
rules: [{name: a, when: 'used', model: fast}]
""",
    "rule_without_its_limit": """
rules:
  - {name: a, when: 'stream && tokens_used > 75', model: fast}
  - {name: b, when: 'request > 75.0 || requests_used > 75.0', model: fast}
  - name: c
    when: >-
      message_count > 9 &&
      tokens_used > 90
    model: fast
  - {name: none, when: 'params.request == "tokens_used" && model != r"\\" + "\\"request"', model: fast}
virtual_keys:
  demo:
    hash: "sha256:2904cb91b4d3e13d761f8ea8a47d42158ae6729fe2c90764d9b3b0294140812e"
    limits: {concurrency: 1}
""",
    "placement_in_doubt": """
providers:
  openai: {api_key: "${OPENAI_API_KEY}"}
  vllm: {dialect: openai-chat, url: "http://gpu-0:8000/v1", engine: vllm}
models:
  salted: {targets: [openai/a], strategy: {name: affinity, cache_salt: team}}
  partly: {targets: [openai/a, vllm/a], strategy: {name: affinity, cache_salt: team}}
  priced: {targets: [{target: openai/a, price: {input: 1, output: 2}}]}
  weighed: {targets: {openai/a: {weight: 1, price: {input: 1, output: 2}}}, strategy: least-load}
""",
}
