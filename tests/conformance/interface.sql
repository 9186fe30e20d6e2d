-- The one object interface: the output of this script is the same in every placement mode.
-- "-- session NAME" says which connection the statements that follow go to.

-- session a
-- what an application finds when it connects
SHOW TimeZone;
SHOW DateStyle;
SELECT current_setting('search_path') <> '' AS has_path;
SELECT count(*) FROM country;

-- every type, its default and null
INSERT INTO sample (id) VALUES (1);
SELECT id, a_text, free_text, an_integer, a_number, free_number, a_boolean, a_date, a_timestamp, a_uuid, a_json,
	some_bytes, needed FROM sample;
SELECT today = CURRENT_DATE AS today, now <= clock_timestamp() AS now, now > clock_timestamp() - interval '1 hour' AS recent,
	random IS NOT NULL AS random, random <> a_uuid AS other FROM sample;
SELECT pg_typeof(a_text) AS a_text, pg_typeof(an_integer) AS an_integer, pg_typeof(a_number) AS a_number,
	pg_typeof(a_boolean) AS a_boolean, pg_typeof(a_date) AS a_date, pg_typeof(a_timestamp) AS a_timestamp,
	pg_typeof(a_uuid) AS a_uuid, pg_typeof(a_json) AS a_json, pg_typeof(some_bytes) AS some_bytes FROM sample;
UPDATE sample SET a_text = NULL, an_integer = NULL, a_number = NULL, a_boolean = NULL, a_date = NULL, today = NULL,
	a_timestamp = NULL, now = NULL, a_uuid = NULL, random = NULL, a_json = NULL, some_bytes = NULL
	RETURNING id, a_text, an_integer, a_number, a_boolean, a_date, a_timestamp, a_uuid, a_json, some_bytes;
UPDATE sample SET a_text = DEFAULT, an_integer = DEFAULT, needed = DEFAULT RETURNING a_text, an_integer, needed;
UPDATE sample SET needed = NULL;
INSERT INTO sample (id, needed) VALUES (2, NULL);
INSERT INTO sample VALUES (2, DEFAULT, 'free', 9223372036854775807, 99999.999, 1e-30, false, '0001-01-01',
	'2026-11-21 12:00:00+02', '9999-12-31', '2026-11-21T10:00:00.123456Z', DEFAULT, '00000000-0000-4000-8000-000000000002') RETURNING *;
SELECT * FROM sample WHERE id = 2;
DELETE FROM sample WHERE id = 2;
INSERT INTO sample (id, a_date, today, a_timestamp, now, a_uuid, random, a_json, some_bytes) VALUES (3, '2024-02-29',
	'infinity', '2026-03-29 02:30:00+02', '-infinity', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
	'{a0eebc999c0b4ef8bb6d6bb9bd380a12}', '{"b":1,"a":{"c":[true,null,1.50]},"b":2}', '\xdeadBEEF')
	RETURNING a_date, today, a_timestamp, now, a_uuid, random, a_json, some_bytes;

-- values that no field takes
INSERT INTO sample (id, a_text) VALUES (9, 'sechs!');
INSERT INTO sample (id, a_text) VALUES (9, '五个汉字呀');
UPDATE sample SET a_text = '六个汉字呀呀' WHERE id = 9;
INSERT INTO sample (id, an_integer) VALUES (10, 9223372036854775808);
INSERT INTO sample (id, an_integer) VALUES (10, 'ten');
INSERT INTO sample (id, a_number) VALUES (10, 100000);
INSERT INTO sample (id, a_number) VALUES (10, 1.23456) RETURNING a_number;
INSERT INTO sample (id, a_boolean) VALUES (11, 'perhaps');
INSERT INTO sample (id, a_date) VALUES (11, '2026-02-30');
INSERT INTO sample (id, a_timestamp) VALUES (11, 'soon');
INSERT INTO sample (id, a_uuid) VALUES (11, 'x');
INSERT INTO sample (id, a_json) VALUES (11, '{"a":}');
INSERT INTO sample (id, some_bytes) VALUES (11, '\xzz');
INSERT INTO sample (id, a_text) VALUES (1, 'twice');
INSERT INTO sample (a_text) VALUES ('nokey');
DELETE FROM sample;

-- unicode, and order by code point
INSERT INTO country (code, name, area) VALUES ('DE', 'Deutschland', 357592.00), ('CN', '中国', 9596961), ('FR', 'France', NULL),
	('ÅL', 'Åland', 1580.2), ('🐘🐘', 'Elefanten 🐘', 0.01);
SELECT code, name, area, char_length(name) AS length FROM country ORDER BY name;
SELECT code FROM country WHERE name > 'Z' ORDER BY code DESC;
SELECT name FROM country WHERE name LIKE '%land' ORDER BY name;
SELECT upper(name) FROM country WHERE code = 'FR';
INSERT INTO country (code, name) VALUES ('GBR', 'Britain');
INSERT INTO country (code, name) VALUES ('GB', NULL);
INSERT INTO country (code, name) VALUES ('D2', 'Deutschland');
INSERT INTO country (code, name) VALUES ('DE', 'Germany');
UPDATE country SET code = NULL WHERE code = 'FR';
UPDATE country SET name = '中国' WHERE code = 'FR';

-- references
INSERT INTO person (id, handle, name, country) VALUES
	('00000000-0000-4000-8000-00000000000a', 'ada', 'Ada Grün', 'DE'),
	('00000000-0000-4000-8000-00000000000b', 'bo', '王小明', 'CN');
INSERT INTO person (handle, country) VALUES ('cy', 'XX');
INSERT INTO person (handle, chief) VALUES ('cy', '00000000-0000-4000-8000-0000000000ff');
INSERT INTO person (id, handle, chief) VALUES ('00000000-0000-4000-8000-00000000000c', 'cy',
	'00000000-0000-4000-8000-00000000000a') RETURNING handle, name, country, chief, born;
UPDATE person SET chief = id WHERE handle = 'ada';
INSERT INTO course (number, title) VALUES (1, 'Algebra'), (2, 'Biologie');
INSERT INTO enrolment (person, course, grade) SELECT id, number, 1.0 + number FROM person, course;
INSERT INTO enrolment (person, course) VALUES ('00000000-0000-4000-8000-00000000000a', 1);
INSERT INTO enrolment (person, course) VALUES ('00000000-0000-4000-8000-00000000000a', 3);
INSERT INTO enrolment (person, course) VALUES (NULL, 1);
UPDATE enrolment SET grade = 100 WHERE course = 1;
DELETE FROM country WHERE code = 'DE';
UPDATE country SET code = 'DD' WHERE code = 'DE';
DELETE FROM course WHERE number = 1;
DELETE FROM person WHERE handle = 'ada' RETURNING handle;
SELECT handle, chief FROM person ORDER BY handle;
SELECT count(*) FROM enrolment;
UPDATE person SET country = NULL WHERE country = 'DE';
DELETE FROM country WHERE code = 'DE' RETURNING code, name;
UPDATE course SET number = 7 WHERE number = 1;

-- reading and writing as applications do
SELECT p.handle, c.name AS country, e.course, e.grade FROM person p JOIN enrolment e ON e.person = p.id
	LEFT JOIN country c ON c.code = p.country ORDER BY p.handle, e.course;
UPDATE person SET name = upper(p.handle) || '!' FROM country c, person p
	WHERE p.id = person.id AND c.code = person.country RETURNING person.handle, person.name, c.name;
DELETE FROM enrolment USING person WHERE person.id = enrolment.person AND person.handle = 'cy' AND enrolment.course = 2
	RETURNING enrolment.course, person.handle;
WITH gone AS (DELETE FROM enrolment WHERE course = 2 RETURNING person, grade)
	SELECT handle, grade FROM gone JOIN person ON person.id = gone.person ORDER BY handle;
INSERT INTO course (number, title) SELECT n, 'Kurs ' || n FROM generate_series(10, 14) n RETURNING number, title;
UPDATE course SET number = number + 1 WHERE number = 14 RETURNING number;
UPDATE course SET number = 11 WHERE number = 10;
INSERT INTO course (number, title) VALUES (20, 'x') ON CONFLICT DO NOTHING;
SELECT number, title FROM course WHERE number IN (SELECT n FROM generate_series(10, 12) n) ORDER BY number;
SELECT count(*), min(number), max(number), sum(number) FROM course;
SELECT country, count(*) FROM person GROUP BY country HAVING count(*) > 0 ORDER BY country NULLS FIRST;
SELECT number, row_number() OVER (ORDER BY title DESC) FROM course ORDER BY number LIMIT 3;
SELECT handle FROM person WHERE EXISTS (SELECT FROM enrolment e WHERE e.person = person.id) ORDER BY 1;
SELECT title FROM course WHERE number = 1 FOR UPDATE;
SELECT title FROM course WHERE number = 2 FOR UPDATE;
SELECT number FROM course WHERE number > 10 ORDER BY number FOR SHARE SKIP LOCKED;
COPY (SELECT code, name, area FROM country ORDER BY code) TO STDOUT;
COPY (SELECT number, title FROM course WHERE number < 12 ORDER BY number) TO STDOUT (FORMAT csv, HEADER);
DELETE FROM course WHERE number >= 10;
SELECT nosuch FROM course;
SELECT number FROM nosuch;
INSERT INTO course (number, nosuch) VALUES (1, 2);

-- prepared statements and cursors
PREPARE find (text) AS SELECT handle, country FROM person WHERE handle = $1;
EXECUTE find ('bo');
EXECUTE find ('nobody');
DEALLOCATE find;
BEGIN;
DECLARE c CURSOR FOR SELECT code FROM country ORDER BY code;
FETCH 2 FROM c;
FETCH ALL FROM c;
CLOSE c;
COMMIT;

-- transactions and savepoints
BEGIN;
INSERT INTO course (number, title) VALUES (30, 'kept');
SAVEPOINT s1;
INSERT INTO course (number, title) VALUES (30, 'again');
SELECT 1 AS one;
ROLLBACK TO s1;
INSERT INTO course (number, title) VALUES (31, 'undone');
SAVEPOINT s2;
DELETE FROM course WHERE number = 30;
ROLLBACK TO s1;
SELECT number, title FROM course WHERE number >= 30;
RELEASE s1;
COMMIT;
BEGIN;
DELETE FROM course WHERE number = 30;
ROLLBACK;
SELECT number, title FROM course WHERE number >= 30;
BEGIN READ ONLY;
DELETE FROM course WHERE number = 30;
ROLLBACK;
BEGIN;
INSERT INTO person (handle, country) VALUES ('dee', 'XX');
COMMIT;
SELECT count(*) FROM person WHERE handle = 'dee';

-- two writers, READ COMMITTED: the second waits and sees what the first did
BEGIN;
UPDATE course SET title = 'by a' WHERE number = 30;
-- session b
BEGIN;
UPDATE course SET title = title || ' and b' WHERE number = 30 RETURNING title;
-- session a
COMMIT;
-- session b
COMMIT;
SELECT title FROM course WHERE number = 30;

-- the same unique value from both
-- session a
BEGIN;
INSERT INTO person (handle) VALUES ('eve');
-- session b
INSERT INTO person (handle) VALUES ('eve');
-- session a
COMMIT;
-- session b
INSERT INTO person (handle) VALUES ('eve');
-- session a
BEGIN;
INSERT INTO person (handle) VALUES ('fay');
-- session b
INSERT INTO person (handle) VALUES ('fay') RETURNING handle;
-- session a
ROLLBACK;

-- the same key from both
BEGIN;
INSERT INTO country (code, name) VALUES ('IT', 'Italia');
-- session b
INSERT INTO country (code, name) VALUES ('IT', 'Italien');
-- session a
COMMIT;

-- a reference to a row that the other is deleting
BEGIN;
DELETE FROM country WHERE code = 'IT';
-- session b
INSERT INTO person (handle, country) VALUES ('gio', 'IT');
-- session a
COMMIT;
-- session b
SELECT count(*) FROM person WHERE handle = 'gio';

-- a row deleted while the other adds a reference to it
BEGIN;
INSERT INTO person (handle, country) VALUES ('gus', 'FR');
-- session a
DELETE FROM country WHERE code = 'FR';
-- session b
COMMIT;
-- session a
SELECT code FROM country WHERE code = 'FR';

-- a cascade meets a new child
BEGIN;
DELETE FROM person WHERE handle = 'gus';
-- session b
INSERT INTO enrolment (person, course) SELECT id, 7 FROM person WHERE handle = 'gus';
-- session a
COMMIT;
SELECT count(*) FROM enrolment WHERE course = 7 AND grade IS NULL;

-- locked rows: waited for, skipped, refused
BEGIN;
SELECT number FROM course WHERE number = 30 FOR UPDATE;
-- session b
SELECT number FROM course WHERE number IN (2, 30) ORDER BY number FOR UPDATE SKIP LOCKED;
SELECT number FROM course WHERE number = 30 FOR UPDATE NOWAIT;
SELECT number FROM course WHERE number = 30 FOR UPDATE;
-- session a
COMMIT;

-- REPEATABLE READ: a snapshot, and the first writer wins
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT title FROM course WHERE number = 2;
-- session b
UPDATE course SET title = 'changed by b' WHERE number = 2;
-- session a
SELECT title FROM course WHERE number = 2;
UPDATE course SET title = 'changed by a' WHERE number = 2;
ROLLBACK;
SELECT title FROM course WHERE number = 2;
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE course SET title = 'a first' WHERE number = 2;
-- session b
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM course WHERE title = 'a first';
UPDATE course SET title = 'b second' WHERE number = 2;
-- session a
COMMIT;
-- session b
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM person WHERE handle = 'hal';
-- session a
INSERT INTO person (handle) VALUES ('hal');
-- session b
INSERT INTO person (handle) VALUES ('hal');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM country WHERE code = 'PT';
-- session a
INSERT INTO country (code, name) VALUES ('PT', 'Portugal');
-- session b
INSERT INTO person (handle, country) VALUES ('ines', 'PT');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM country WHERE code = 'PT';
-- session a
INSERT INTO person (handle, country) VALUES ('ines', 'PT');
-- session b
DELETE FROM country WHERE code = 'PT';
ROLLBACK;

-- SERIALIZABLE: one of two that each read what the other writes gives way
-- session a
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) > 0 AS some FROM course;
-- session b
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) > 0 AS some FROM course;
INSERT INTO course (number, title) VALUES (41, 'b');
-- session a
INSERT INTO course (number, title) VALUES (40, 'a');
COMMIT;
-- session b
COMMIT;
ROLLBACK;

-- everything goes again
-- session a
DELETE FROM enrolment;
DELETE FROM person;
DELETE FROM course;
DELETE FROM country;
SELECT (SELECT count(*) FROM country) + (SELECT count(*) FROM person) + (SELECT count(*) FROM course)
	+ (SELECT count(*) FROM enrolment) + (SELECT count(*) FROM sample) AS rows_left;
