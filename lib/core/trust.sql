-- What clusters on hosts prove themselves with; a gateway that has it open is told when it changes.
-- name: migrate_7 server: lite
CREATE TABLE certificate (cluster TEXT PRIMARY KEY, pem TEXT NOT NULL) WITHOUT ROWID;
CREATE TRIGGER certificate_new AFTER INSERT ON certificate BEGIN
	INSERT INTO route_log (tenant, epoch) VALUES ('@' || NEW.cluster, 0);
END;
CREATE TRIGGER certificate_changed AFTER UPDATE ON certificate WHEN NEW.pem <> OLD.pem BEGIN
	INSERT INTO route_log (tenant, epoch) VALUES ('@' || NEW.cluster, 0);
END;

-- name: certificate_put server: lite
INSERT INTO certificate (cluster, pem) VALUES (?1, ?2) ON CONFLICT (cluster) DO UPDATE SET pem = excluded.pem;

-- name: certificate_get server: lite
SELECT pem FROM certificate WHERE cluster = ?1;

-- name: certificate_remove server: lite
DELETE FROM certificate WHERE cluster = ?1;
