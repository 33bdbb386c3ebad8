-- Two roles for the guard, and what each may do. Run by an administrator of the server,
-- connected to the guard's database, with psql:
--
--   RINGFENCE_OWNER_PASSWORD_FILE=owner_password RINGFENCE_APP_PASSWORD_FILE=app_password \
--       psql --no-psqlrc --dbname ringfence --file deploy/postgres/roles.sql
--
-- ringfence_owner  owns the tables and changes them: `ringfence migrate`, and nothing else.
-- ringfence_app    reads and writes their rows: what `ringfence serve` connects as. Who
--                  takes over the application can neither change nor drop a table, nor
--                  read anything else of the server (CWE-250, ASVS 5.0 V13.2.2).
--
-- May be run again: after passwords have changed, or into a database with tables. An
-- administrator who is no superuser needs PostgreSQL 16 or newer.

\set ON_ERROR_STOP on
\set owner_password `cat "$RINGFENCE_OWNER_PASSWORD_FILE"`
\set app_password `cat "$RINGFENCE_APP_PASSWORD_FILE"`

-- The server's log must not show the passwords (CWE-532). Only a superuser may say so;
-- whoever is none looks at log_statement first.
SELECT rolsuper AS may_hush FROM pg_roles WHERE rolname = CURRENT_USER \gset
\if :may_hush
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
\endif

-- PostgreSQL takes an empty password for none.
SELECT '' IN (:'owner_password', :'app_password') AS empty \gset
\if :empty
DO $$ BEGIN RAISE EXCEPTION 'a password file is empty or missing'; END $$;
\endif

BEGIN;

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['ringfence_owner', 'ringfence_app']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

-- The server keeps a salted hash only (SCRAM).
SET LOCAL password_encryption = 'scram-sha-256';
ALTER ROLE ringfence_owner LOGIN PASSWORD :'owner_password'
    NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT 4;
-- Workers x connections of each pool (docs/guides/sizing.md), and some for a rollout.
ALTER ROLE ringfence_app LOGIN PASSWORD :'app_password'
    NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT 200;

GRANT ringfence_owner TO CURRENT_USER;

-- One schema of their own; PUBLIC may do nothing here, not even make temporary tables.
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO ringfence_owner, ringfence_app;
CREATE SCHEMA IF NOT EXISTS ringfence AUTHORIZATION ringfence_owner;
REVOKE ALL ON SCHEMA ringfence FROM PUBLIC;
GRANT USAGE ON SCHEMA ringfence TO ringfence_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ringfence TO ringfence_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA ringfence TO ringfence_app;
ALTER DEFAULT PRIVILEGES FOR ROLE ringfence_owner IN SCHEMA ringfence
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ringfence_app;
ALTER DEFAULT PRIVILEGES FOR ROLE ringfence_owner IN SCHEMA ringfence
    GRANT USAGE ON SEQUENCES TO ringfence_app;

-- Names mean this schema only: a table of the same name elsewhere is never taken for ours.
ALTER ROLE ringfence_owner IN DATABASE :"DBNAME" SET search_path = ringfence;
ALTER ROLE ringfence_app IN DATABASE :"DBNAME" SET search_path = ringfence;

-- No statement of the guard takes a tenth of this; what does has been made to, or waits
-- for a lock. The guard's own deadlines are shorter; these hold where it has died.
ALTER ROLE ringfence_app SET statement_timeout = '5s';
ALTER ROLE ringfence_app SET lock_timeout = '2s';
ALTER ROLE ringfence_app SET idle_in_transaction_session_timeout = '10s';
-- A migration that has to wait would hold up everybody behind it: rather try again.
ALTER ROLE ringfence_owner SET lock_timeout = '10s';
ALTER ROLE ringfence_owner SET idle_in_transaction_session_timeout = '60s';

REVOKE ringfence_owner FROM CURRENT_USER;

COMMIT;
