-- name: migrate_1 server: lite
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE object (
	kind TEXT NOT NULL, name TEXT NOT NULL, spec TEXT NOT NULL, hash TEXT NOT NULL,
	generation INTEGER NOT NULL DEFAULT 1,
	PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE shape (hash TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE ident (
	scope TEXT NOT NULL, object TEXT NOT NULL, field TEXT NOT NULL, id TEXT NOT NULL UNIQUE,
	PRIMARY KEY (scope, object, field)) WITHOUT ROWID;
CREATE TABLE tenant (
	name TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, display TEXT,
	state TEXT NOT NULL CHECK (state IN ('provisioning','active','suspended','sealed','purging')),
	mode TEXT NOT NULL, cluster TEXT NOT NULL, dbname TEXT NOT NULL, owner TEXT NOT NULL,
	model TEXT NOT NULL, model_version INTEGER NOT NULL,
	shape TEXT NOT NULL, spec_hash TEXT NOT NULL,
	purge_after INTEGER NOT NULL DEFAULT 0, changed_run INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX tenant_cluster ON tenant (cluster);
CREATE TABLE login (
	tenant TEXT NOT NULL REFERENCES tenant (name) ON DELETE CASCADE, client_user TEXT NOT NULL,
	role TEXT NOT NULL, access TEXT NOT NULL CHECK (access IN ('rw','ro')),
	scram_verifier TEXT NOT NULL, sealed BLOB NOT NULL,
	valid_until INTEGER, max_conns INTEGER, on_now INTEGER NOT NULL DEFAULT 1,
	PRIMARY KEY (tenant, client_user)) WITHOUT ROWID;
CREATE TABLE backend_secret (
	cluster TEXT NOT NULL, role TEXT NOT NULL, sealed BLOB NOT NULL,
	PRIMARY KEY (cluster, role)) WITHOUT ROWID;
CREATE TABLE secret (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE route (
	tenant TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('open','park','off')),
	cluster TEXT NOT NULL, dbname TEXT NOT NULL,
	pool TEXT, caps TEXT, tls_profile TEXT) WITHOUT ROWID;
CREATE TABLE route_log (seq INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, epoch INTEGER NOT NULL);
CREATE INDEX route_log_tenant ON route_log (tenant, seq);
CREATE TABLE gateway (id TEXT PRIMARY KEY, socket TEXT NOT NULL, lease_until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE lease (
	scope TEXT PRIMARY KEY, slot INTEGER NOT NULL UNIQUE, run INTEGER NOT NULL,
	fence INTEGER NOT NULL, holder TEXT NOT NULL, since INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE run (
	id INTEGER PRIMARY KEY AUTOINCREMENT, verb TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('running','done','failed','undone','stopped','person')),
	actor TEXT NOT NULL, reason TEXT, started INTEGER NOT NULL, ended INTEGER,
	exit_code INTEGER);
CREATE TABLE step (
	run INTEGER NOT NULL REFERENCES run (id), id INTEGER NOT NULL,
	scope TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL UNIQUE, title TEXT NOT NULL,
	args TEXT NOT NULL,
	state TEXT NOT NULL CHECK (state IN ('waiting','intent','done','failed','unknown',
		'undoing','undone','undo_failed','abandoned')),
	attempt INTEGER NOT NULL DEFAULT 0, error TEXT, started INTEGER, ended INTEGER,
	PRIMARY KEY (run, id)) WITHOUT ROWID;
CREATE INDEX step_scope ON step (scope, state);
CREATE TABLE event (
	seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL,
	home TEXT NOT NULL, tenant TEXT, run INTEGER, step INTEGER, actor TEXT NOT NULL, reason TEXT,
	verb TEXT NOT NULL, object TEXT NOT NULL, outcome TEXT NOT NULL, before TEXT, after TEXT,
	bytes BLOB NOT NULL, prev_hash TEXT NOT NULL);
CREATE INDEX event_tenant ON event (tenant, seq);
CREATE TABLE opening (
	event INTEGER NOT NULL REFERENCES event (seq), path TEXT NOT NULL,
	salt BLOB NOT NULL, value TEXT NOT NULL, PRIMARY KEY (event, path)) WITHOUT ROWID;

-- Shared databases, and which tenants stand in them.  The partial index holds what still is to be
-- recorded of tenants, by whatever run.
-- name: migrate_2 server: lite
CREATE TABLE shared (
	name TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, cluster TEXT NOT NULL, model TEXT NOT NULL,
	active INTEGER NOT NULL CHECK (active IN (0, 1)),
	wide TEXT NOT NULL, common TEXT NOT NULL, version INTEGER NOT NULL,
	changed_run INTEGER NOT NULL DEFAULT 0, UNIQUE (cluster, model)) WITHOUT ROWID;
ALTER TABLE tenant ADD COLUMN shared TEXT REFERENCES shared (name);
ALTER TABLE tenant ADD COLUMN layout TEXT CHECK (layout IN ('views','tables'));
ALTER TABLE tenant ADD COLUMN own_views INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tenant_shared ON tenant (shared);
CREATE TABLE slot (
	tenant TEXT NOT NULL REFERENCES tenant (name) ON DELETE CASCADE,
	object TEXT NOT NULL, spare TEXT NOT NULL, field TEXT NOT NULL, generation INTEGER NOT NULL,
	PRIMARY KEY (tenant, object, spare)) WITHOUT ROWID;
CREATE INDEX step_open_record ON step (run)
	WHERE kind IN ('tenant.register','tenant.record') AND state NOT IN ('done','undone','abandoned');

-- name: object_get server: lite
SELECT spec, hash FROM object WHERE kind = ?1 AND name = ?2;

-- name: object_names server: lite
SELECT name, hash FROM object WHERE kind = ?1 ORDER BY name;

-- name: object_put server: lite
INSERT INTO object (kind, name, spec, hash) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (kind, name) DO UPDATE SET
	generation = generation + (hash <> excluded.hash), spec = excluded.spec, hash = excluded.hash;

-- name: object_remove server: lite
DELETE FROM object WHERE kind = ?1 AND name = ?2;

-- name: shape_put server: lite
INSERT INTO shape (hash, body) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING;

-- name: shape_get server: lite
SELECT body FROM shape WHERE hash = ?1;

-- name: ident_list server: lite
SELECT object, field, id FROM ident WHERE scope = ?1 ORDER BY object, field;

-- name: ident_put server: lite
INSERT INTO ident (scope, object, field, id) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (scope, object, field) DO NOTHING;

-- name: ident_rename_object server: lite
UPDATE OR IGNORE ident SET object = ?3 WHERE scope = ?1 AND object = ?2;

-- name: ident_rename_field server: lite
UPDATE OR IGNORE ident SET field = ?4 WHERE scope = ?1 AND object = ?2 AND field = ?3;

-- name: tenant_get server: lite
SELECT name, id, display, state, mode, cluster, dbname, owner, model, model_version, shape, spec_hash,
	purge_after, changed_run, shared, layout, own_views
FROM tenant WHERE name = ?1;

-- name: tenant_list server: lite
SELECT name, id, display, state, mode, cluster, dbname, owner, model, model_version, shape, spec_hash,
	purge_after, changed_run, shared, layout, own_views
FROM tenant ORDER BY name;

-- name: tenant_put server: lite
INSERT INTO tenant (name, id, display, state, mode, cluster, dbname, owner, model, model_version, shape,
	spec_hash, purge_after, changed_run, shared, layout, own_views)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
ON CONFLICT (name) DO UPDATE SET
	id = excluded.id, display = excluded.display, state = excluded.state, mode = excluded.mode,
	cluster = excluded.cluster, dbname = excluded.dbname, owner = excluded.owner,
	model = excluded.model, model_version = excluded.model_version, shape = excluded.shape,
	spec_hash = excluded.spec_hash, purge_after = excluded.purge_after,
	changed_run = excluded.changed_run, shared = excluded.shared, layout = excluded.layout,
	own_views = excluded.own_views;

-- name: tenant_state server: lite
UPDATE tenant SET state = ?2, purge_after = ?3 WHERE name = ?1;

-- name: tenant_touch server: lite
UPDATE tenant SET changed_run = ?2 WHERE name = ?1;

-- name: tenant_forget server: lite
DELETE FROM tenant WHERE name = ?1;

-- What a tenant has left there counts too.
-- name: tenants_on server: lite
SELECT (SELECT count(*) FROM tenant WHERE cluster = ?1)
	+ (SELECT count(*) FROM meta WHERE key GLOB 'left/*' AND value = ?1);

-- name: shared_get server: lite
SELECT name, id, cluster, model, active, wide, common, version, changed_run, 0
FROM shared WHERE name = ?1;

-- name: shared_tenants server: lite
SELECT count(*) FROM tenant WHERE shared = ?1;

-- name: shared_list server: lite
SELECT name, id, cluster, model, active, wide, common, version, changed_run,
	(SELECT count(*) FROM tenant t WHERE t.shared = s.name)
FROM shared s ORDER BY name;

-- name: shared_place server: lite
SELECT id, model FROM shared WHERE name = ?1;

-- name: shared_put server: lite
INSERT INTO shared (name, id, cluster, model, active, wide, common, version, changed_run)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (name) DO UPDATE SET
	active = excluded.active, wide = excluded.wide, common = excluded.common,
	version = excluded.version, changed_run = excluded.changed_run;

-- name: shared_touch server: lite
UPDATE shared SET changed_run = ?2 WHERE name = ?1;

-- name: shared_forget server: lite
DELETE FROM shared WHERE name = ?1;

-- name: shared_followers server: lite
SELECT name FROM tenant
WHERE shared = ?1 AND layout = 'views' AND own_views = 0 AND shape = ?2 ORDER BY name;

-- name: shared_follow server: lite
UPDATE tenant SET shape = ?3, model_version = ?4
WHERE shared = ?1 AND layout = 'views' AND own_views = 0 AND shape = ?2;

-- name: slot_list server: lite
SELECT object, field, spare, generation FROM slot WHERE tenant = ?1 ORDER BY object, spare;

-- name: slot_put server: lite
INSERT INTO slot (tenant, object, spare, field, generation) VALUES (?1, ?2, ?3, ?4, ?5);

-- name: slot_clear server: lite
DELETE FROM slot WHERE tenant = ?1;

-- name: login_list server: lite
SELECT client_user, role, access, scram_verifier, on_now, valid_until, max_conns
FROM login WHERE tenant = ?1 ORDER BY client_user;

-- name: login_put server: lite
INSERT INTO login (tenant, client_user, role, access, scram_verifier, sealed, on_now, valid_until,
	max_conns, client_verifier, client_sealed)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, nullif(?8, 0), nullif(?9, 0), ?10, ?11)
ON CONFLICT (tenant, client_user) DO UPDATE SET
	role = excluded.role, access = excluded.access, scram_verifier = excluded.scram_verifier,
	sealed = excluded.sealed, on_now = excluded.on_now;

-- name: login_on server: lite
UPDATE login SET on_now = ?3 WHERE tenant = ?1 AND client_user = ?2;

-- name: login_limit server: lite
UPDATE login SET valid_until = ?3, max_conns = ?4 WHERE tenant = ?1 AND client_user = ?2;

-- name: login_remove server: lite
DELETE FROM login WHERE tenant = ?1 AND client_user = ?2;

-- name: login_sealed server: lite
SELECT sealed FROM login WHERE tenant = ?1 AND client_user = ?2;

-- name: secret_put server: lite
INSERT INTO secret (name, sealed) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed;

-- name: secret_get server: lite
SELECT sealed FROM secret WHERE name = ?1;

-- name: secret_remove server: lite
DELETE FROM secret WHERE name = ?1;

-- name: secret_names server: lite
SELECT name FROM secret ORDER BY name;

-- name: route_get server: lite
SELECT tenant, epoch, seq, state, cluster, dbname, parked_until FROM route WHERE tenant = ?1;

-- name: route_list server: lite
SELECT tenant, epoch, seq, state, cluster, dbname, parked_until FROM route ORDER BY tenant;

-- name: route_log server: lite
INSERT INTO route_log (tenant, epoch)
VALUES (?1, max(?2, 1 + coalesce((SELECT epoch FROM route WHERE tenant = ?1),
	(SELECT epoch FROM route_log WHERE tenant = ?1 ORDER BY seq DESC LIMIT 1), 0)));

-- name: route_set server: lite
INSERT INTO route (tenant, epoch, seq, state, cluster, dbname, number)
SELECT tenant, epoch, seq, ?2, ?3, ?4, (SELECT coalesce(max(number), 0) + 1 FROM route)
FROM route_log WHERE seq = (SELECT max(seq) FROM route_log)
	AND tenant = ?1
ON CONFLICT (tenant) DO UPDATE SET
	epoch = excluded.epoch, seq = excluded.seq, state = excluded.state,
	cluster = excluded.cluster, dbname = excluded.dbname, parked_until = 0;

-- name: route_remove server: lite
DELETE FROM route WHERE tenant = ?1;

-- name: meta_get server: lite
SELECT value FROM meta WHERE key = ?1;

-- name: meta_put server: lite
INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: meta_add server: lite
INSERT INTO meta (key, value) VALUES (?1, '1')
ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT);

-- name: lease_get server: lite
SELECT slot, run, fence, holder, since FROM lease WHERE scope = ?1;

-- name: lease_take server: lite
INSERT INTO lease (scope, slot, run, fence, holder, since)
VALUES (?1, (SELECT coalesce(max(slot), 0) + 1 FROM lease), 0,
	coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'fence-floor'), 0), '', 0)
ON CONFLICT (scope) DO NOTHING;

-- name: lease_fence server: lite
UPDATE lease SET run = ?2, fence = fence + 1, holder = ?3, since = ?4 WHERE scope = ?1;

-- Who has a role on a cluster: as a login, other than ?3's login ?4, or as its owner.
-- name: role_holder server: lite
SELECT t.name FROM tenant t LEFT JOIN login l ON l.tenant = t.name
WHERE t.cluster = ?1 AND (l.role = ?2 AND NOT (t.name = ?3 AND l.client_user = ?4)
	OR t.owner = ?2 AND ?5)
ORDER BY t.name LIMIT 1;

-- name: database_holder server: lite
SELECT name FROM tenant WHERE cluster = ?1 AND dbname = ?2 AND name <> ?3 ORDER BY name LIMIT 1;

-- name: fence_max server: lite
SELECT max(coalesce((SELECT max(fence) FROM lease), 0), coalesce((SELECT max(epoch) FROM route), 0));

-- name: fence_raise server: lite
UPDATE lease SET fence = max(fence, ?1);

-- name: epoch_raise server: lite
INSERT INTO route_log (tenant, epoch) SELECT tenant, max(epoch, ?1) + 1 FROM route ORDER BY tenant;

-- name: epoch_follow server: lite
UPDATE route SET (epoch, seq) = (SELECT l.epoch, l.seq FROM route_log l WHERE l.tenant = route.tenant
	ORDER BY l.seq DESC LIMIT 1);
