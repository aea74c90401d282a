-- The two roles of the example, with the least rights that work. Run once as a superuser (or the database's owner):
--   psql "$URI" -v admin_password=... -v worker_password=... -f examples/shop/roles.sql
-- read_db_admin is the operator's: it owns the registry (schema projections), the tables and the views.
-- read_db_worker is the projectors': it gets DML on the tables of its builds from the operator, and owns nothing.
SELECT 'CREATE ROLE read_db_admin LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'read_db_admin') \gexec
SELECT 'CREATE ROLE read_db_worker LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'read_db_worker') \gexec
ALTER ROLE read_db_admin PASSWORD :'admin_password';
ALTER ROLE read_db_worker PASSWORD :'worker_password';

SELECT format('GRANT CONNECT, CREATE ON DATABASE %I TO read_db_admin', current_database()) \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO read_db_worker', current_database()) \gexec
-- The public name lives here; a schema of its own works as well (spec.target.postgresql.schema).
GRANT USAGE, CREATE ON SCHEMA public TO read_db_admin;
GRANT USAGE ON SCHEMA public TO read_db_worker;
-- A swap waits for transactions that would see the past, of whichever role they are.
GRANT pg_read_all_stats TO read_db_admin;
