-- Schema pnlcache and the role the programs log in as.
--
-- Who runs this: the owner of the journal's database. The role is created only when it does not exist (that
-- needs CREATEROLE); it gets no password here: let it in by peer or trust authentication on a socket, or
-- run ALTER ROLE pnlcache PASSWORD '...' by hand.
--
-- What the role may do is granted next to each object: SELECT on the views of schema pnlcache, and
-- SELECT, INSERT, UPDATE, DELETE on pnlcache.change_log. Nothing on the journal's own tables: the views
-- read them with their owner's rights.

-- Two runs at the same time take turns.
SELECT pg_advisory_xact_lock(hashtext('pnlcache schema')) \g /dev/null

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pnlcache') THEN
        CREATE ROLE pnlcache LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server was first
END
$$;

CREATE SCHEMA IF NOT EXISTS pnlcache;
COMMENT ON SCHEMA pnlcache IS 'what the pnlcache programs may see of this database: views, and the outbox change_log';

REVOKE ALL ON SCHEMA pnlcache FROM PUBLIC;
GRANT USAGE ON SCHEMA pnlcache TO pnlcache;
