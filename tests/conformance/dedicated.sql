-- What the hardened template of a vendor's cluster takes away.  A customer's own server may allow it.

-- session a
DO 'BEGIN END';
SELECT pg_notify('x', '');
SELECT pg_advisory_lock(1);
SELECT lo_create(0);
SELECT count(*) > 0 AS some FROM pg_roles;
SELECT count(*) > 0 AS some FROM pg_database;
SELECT count(*) FROM pg_stat_activity;
SELECT count(*) FROM pg_locks;
SELECT pg_database_size(current_database());
