-- The transactional outbox pnlcache.change_log, and what fills it.
--
-- A row says: the source rows behind `tag` changed for `user_id`. It carries no data, so neither order nor
-- repetition matters. It is written in the transaction of the change itself: it becomes visible with
-- the change, and a rolled back change leaves nothing. Workers claim rows with FOR UPDATE SKIP LOCKED,
-- invalidate, and delete them.
--
-- user_id NULL: for a tag of per-user rows, every user (the table was truncated); for a tag of rows that
-- belong to nobody (prices, for instance), simply "these changed".

CREATE TABLE IF NOT EXISTS pnlcache.change_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text COLLATE "C",
    tag text COLLATE "C" NOT NULL CHECK (tag ~ '^[a-z0-9_-]{1,31}$'),
    -- the top-level transaction that made the change
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (
    -- rows live for milliseconds: room for the version a worker leaves when it puts a row off, and vacuum
    -- by count, soon, and at full speed, whatever the size
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE pnlcache.change_log IS 'outbox: rows of this user and tag changed; written by triggers, deleted by workers';

-- One row per transaction, user and tag. The transaction's id is part of the key, so transactions never
-- conflict with, or wait for, each other. (Two indexes because NULLs are distinct in one.)
CREATE UNIQUE INDEX IF NOT EXISTS change_log_once_per_user
    ON pnlcache.change_log (txid, tag, user_id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS change_log_once_for_all
    ON pnlcache.change_log (txid, tag) WHERE user_id IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON pnlcache.change_log TO pnlcache;

-- The trigger function: note_change(TAG) or note_change(TAG, USER_COLUMN), AFTER ... FOR EACH STATEMENT.
--
-- With USER_COLUMN, INSERT needs REFERENCING NEW TABLE AS new_rows, DELETE needs OLD TABLE AS old_rows, UPDATE
-- needs both (a changed owner notes the old and the new one); TRUNCATE notes NULL, every user. Without
-- USER_COLUMN the rows belong to nobody and NULL is noted. pnlcache.watch_table() below sets all of it up.
--
-- An id over 128 bytes is not noted: the programs refuse it, so there is nothing cached for it.
--
-- SECURITY DEFINER: who may write the watched table needs no right on the outbox.
--
-- A NOTIFY without payload wakes a listening worker. `SET pnlcache.notify = off` (for a session, role or
-- database) leaves it out: NOTIFY takes a database-wide lock at commit, which hurts under very many
-- small commits, and cannot be used with PREPARE TRANSACTION. Workers poll as well.
CREATE OR REPLACE FUNCTION pnlcache.note_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed text;
    noted bigint;
BEGIN
    IF TG_NARGS < 2 OR TG_OP = 'TRUNCATE' THEN
        INSERT INTO pnlcache.change_log (user_id, tag) VALUES (NULL, TG_ARGV[0]) ON CONFLICT DO NOTHING;
    ELSE
        changed := CASE TG_OP
            WHEN 'INSERT' THEN 'SELECT DISTINCT %1$I::text FROM new_rows'
            WHEN 'DELETE' THEN 'SELECT DISTINCT %1$I::text FROM old_rows'
            ELSE 'SELECT %1$I::text FROM old_rows UNION SELECT %1$I::text FROM new_rows'
        END;
        EXECUTE format('INSERT INTO pnlcache.change_log (user_id, tag) SELECT u, $1 FROM (' || changed || ') AS c (u) '
                       'WHERE octet_length(u) <= 128 ON CONFLICT DO NOTHING', TG_ARGV[1])
        USING TG_ARGV[0];
    END IF;
    GET DIAGNOSTICS noted = ROW_COUNT;
    IF noted > 0 AND lower(coalesce(current_setting('pnlcache.notify', true), '')) NOT IN ('off', 'false', 'no', '0') THEN
        PERFORM pg_notify('pnlcache_change', '');
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION pnlcache.note_change() FROM PUBLIC;

-- Tells pnlcache that a user was deleted, for applications that delete in the database and send no webhook: call it in the
-- transaction of the deletion, or from a trigger AFTER DELETE on the table of users. A worker then removes everything
-- Redis holds of the user, and for a day nothing of that id is stored again. The row's tag is `erase`.
CREATE OR REPLACE FUNCTION pnlcache.erase_user(user_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF user_id IS NULL OR octet_length(user_id) NOT BETWEEN 1 AND 128 THEN
        RAISE EXCEPTION 'user_id %: expected 1 to 128 bytes', quote_nullable(user_id) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO pnlcache.change_log (user_id, tag) VALUES (erase_user.user_id, 'erase') ON CONFLICT DO NOTHING;
    IF lower(coalesce(current_setting('pnlcache.notify', true), '')) NOT IN ('off', 'false', 'no', '0') THEN
        PERFORM pg_notify('pnlcache_change', '');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION pnlcache.erase_user(text) FROM PUBLIC;

-- Attaches the triggers to a table of any application; again is harmless. Needs the rights of the
-- table's owner, USAGE on schema pnlcache and EXECUTE on both functions here.
--
--   CALL pnlcache.watch_table('trades.executions', 'stocks');              its user is in column user_id
--   CALL pnlcache.watch_table('trades.executions', 'stocks', 'owner');     ... in column owner
--   CALL pnlcache.watch_table('market.quotes', 'prices', NULL);            its rows belong to nobody
CREATE OR REPLACE PROCEDURE pnlcache.watch_table(watched regclass, tag text, user_column text DEFAULT 'user_id')
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF tag IS NULL OR tag !~ '^[a-z0-9_-]{1,31}$' THEN
        RAISE EXCEPTION 'tag %: expected 1 to 31 of a-z 0-9 _ -', quote_nullable(tag) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF user_column IS NULL THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER pnlcache_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION pnlcache.note_change(%L)', watched, tag);
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute
                   WHERE attrelid = watched AND attname = user_column AND attnum > 0 AND NOT attisdropped) THEN
        RAISE EXCEPTION 'table % has no column %', watched, quote_ident(user_column) USING ERRCODE = 'undefined_column';
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER pnlcache_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows '
                   'FOR EACH STATEMENT EXECUTE FUNCTION pnlcache.note_change(%L, %L)', watched, tag, user_column);
    EXECUTE format('CREATE OR REPLACE TRIGGER pnlcache_update AFTER UPDATE ON %s '
                   'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
                   'FOR EACH STATEMENT EXECUTE FUNCTION pnlcache.note_change(%L, %L)', watched, tag, user_column);
    EXECUTE format('CREATE OR REPLACE TRIGGER pnlcache_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows '
                   'FOR EACH STATEMENT EXECUTE FUNCTION pnlcache.note_change(%L, %L)', watched, tag, user_column);
    EXECUTE format('CREATE OR REPLACE TRIGGER pnlcache_truncate AFTER TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION pnlcache.note_change(%L, %L)', watched, tag, user_column);
END
$$;
REVOKE ALL ON PROCEDURE pnlcache.watch_table(regclass, text, text) FROM PUBLIC;
