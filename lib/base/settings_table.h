/* Every setting of both programs, once. --help, the man page, conf/pnlcache.conf.example and
 * docs/settings.md are generated from this table; struct settings (base/settings.h) too.
 *
 *   SETTING(kind, NAME, field, default text, min, max, help)
 *
 * kinds: TEXT; SECRET (never printed; may come from NAME_FILE or a systemd credential);
 * INTEGER (whole number min..max); SECONDS and MILLISECONDS (INTEGER with that unit); BYTES
 * (INTEGER, suffixes k, m, g allowed); BOOLEAN (true/false/1/0/yes/no/on/off).
 * Order is the order of the documentation. No include guard: included several times. */
/* clang-format off */

SETTING(SECRET, DATABASE_URL, database_url, "postgresql:///journal", 0, 0,
        "PostgreSQL connection string (URI or key=value) of the role that reads the views")
SETTING(SECRET, IMPORT_DATABASE_URL, import_database_url, "", 0, 0,
        "the same of a role that may write the market tables, for 'pnlcache-worker import'; empty: DATABASE_URL")
SETTING(SECRET, REDIS_URL, redis_url, "redis://127.0.0.1:6379/0", 0, 0,
        "redis://[user:password@]host[:port][/db], rediss://... (TLS) or unix://[user:password@]/path/to.sock[?db=N]")
SETTING(TEXT, REDIS_TLS_CA, redis_tls_ca, "", 0, 0,
        "file of the certificates (PEM) that a rediss:// server's may be signed by; empty: those of the system")
SETTING(TEXT, KEY_PREFIX, key_prefix, "", 0, 0, "put in front of every Redis key; A-Z a-z 0-9 . _ : - only; the same for all programs of a database")

SETTING(TEXT, LISTEN, listen, "/run/pnlcache/pnlcache.sock", 0, 0,
        "where the responder listens for FastCGI: a socket path or ADDRESS:PORT")
SETTING(TEXT, LISTEN_MODE, listen_mode, "0660", 0, 0, "octal mode of the socket file")
SETTING(TEXT, LISTEN_GROUP, listen_group, "", 0, 0, "group of the socket file, usually the web server's; empty: unchanged")
SETTING(INTEGER, LISTEN_BACKLOG, listen_backlog, "4096", 1, 65535, "connections the kernel queues for the responder")
SETTING(INTEGER, THREADS, threads, "2", 1, 256, "responder threads that serve hits")
SETTING(INTEGER, MISS_THREADS, miss_threads, "4", 1, 256,
        "responder threads that compute misses; each may hold one database connection")
SETTING(INTEGER, MISS_QUEUE, miss_queue, "256", 1, 1000000, "misses that may wait or be computed, equal ones counting once; one more is answered 503")
SETTING(INTEGER, MAX_CONNECTIONS, max_connections, "10000", 1, 1000000, "FastCGI connections open at once")
SETTING(BYTES, MAX_BODY, max_body, "256k", 1024, 16777216, "largest request body")
SETTING(MILLISECONDS, REQUEST_TIMEOUT, request_timeout_ms, "10000", 100, 600000,
        "how long a request may take to arrive, and a miss to be answered")
SETTING(SECONDS, IDLE_TIMEOUT, idle_timeout_s, "75", 1, 86400,
        "idle FastCGI connections are closed after this; keep it above the web server's own keep-alive time")
SETTING(SECONDS, STOP_TIMEOUT, stop_timeout_s, "10", 0, 600, "time to finish what is in flight after SIGTERM")

SETTING(MILLISECONDS, DATABASE_TIMEOUT, database_timeout_ms, "5000", 100, 600000, "connecting, and one query of a request")
SETTING(MILLISECONDS, DATABASE_JOB_TIMEOUT, database_job_timeout_ms, "600000", 1000, 86400000, "one query of a job")
SETTING(MILLISECONDS, REDIS_TIMEOUT, redis_timeout_ms, "500", 10, 60000, "connecting, and one round trip")

SETTING(BOOLEAN, CACHE_ENABLED, cache_enabled, "true", 0, 0, "false: every answer is computed, nothing is stored")
SETTING(BOOLEAN, REDIS_ENABLED, redis_enabled, "true", 0, 0, "false: Redis is never contacted")
SETTING(SECONDS, CACHE_DEFAULT_TTL, cache_default_ttl_s, "900", 1, 604800, "TTL of a dataset whose file names none")
SETTING(SECONDS, CACHE_TTL_ANALYTICS, cache_ttl_analytics_s, "900", 1, 604800, "TTL of analytics documents")
SETTING(SECONDS, CACHE_TTL_ANALYTICS_PNL, cache_ttl_analytics_pnl_s, "1800", 1, 604800, "TTL of the pnl answers")
SETTING(SECONDS, CACHE_TTL_POSITIONS, cache_ttl_positions_s, "120", 1, 604800, "TTL of answers with open positions")
SETTING(SECONDS, CACHE_TTL_NOT_FOUND, cache_ttl_not_found_s, "30", 0, 30,
        "how long an unknown trade, symbol or playbook is remembered, unless its user's next event comes first; 0: not at all")
SETTING(SECONDS, CACHE_TTL_EPOCH, cache_ttl_epoch_s, "86400", 3600, 2592000, "TTL of the epochs, renewed when touched")
SETTING(SECONDS, CACHE_STALE_IF_ERROR, cache_stale_if_error_s, "0", 0, 86400,
        "how long past its end a value may be served, marked stale, when the database cannot answer; 0: never. An invalidated value is never served")
SETTING(BYTES, CACHE_MAX_VALUE, cache_max_value, "8m", 65536, 536870912, "larger values are not stored")
SETTING(INTEGER, CACHE_MAX_MEMORY_ENTRIES, cache_max_memory_entries, "1000", 0, 1000000,
        "values the responder keeps in its own memory, least recently used out first; 0: none")
SETTING(BYTES, CACHE_MAX_MEMORY_BYTES, cache_max_memory_bytes, "64m", 65536, 1099511627776,
        "bytes of those values together; one over an eighth of it is not kept")
SETTING(SECONDS, CACHE_DEGRADED_TTL, cache_degraded_ttl_s, "5", 0, 3600,
        "how long values in the responder's memory may be served without Redis: after Redis was last heard of, or, with "
        "REDIS_ENABLED=false, after they were computed")
SETTING(SECONDS, HTTP_MAX_AGE_PRIVATE, http_max_age_private_s, "0", 0, 86400,
        "how long a browser may keep a user's answer without asking again, at most until its end; 0: it always asks")

SETTING(SECONDS, HTTP_MAX_AGE_SHARED, http_max_age_shared_s, "300", 0, 86400,
        "how long caches may keep a shared answer without asking again, at most; what is left of its TTL counts too")

SETTING(TEXT, DATASET_DIR, dataset_dir, "/usr/local/share/pnlcache/sql/datasets", 0, 0,
        "directories of the dataset files, by colons; each file is a cached endpoint (docs/datasets.md)")
SETTING(TEXT, DATASET_TTL, dataset_ttl, "", 0, 0, "other TTLs than the files say: NAME=SECONDS, separated by commas")
SETTING(BOOLEAN, PUBLIC_DATA, public_data, "true", 0, 0, "false: shared datasets need a token as well")

SETTING(TEXT, AUTH_MODE, auth_mode, "jwt", 0, 0,
        "how callers prove who they are, a list: jwt (a bearer token), session (a cookie, begun with a bearer token), remote_user (the web server has authenticated them, see operations.md)")
SETTING(SECRET, JWT_SECRET, jwt_secret, "", 0, 0, "HS256 secret, at least 32 bytes")
SETTING(TEXT, JWT_KEYS, jwt_keys, "", 0, 0,
        "file of the public keys of RS256 and ES256 tokens: PEM or a JWK set; read again when it changes")
SETTING(TEXT, JWT_AUDIENCE, jwt_audience, "", 0, 0, "required 'aud'; empty: not checked")
SETTING(TEXT, JWT_ISSUER, jwt_issuer, "", 0, 0, "required 'iss'; empty: not checked")
SETTING(SECONDS, SESSION_IDLE_TIMEOUT, session_idle_timeout_s, "86400", 120, 31536000, "a session that is not used for this long ends")
SETTING(SECONDS, SESSION_LIFETIME, session_lifetime_s, "604800", 120, 31536000, "a session ends after this, however much it is used")
SETTING(TEXT, SESSION_COOKIE, session_cookie, "__Host-pnlcache", 0, 0,
        "name of the session's cookie; browsers keep one that begins with __Host- away from other hosts and from plain http")
SETTING(BOOLEAN, SESSION_COOKIE_SECURE, session_cookie_secure, "true", 0, 0,
        "false: the cookie goes over plain http too, for development; then SESSION_COOKIE must not begin with __Host- or __Secure-")
SETTING(TEXT, SESSION_COOKIE_SAMESITE, session_cookie_samesite, "Lax", 0, 0,
        "Lax, Strict or None: whether the cookie goes along when a page of another site asks; None needs SESSION_COOKIE_SECURE")
SETTING(SECRET, WEBHOOK_SECRETS, webhook_secrets, "", 0, 0,
        "whsec_... secrets that may sign webhooks, separated by commas or spaces; empty: webhooks are refused")
SETTING(SECONDS, WEBHOOK_TOLERANCE, webhook_tolerance_s, "300", 10, 3600, "how far a webhook's timestamp may be off")
SETTING(INTEGER, WEBHOOK_THREADS, webhook_threads, "2", 1, 64,
        "responder threads that carry webhooks out; each holds a Redis connection, and one to the database when Redis fails")
SETTING(INTEGER, WEBHOOK_QUEUE, webhook_queue, "1024", 1, 1000000, "webhooks that may wait; one more is answered 503")

SETTING(TEXT, CORS_ORIGINS, cors_origins, "", 0, 0,
        "origins whose pages may read answers in a browser, separated by commas or spaces: https://journal.example; * for any")
SETTING(TEXT, RATE_LIMIT_READS, rate_limit_reads, "off", 0, 0,
        "reads of one user: ALGORITHM:N/SECONDS, the algorithm being sliding, bucket or fixed (sliding:600/60), or off; services and admins are not counted")
SETTING(TEXT, RATE_LIMIT_ADDRESS, rate_limit_address, "off", 0, 0,
        "the same for reads from one address (IPv6: one /64), counted before the caller is known")
SETTING(TEXT, RATE_LIMIT_WEBHOOKS, rate_limit_webhooks, "bucket:20000/1", 0, 0,
        "the same for webhooks from one address, counted before the signature is looked at")

SETTING(TEXT, RATE_LIMIT_LOGINS, rate_limit_logins, "sliding:30/60", 0, 0,
        "the same for logins (POST /api/session) from one address, counted exactly, before the token is looked at")

SETTING(SECONDS, ACTIVE_WINDOW, active_window_s, "604800", 60, 31536000,
        "a user seen or changed within this time is active: scheduled jobs keep its documents fresh")
SETTING(INTEGER, WARM_USERS, warm_users, "1000", 0, 100000,
        "how many users job warm keeps ready, which also runs when a worker starts; 0: none")
SETTING(SECONDS, DEAD_LETTER_AGE, dead_letter_age_s, "2592000", 60, 31536000, "dead letters older than this are pruned")
SETTING(INTEGER, WANTED_DOCUMENTS, wanted_documents, "32", 0, 1000,
        "documents beyond the precomputed ones that are kept fresh per active user, those asked for last; 0: none")
SETTING(INTEGER, WANTED_DATASETS, wanted_datasets, "1000", 0, 100000,
        "answers of shared datasets that the jobs market and reference keep fresh, those asked for last")
SETTING(INTEGER, COLLECTION_MAX_ROWS, collection_max_rows, "20000", 1, 1000000,
        "rows of a whole collection (limit=all); a larger one is answered 422 and read in pages")
SETTING(INTEGER, PRECOMPUTE_BATCH, precompute_batch, "500", 1, 10000, "users per database snapshot in a precompute job")
SETTING(INTEGER, WORKER_CONCURRENCY, worker_concurrency, "2", 1, 64, "jobs one worker runs at once")
SETTING(SECONDS, JOB_TIMEOUT, job_timeout_s, "60", 1, 86400, "one query of a job; a computation that takes twice as long is ended and counts as a failed attempt")
SETTING(INTEGER, JOB_ATTEMPTS, job_attempts, "5", 1, 100, "a job that failed or crashed this often goes to jobs:dead")
SETTING(MILLISECONDS, OUTBOX_POLL, outbox_poll_ms, "1000", 50, 3600000, "how often the outbox is read when no notification comes")

SETTING(TEXT, LOG_LEVEL, log_level, "info", 0, 0, "error, warn, info or debug")
SETTING(TEXT, LOG_FORMAT, log_format, "auto", 0, 0, "auto (text on a terminal, else logfmt), text or logfmt")
