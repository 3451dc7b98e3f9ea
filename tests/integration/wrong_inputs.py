"""What people get wrong, and what they read then: the table behind ``docs/troubleshooting.md``.

In a text ``…`` stands for what differs from case to case. ``{closed}`` and the like stand for what the stage offers:
``closed`` a port that nobody listens on, ``web`` the port of an HTTP server, ``busy`` a port in use, ``silent`` one
that takes connections and says nothing, ``proxy`` an egress proxy that wants a password, ``relay`` the address of a
running relay, ``redis`` a Redis without TLS.
"""

from __future__ import annotations

from collections.abc import Mapping

from relay.cli.outcome import BAD_CONFIGURATION, FAILED
from tests.integration.mistakes import (
    NEAR,
    Wrong,
    config,
    connect,
    file_as_folder,
    folder,
    letter,
    locked,
    sink,
    start,
    usage,
)

TOKENS = "server: {api_tokens: [api-token-of-enough-length-0123456789]}\n"
FREE = "server: {port: 0}\nadmin: {port: 0}\njournal: {path: place}\n"

REPLAY = "replay --sink events --topic again --yes --url {relay} --token api-token-of-enough-length-0123456789"
ASK = "--url {relay} --token api-token-of-enough-length-0123456789"
EVENTS = "sinks: [{type: redis, name: events}]\n"

USAGES = (
    usage("tial", "No such command 'tial'. Did you mean 'tail'?", process=True),
    usage("journal verfy", "No such command 'verfy'. Did you mean 'verify'?"),
    usage("tail --frm-start", "No such option: --frm-start (Possible options: --from-start)"),
    usage("show", "Missing argument 'ID'."),
    usage("replay", "Missing option '--from'."),
    usage("tail --after soon", "Invalid value for '--after': must be an offset like 17, or 'latest'"),
    usage("tail --after 1 --from-start", "Invalid value for '--from-start': excludes --after"),
    usage("tail --topic task", "Invalid value for '--topic': 'task' is not one of them; did you mean 'tasks'?"),
    usage(
        "tail --type relay.task.suceeded",
        "'relay.task.suceeded' is not one of them; did you mean 'relay.task.succeeded'?",
    ),
    usage(
        "journal export --topic zz",
        "'zz' is not one of them; known here: tasks, chat, chat-chunks, outputs, dead-letters",
    ),
    usage("journal export --after x", "Invalid value for '--after': Input should be a valid integer, …"),
    usage("tail --url ftp://x", "Invalid value for '--url': must look like http://127.0.0.1:8080"),
    usage("tail --url 127.0.0.1:8080", "Invalid value for '--url': must look like http://127.0.0.1:8080"),
    usage("tasks --state zz", "Invalid value for '--state': 'zz' is not one of them; known here: pending, …"),
    usage("tasks --state runing", "'runing' is not one of them; did you mean 'running'?"),
    usage("tasks --limit 0", "Invalid value for '--limit': Input should be greater than or equal to 1"),
    usage(
        "tasks --sort tokens", "Invalid value for '--sort': 'tokens' is not one of them; known here: newest, duration"
    ),
    usage("chats --sort token", "'token' is not one of them; did you mean 'tokens'?"),
    usage("chats --api message", "'message' is not one of them; did you mean 'messages'?"),
    usage("chats --state opn", "'opn' is not one of them; did you mean 'open'?"),
    usage("dead-letters replay", "Invalid value: name dead letters, or pass --all"),
    usage("dead-letters delete --all dead-1", "Invalid value: name dead letters, or pass --all"),
    usage(f"dead-letters delete --all {ASK}", "Invalid value for '--all': needs --yes without a terminal"),
    usage(
        "replay --from 1 --to 2 --sink x",
        "Invalid value for '--topic': choose the target: --topic NAME or --same-topic",
    ),
    usage(
        "replay --from yesterday --to latest --sink x --topic y",
        "Invalid value for '--from': must be an offset like 17, or a time like 2026-01-31T09:00:00Z",
    ),
    usage("replay --from 1 --to latest --sink x --topic y", "no sink is configured as 'x'; known here: nothing"),
    usage("simulate --fault lots=1", "Invalid value for '--fault': 'lots' is not a fault; known: …"),
    usage("simulate --fault lost=often", "Invalid value for '--fault': write a rate from 0 to 1, like lost=0.1"),
    usage("simulate --queue 5", "Invalid value for '--queue': has no unit: write 5s or 5ms"),
    usage("simulate --webhook-spacing 1", "Invalid value for '--webhook-spacing': has no unit: write 1s or 1ms"),
    usage("simulate --outage down", "Invalid value for '--outage': write one of … with its time, like down@30s+1m"),
    usage("demo --tasks 0", "Invalid value for '--tasks': Input should be greater than or equal to 1"),
    usage("schema task --output x", "Invalid value for '--output': writes all schemas: omit the name"),
    usage("openapi --yaml --json", "Invalid value for '--yaml': excludes --json"),
    usage("register-schemas nonsense", "Invalid value for 'URL': must look like http://host:8081"),
)

CONFIGURATIONS = (
    config("server: {prot: 80}", "server.prot: unknown key; did you mean 'port'?", process=True),
    config("servr: {port: 1}", "servr: unknown key; did you mean 'server'?"),
    config("server:\n\tport: 1\n", "is not valid YAML (column …): …; check indentation and quotes"),
    config("- a", "must be a mapping of sections, like 'server: {port: 8080}'"),
    config("server: {port: 1}\nserver: {port: 2}", "server: is given twice, first on line 1; keep one of them"),
    config("server: {port: eighty}", "server.port: must be a whole number"),
    config("server: {port: 70000}", "server.port: must be less than or equal to 65535"),
    config(
        "server: {port: 80}\nadmin: {port: 80}",
        "admin.port: is also server.port on the same host; give each listener its own",
    ),
    config("server: [1]", "server: must be a mapping of keys to values"),
    config("identity: [a, b]", "identity: must be text, not a list"),
    config("identity: {a: b}", "identity: must be text, not a mapping of keys to values"),
    config("identity: a b", "identity: must match pattern …"),
    config("dedup: {window: 7}", "dedup.window: has no unit: write 7s or 7ms"),
    config(
        "journal: {max_size: 10MB}",
        "journal.max_size: must have a unit of KiB, MiB, GiB or TiB (powers of 1024): write 10MiB",
    ),
    config(
        "journal: {retention: soon}",
        "journal.retention: must be a duration: a number and one of ms, s, m, h, d, like 250ms, 30s or 7d",
    ),
    config("webhooks: {novita: {tokens: abc}}", "webhooks.novita.tokens: must be a list, like [a, b]"),
    config("console: {enabled: maybe}", "console.enabled: must be true or false"),
    config("log: {level: verbose}", "log.level: must be 'debug', 'info', 'warning' or 'error'"),
    config("server: {api_tokens: ['']}", "server.api_tokens.0: is empty: give it a value, or remove the key"),
    config(
        "server: {public_url: 'https://x.example'}", "server.api_tokens: is empty while server.public_url is set: …"
    ),
    config(
        "server: {public_url: x.example}",
        "server.public_url: must be a URL that begins with https:// or http:// and names a host",
    ),
    config(
        "upstream: {base_url: api.novita.ai}",
        "upstream.base_url: must be a URL that begins with https:// or http:// and names a host",
    ),
    config("server: {proxy_protocol: true}", "server.trusted_proxies: is empty while server.proxy_protocol is true…"),
    config("server: {host: 'unix:relay.sock'}", "server.host: must be the full path of a socket…"),
    config("upstream: {proxy: 'proxy.example:3128'}", "upstream.proxy: must be an address like http://user:password@…"),
    config("sinks: {type: kafka}", "sinks: must be a list, like [a, b]"),
    config("sinks: [kafka]", "sinks.0: must be a mapping of keys to values, like {type: kafka}"),
    config("sinks: [{url: 'redis://x'}]", "sinks.0.type: is required; known here: kafka, redis"),
    config("sinks: [{type: kafak}]", "sinks.0.type: unknown type of sink; did you mean 'kafka'?"),
    config("sinks: [{type: redis}, {type: redis}]", "sinks: two sinks have the label redis: give each its own name"),
    config(
        "sinks: [{type: kafka, sasl: {mechanism: PLAIN}}]",
        "sinks.0.sasl: unknown key; did you mean sasl_mechanism, sasl_plain_username, sasl_plain_password, …",
    ),
    config(
        "sinks: [{type: kafka, security_protocol: SASL_SSL}]",
        "sinks.0: sasl_mechanism PLAIN needs sasl_plain_username and sasl_plain_password",
    ),
    config(
        "sinks: [{type: kafka, security_protocol: TLS}]", "sinks.0.security_protocol: must be 'PLAINTEXT', 'SSL', …"
    ),
    config(
        "sinks: [{type: kafka, bootstrap_servers: ['a:9092', 'b:9092']}]",
        "sinks.0.bootstrap_servers: must be one text without a scheme: host:port, separated by commas",
    ),
    config(
        "sinks: [{type: kafka, bootstrap_servers: 'kafka://a:9092'}]",
        "sinks.0.bootstrap_servers: must be one text without a scheme: host:port, separated by commas",
    ),
    config(
        "sinks: [{type: redis, url: 'localhost:6379'}]",
        "sinks.0.url: url must start with redis://, rediss:// (TLS) or unix://",
    ),
    config("sinks: [{type: redis, url: ['redis://a']}]", "sinks.0.url: must be text, not a list"),
    config("{}", "RELAY_SERVR__PORT: unknown variable; did you mean 'RELAY_SERVER__PORT'?", RELAY_SERVR__PORT="1"),
    config("{}", "RELAY_SERVER__PORT: must be a whole number", RELAY_SERVER__PORT="x"),
    Wrong("check -c nowhere.yaml", BAD_CONFIGURATION, "nowhere.yaml: cannot be read: No such file or directory"),
    Wrong("check -c .", BAD_CONFIGURATION, ".: cannot be read: Is a directory"),
    Wrong(
        "check",
        BAD_CONFIGURATION,
        "relay.yaml: is not UTF-8 text",
        before=lambda path: (path / "relay.yaml").write_bytes(b"\xff\xfe\x00"),
    ),
)

FOREIGN = "Set another journal.path (--path for `relay journal`); the file was not changed."
NAME_A_FILE = "Name a file in it as journal.path, like …/relay.db."
NO_DATABASE = "… is not a relay journal: it is no SQLite database, or its first page is damaged."
UNOPENED = "Check journal.path, the volume and its permissions."
ADDRESS = (
    "Stop what uses this port (ss -ltnp), or choose another server.port or admin.port. "
    "The host must be an address of this machine."
)
IN_PLACE = "server: {port: 0}\nadmin: {port: 0}\njournal: {path: place/relay.db}\n"
STARTS = (
    start(
        "Cannot listen on 127.0.0.1:…: Address already in use.",
        ADDRESS,
        "server: {port: {busy}}\nadmin: {port: 0}\njournal: {path: place}\n",
    ),
    start(
        "Cannot listen on 192.0.2.1:…: Cannot assign requested address.",
        ADDRESS,
        "server: {host: 192.0.2.1, port: 0}\nadmin: {port: 0}\njournal: {path: place}\n",
    ),
    start(
        "server.tls.cert_file and key_file cannot be used: No such file or directory.",
        "They must be readable files in PEM: the certificate with its chain, and its key without a password.",
        "server: {port: 0, tls: {cert_file: cert.pem, key_file: key.pem}}\nadmin: {port: 0}\njournal: {path: place}\n",
    ),
    start("… is not a relay journal: it is a folder.", NAME_A_FILE, FREE, before=folder),
    start(NO_DATABASE, FOREIGN, FREE, before=letter),
    start("The journal …/place/relay.db cannot be opened: Not a directory.", UNOPENED, IN_PLACE, before=file_as_folder),
    start(
        "The journal …/place/relay.db cannot be opened: Permission denied.",
        UNOPENED,
        IN_PLACE,
        before=locked,
        rights=False,
    ),
    Wrong(
        "journal stats --path place",
        FAILED,
        "… is not a relay journal: it is a folder.",
        NAME_A_FILE,
        before=folder,
    ),
    Wrong(
        "journal verify --path place",
        FAILED,
        NO_DATABASE,
        FOREIGN,
        before=letter,
    ),
    Wrong(
        "journal stats --path place", FAILED, "… is not a relay journal: it is empty.", FOREIGN, before=file_as_folder
    ),
    Wrong(
        "journal export --path nowhere",
        FAILED,
        "There is no journal ….",
        "Name it with --path, or the configuration with --config.",
    ),
    Wrong(
        "drain --stopped",
        FAILED,
        "There is no journal ….",
        "Run it with the stopped relay's own configuration, where its volume is mounted.",
        config=FREE + EVENTS,
    ),
    Wrong("drain --stopped", FAILED, "No sink is configured, so there is nowhere to publish to.", "Configure sinks."),
)

RUNNING = "Is it running? Start one with `relay serve`, or pass another address with `--url`."
TOKEN = "Pass one of server.api_tokens with --token-file or the variable RELAY_API_TOKEN."
CALLS = (
    Wrong(
        "status --url http://127.0.0.1:{closed}",
        FAILED,
        "The relay at … cannot be reached: Connection refused.",
        RUNNING,
        process=True,
    ),
    Wrong(
        "tail --url http://nowhere.invalid:8080",
        FAILED,
        "The relay at … cannot be reached: its name cannot be resolved (…).",
        RUNNING,
    ),
    Wrong(
        "tail --url https://127.0.0.1:{web}",
        FAILED,
        "The relay at … cannot be reached: it does not speak TLS.",
        "Pass its address with http://, or that of the proxy in front of it that speaks TLS.",
    ),
    Wrong(
        "status --url http://127.0.0.1:{web}",
        FAILED,
        "… answered …, but not with a document of relay.",
        "Is this relay's main listener (server.port)? A gateway in front of relay may also answer so.",
    ),
    Wrong(
        "status --url {relay}",
        FAILED,
        "A valid token is required: This route takes a bearer token from server.api_tokens.",
        TOKEN,
    ),
    Wrong(
        "tasks --url {relay} --token wrong",
        FAILED,
        "A valid token is required: This route takes a bearer token from server.api_tokens.",
        TOKEN,
    ),
    Wrong(
        "tail --token-file nowhere",
        FAILED,
        "nowhere: No such file or directory.",
        "Check the path; a relative one begins in the current folder.",
    ),
    Wrong("tail --token-file place", FAILED, "place: Is a directory.", "Name a file in it.", before=folder),
    Wrong("tail --token-file place", FAILED, "place is empty.", "It must hold one token.", before=file_as_folder),
    Wrong(
        "tail --token-file place",
        FAILED,
        "place is not text.",
        "It must hold one token.",
        before=lambda path: (path / "place").write_bytes(b"\xff\xfe"),
    ),
    Wrong(
        "tail --token-file place",
        FAILED,
        "The token is not one line of printable ASCII.",
        "Look for stray characters.",
        before=letter,
    ),
    Wrong(
        "tail",
        FAILED,
        "server.port is 0, so only the relay's log shows the port.",
        "Give --url.",
        config="server: {port: 0}",
    ),
)

KAFKA = "Check bootstrap_servers and security_protocol, and whether the broker is up."
REDIS = "Check url, and whether Redis runs there and is reachable from here. A TLS port needs a rediss:// url."
CONNECTIONS = (
    sink(
        "type: kafka, bootstrap_servers: '127.0.0.1:{closed}'", "No connection to Kafka …: Connection refused.", KAFKA
    ),
    sink(
        "type: kafka, bootstrap_servers: 'nowhere.invalid:9092'",
        "No connection to Kafka …: its name cannot be resolved (…).",
        KAFKA,
    ),
    sink(
        "type: kafka, bootstrap_servers: '127.0.0.1:{web}'",
        "… answers, but not as Kafka does.",
        "Which service listens there? Name Kafka's port in bootstrap_servers.",
    ),
    sink(
        "type: kafka, bootstrap_servers: '127.0.0.1:{web}', security_protocol: SSL",
        "No TLS connection to Kafka …: it does not speak TLS.",
        "That port takes plain connections: name Kafka's TLS port, or set security_protocol accordingly.",
    ),
    sink(
        "type: kafka, security_protocol: SSL, ssl_cafile: nowhere.pem",
        "The TLS files of the Kafka sink cannot be used: No such file or directory.",
        "Check ssl_cafile, ssl_certfile, ssl_keyfile and ssl_password: PEM files, readable by the relay.",
    ),
    sink(
        "type: kafka, bootstrap_servers: '127.0.0.1:{silent}', open_timeout: 4s",
        "Kafka did not answer in time (opening the Kafka sink).",
        "Are the brokers up? A port that takes connections and says nothing may be another service's, "
        "or one for TLS: see security_protocol.",
    ),
    sink(
        "type: redis, socket_timeout: 2s, wait_timeout: 1s, url: 'redis://127.0.0.1:{silent}'",
        "Redis … did not answer in time.",
        "Is it Redis, and not overloaded? A TLS port needs a rediss:// url, a slow link a higher socket_timeout.",
    ),
    sink("type: redis, url: 'redis://127.0.0.1:{closed}'", "No connection to Redis …: Connection refused.", REDIS),
    sink(
        "type: redis, url: 'redis://nowhere.invalid:6379'",
        "No connection to Redis …: its name cannot be resolved (…).",
        REDIS,
    ),
    sink(
        "type: redis, url: 'redis://127.0.0.1:{web}'",
        "… answers, but not as Redis does.",
        "Which service listens there? Name Redis' port in url; a TLS port needs a rediss:// url.",
    ),
    sink(
        "type: redis, url: 'rediss://127.0.0.1:{web}'",
        "No TLS connection to Redis …: it does not speak TLS.",
        "Is it a TLS port? One without TLS needs a redis:// url.",
    ),
    sink(
        "type: redis, socket_connect_timeout: 1s, socket_timeout: 2s, wait_timeout: 1s, url: 'rediss://{redis}'",
        "Redis … did not complete the TLS handshake in time.",
        "Is it a TLS port? One without TLS needs a redis:// url.",
    ),
    connect(
        "dedup: {shared_index: 'redis://127.0.0.1:{closed}'}\n" + NEAR,
        "No connection to Redis …: Connection refused.",
        REDIS,
    ),
    connect(
        "upstream: {base_url: 'http://127.0.0.1:{closed}'}",
        "http://127.0.0.1:… cannot be reached: Connection refused.",
        "Check upstream.base_url and the network.",
    ),
    connect(
        "upstream: {base_url: 'https://127.0.0.1:{web}'}",
        "https://127.0.0.1:… cannot be reached: it does not speak TLS.",
        "Check upstream.base_url and the network.",
    ),
    connect(
        "upstream: {proxy: 'http://127.0.0.1:{web}'}",
        "… cannot be reached: the egress proxy opened no tunnel to api.novita.ai:443 (HTTP 501); …",
        "Check whether the proxy reaches the upstream: its log says why it did not.",
    ),
    connect(
        "upstream: {proxy: 'http://{proxy}'}",
        "… cannot be reached: the egress proxy wants a user and a password (HTTP 407); …",
        "Check the user and the password in upstream.proxy.",
    ),
    connect(
        "upstream: {proxy: 'http://relay:wrong@{proxy}'}",
        "… cannot be reached: the egress proxy refuses relay's user or password (HTTP 401); …",
        "Check the user and the password in upstream.proxy.",
    ),
    Wrong(
        "register-schemas http://127.0.0.1:{closed}",
        FAILED,
        "The registry at … cannot be reached: Connection refused.",
        "Check the address and the network; nothing else of relay needs the registry.",
    ),
    Wrong(
        "register-schemas http://127.0.0.1:{web}",
        FAILED,
        "… answered …, but not as a schema registry does.",
        "Apicurio's address ends in /apis/ccompat/v7.",
    ),
)

FINDINGS = (
    Wrong(
        f"show nobody {ASK}",
        FAILED,
        "No task, chat or delivery has the id nobody, or the journal holds no event about it any more.",
        "`relay tasks` and `relay chats` list them.",
    ),
    Wrong(
        f"dead-letters show dead-1 {ASK}",
        FAILED,
        "Not found: No dead letter has this id.",
        "Check the path and the id.",
    ),
    Wrong(
        f"tasks --since yesterday {ASK}",
        FAILED,
        "The parameter since must be a time like 2026-01-31T09:00:00Z, or how long ago: 15m, 2h, 7d.",
    ),
    Wrong(
        f"chats --since 1h --until 2h {ASK}",
        FAILED,
        "The parameter since must not be later than until: 2h is longer ago than 1h.",
    ),
    Wrong(
        f"{REPLAY} --from 1 --to 99",
        FAILED,
        "--to 99 is beyond the newest event, which has offset 3.",
        "Use --to latest.",
        config=EVENTS,
    ),
    Wrong(
        f"{REPLAY} --from 90 --to latest",
        FAILED,
        "The journal holds no event from 90 to 3; the newest has offset 3.",
        "`relay tail --no-follow --json` shows what it holds.",
        config=EVENTS,
    ),
    Wrong("schema nope", FAILED, "There is no schema 'nope'.", "Known: task, …"),
)

SECTIONS: Mapping[str, tuple[Wrong, ...]] = {
    "The command line is not understood": USAGES,
    "The configuration is refused": CONFIGURATIONS,
    "relay does not start, or a journal cannot be opened": STARTS,
    "A command does not reach relay": CALLS,
    "A sink, the upstream or the registry cannot be reached": CONNECTIONS,
    "Nothing is found": FINDINGS,
}
"""By symptom, under the headings of the page."""
