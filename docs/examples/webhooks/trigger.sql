-- A database that sends the webhooks itself: statement triggers that sign with pgcrypto and send with pg_net's
-- net.http_post() (any extension with such a function will do).
--
-- Such a call is sent once, after the commit, and nobody tries again: it makes the next read fresh at once, most of the
-- time. What loses nothing is the outbox, which sql/20_change_log.sql fills from triggers of its own. Keep those.
--
-- Needs the extensions pgcrypto (here in schema public) and pg_net. Change the schema `app`; then
--   INSERT INTO app.pnlcache_webhook (url, secret) VALUES ('https://journal.example', 'whsec_...');
CREATE SCHEMA IF NOT EXISTS app;

-- The secret is for the owner's eyes only; the function below runs as its owner.
CREATE TABLE app.pnlcache_webhook (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    url text NOT NULL,
    secret text NOT NULL CHECK (secret LIKE 'whsec\_%')
);
REVOKE ALL ON app.pnlcache_webhook FROM PUBLIC;

-- send_pnlcache_webhook(TYPE, USER_COLUMN, ASSET): one call for the users whose rows a statement changed, up to 1000; beyond
-- that (a bulk load) the outbox is enough.
CREATE FUNCTION app.send_pnlcache_webhook() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target app.pnlcache_webhook;
    events jsonb;
    id text := 'msg_' || replace(gen_random_uuid()::text, '-', '');
    now text := floor(extract(epoch FROM clock_timestamp()))::bigint::text;
    signature text;
BEGIN
    EXECUTE format('SELECT jsonb_agg(jsonb_build_object(''type'', $1, ''timestamp'', now(), ''data'', '
                   'jsonb_build_object(''user_id'', u, ''asset'', $2))) FROM (SELECT DISTINCT %1$I::text FROM changed_rows '
                   'LIMIT 1001) AS c (u)', TG_ARGV[1])
    INTO events USING TG_ARGV[0], TG_ARGV[2];
    SELECT * INTO target FROM app.pnlcache_webhook;
    IF events IS NULL OR jsonb_array_length(events) > 1000 OR target IS NULL THEN
        RETURN NULL;
    END IF;
    -- What is signed are the very bytes that are sent: net.http_post() sends the text of the jsonb.
    signature := encode(public.hmac(convert_to(id || '.' || now || '.' || events::text, 'UTF8'),
                                    decode(substr(target.secret, 7), 'base64'), 'sha256'), 'base64');
    PERFORM net.http_post(
        url := target.url || '/api/webhooks/trades',
        body := events,
        headers := jsonb_build_object('Content-Type', 'application/json', 'webhook-id', id, 'webhook-timestamp', now,
                                      'webhook-signature', 'v1,' || signature),
        timeout_milliseconds := 5000);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION app.send_pnlcache_webhook() FROM PUBLIC;

-- A trigger for each kind of statement, because each sees its own transition table.
CREATE TRIGGER send_pnlcache_insert AFTER INSERT ON stocks REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION app.send_pnlcache_webhook('trade.created', 'user_id', 'stocks');
CREATE TRIGGER send_pnlcache_update AFTER UPDATE ON stocks REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION app.send_pnlcache_webhook('trade.updated', 'user_id', 'stocks');
CREATE TRIGGER send_pnlcache_delete AFTER DELETE ON stocks REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION app.send_pnlcache_webhook('trade.deleted', 'user_id', 'stocks');
