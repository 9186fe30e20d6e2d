-- Two tenants at once, at each of two levels (see sessions.sql), with the same keys and unique values: neither waits for the other, refuses it, or finds its rows.

-- session a
INSERT INTO country (code, name) VALUES ('DE', 'Deutschland'), ('FR', 'France');
INSERT INTO course (number, title) SELECT n, 'Kurs ' || n FROM generate_series(1, 3) n;
-- session neighbour
INSERT INTO country (code, name) VALUES ('DE', 'Allemagne'), ('IT', 'Italie');
INSERT INTO course (number, title) SELECT n, 'Cours ' || n FROM generate_series(2, 4) n;

-- the same key, the same unique value, not committed by either
-- session a
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO person (id, handle, country) VALUES ('00000000-0000-4000-8000-00000000000a', 'ada', 'DE');
-- session neighbour
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO person (id, handle, country) VALUES ('00000000-0000-4000-8000-00000000000a', 'ada', 'DE');
INSERT INTO person (handle, country) VALUES ('bo', 'FR');
ROLLBACK;
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO person (id, handle, country) VALUES ('00000000-0000-4000-8000-00000000000a', 'ada', 'IT') RETURNING handle, country;
COMMIT;
-- session a
COMMIT;

-- the same row locked, changed and deleted
BEGIN ISOLATION LEVEL LEVEL;
SELECT number, title FROM course WHERE number = 2 FOR UPDATE;
UPDATE course SET title = 'by a' WHERE number = 3;
DELETE FROM country WHERE code = 'FR';
-- session neighbour
BEGIN ISOLATION LEVEL LEVEL;
SELECT number, title FROM course WHERE number IN (1, 2, 3) ORDER BY number FOR UPDATE NOWAIT;
UPDATE course SET title = 'by the neighbour' WHERE number <= 3;
DELETE FROM country WHERE code = 'DE';
COMMIT;
-- session a
COMMIT;

-- a reference finds the tenant's own row alone, and what goes along is its own
-- session neighbour
INSERT INTO enrolment (person, course) VALUES ('00000000-0000-4000-8000-00000000000a', 1);
INSERT INTO enrolment (person, course) VALUES ('00000000-0000-4000-8000-00000000000a', 4);
-- session a
INSERT INTO enrolment (person, course) VALUES ('00000000-0000-4000-8000-00000000000a', 4);
INSERT INTO enrolment (person, course) VALUES ('00000000-0000-4000-8000-00000000000a', 1);
DELETE FROM person WHERE handle = 'ada';
SELECT count(*) FROM enrolment;
-- session neighbour
SELECT person, course FROM enrolment;
SELECT handle, country FROM person;

-- what each has
-- session a
SELECT number, title FROM course ORDER BY number;
SELECT code, name FROM country ORDER BY code;
-- session neighbour
SELECT number, title FROM course ORDER BY number;
SELECT code, name FROM country ORDER BY code;

-- everything goes again
-- session a
DELETE FROM enrolment;
DELETE FROM person;
DELETE FROM course;
DELETE FROM country;
-- session neighbour
DELETE FROM enrolment;
DELETE FROM person;
DELETE FROM course;
DELETE FROM country;
-- session a
SELECT (SELECT count(*) FROM country) + (SELECT count(*) FROM person) + (SELECT count(*) FROM course)
	+ (SELECT count(*) FROM enrolment) AS rows_left;
