-- What is no part of the object interface: on plain tables (dedicated, customer-db) it works or fails as here.
-- Nothing of it may be relied on: other placement modes answer otherwise.

-- session a
INSERT INTO course (number, title) VALUES (1, 'Algebra');
INSERT INTO course (number, title) VALUES (1, 'Algebra') ON CONFLICT (number) DO UPDATE SET title = 'updated' RETURNING title;
INSERT INTO course (number, title) VALUES (1, 'Algebra') ON CONFLICT ON CONSTRAINT course_pkey DO NOTHING;
MERGE INTO course USING (VALUES (1), (2)) v (n) ON number = n
	WHEN MATCHED THEN UPDATE SET title = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (n, 'new');
COPY course TO STDOUT;
TRUNCATE course;
BEGIN;
LOCK TABLE course IN ACCESS EXCLUSIVE MODE;
DECLARE c CURSOR FOR SELECT number FROM course ORDER BY number FOR UPDATE;
FETCH 1 FROM c;
UPDATE course SET title = 'at the cursor' WHERE CURRENT OF c;
ROLLBACK;
SELECT count(*) >= 0 AS some FROM course TABLESAMPLE SYSTEM (50);
SELECT number, title FROM course GROUP BY number ORDER BY number;
SELECT ctid IS NOT NULL AS ctid, xmin IS NOT NULL AS xmin, tableoid::regclass FROM course WHERE number = 1;
SELECT DISTINCT ON (number) number FROM course ORDER BY number;
INSERT INTO course OVERRIDING SYSTEM VALUE VALUES (3, 'x');

-- DDL, code and what else a login has no right to
CREATE TABLE mine (a integer);
CREATE TEMP TABLE mine (a integer);
CREATE VIEW mine AS SELECT 1;
CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE INDEX ON course (title);
CREATE SCHEMA mine;
ALTER TABLE course ADD COLUMN a integer;
ALTER TABLE course DISABLE TRIGGER ALL;
DROP TABLE course;
VACUUM course;
ANALYZE course;
REINDEX TABLE course;
CLUSTER course USING course_pkey;
COMMENT ON TABLE course IS 'x';
GRANT SELECT ON course TO PUBLIC;
SET session_replication_role = 'replica';
SELECT pg_read_file('PG_VERSION');
COPY course FROM '/etc/passwd';
COPY course TO PROGRAM 'true';

DELETE FROM course;
SELECT count(*) FROM course;
