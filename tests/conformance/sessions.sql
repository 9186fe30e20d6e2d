-- Several sessions at once.  Run once for each of READ COMMITTED, REPEATABLE READ and SERIALIZABLE, which stands for LEVEL;
-- the output of each run is the same in every placement mode.

-- session a
INSERT INTO country (code, name) VALUES ('DE', 'Deutschland'), ('FR', 'France'), ('IT', 'Italia'), ('PT', 'Portugal');
INSERT INTO course (number, title) SELECT n, 'Kurs ' || n FROM generate_series(1, 9) n;
INSERT INTO person (id, handle, country, chief) VALUES
	('00000000-0000-4000-8000-00000000000a', 'ada', 'DE', NULL),
	('00000000-0000-4000-8000-00000000000b', 'bo', 'DE', '00000000-0000-4000-8000-00000000000a'),
	('00000000-0000-4000-8000-00000000000c', 'cy', 'FR', '00000000-0000-4000-8000-00000000000a');
INSERT INTO enrolment (person, course, grade) SELECT id, number, 10 FROM person, course WHERE number < 4;

-- two writers of one row: no update is lost
BEGIN ISOLATION LEVEL LEVEL;
SELECT grade FROM enrolment WHERE person = '00000000-0000-4000-8000-00000000000a' AND course = 1;
-- session b
BEGIN ISOLATION LEVEL LEVEL;
SELECT grade FROM enrolment WHERE person = '00000000-0000-4000-8000-00000000000a' AND course = 1;
-- session a
UPDATE enrolment SET grade = grade + 1 WHERE person = '00000000-0000-4000-8000-00000000000a' AND course = 1;
-- session b
UPDATE enrolment SET grade = grade + 2 WHERE person = '00000000-0000-4000-8000-00000000000a' AND course = 1 RETURNING grade;
-- session a
COMMIT;
-- session b
COMMIT;
SELECT grade FROM enrolment WHERE person = '00000000-0000-4000-8000-00000000000a' AND course = 1;

-- the first writer takes it back: the second goes on from what was there before
-- session a
BEGIN ISOLATION LEVEL LEVEL;
UPDATE course SET title = 'by a' WHERE number = 1;
-- session b
UPDATE course SET title = title || ', by b' WHERE number = 1 RETURNING title;
-- session a
ROLLBACK;

-- the condition is looked at again when the wait is over
BEGIN ISOLATION LEVEL LEVEL;
UPDATE course SET title = 'taken' WHERE number = 2 AND title <> 'taken';
-- session b
BEGIN ISOLATION LEVEL LEVEL;
UPDATE course SET title = 'taken' WHERE number = 2 AND title <> 'taken';
-- session a
COMMIT;
-- session b
COMMIT;

-- a row that was deleted meanwhile
-- session a
BEGIN ISOLATION LEVEL LEVEL;
DELETE FROM course WHERE number = 9;
-- session b
BEGIN ISOLATION LEVEL LEVEL;
UPDATE course SET title = 'gone' WHERE number = 9;
-- session a
COMMIT;
-- session b
ROLLBACK;

-- rows of their own: nobody waits
-- session a
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO course (number, title) VALUES (10, 'ten');
-- session b
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO course (number, title) VALUES (11, 'eleven');
COMMIT;
-- session a
COMMIT;

-- a unique value: inserted by both
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO person (handle) VALUES ('dan');
-- session b
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO person (handle) VALUES ('dan');
-- session a
COMMIT;
-- session b
ROLLBACK;

-- a unique value: one takes it by an update, the other inserts it
-- session a
BEGIN ISOLATION LEVEL LEVEL;
UPDATE person SET handle = 'eve' WHERE handle = 'dan';
-- session b
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO person (handle) VALUES ('eve') RETURNING handle;
-- session a
ROLLBACK;
-- session b
COMMIT;

-- a unique value: given up by one, taken by the other
-- session a
BEGIN ISOLATION LEVEL LEVEL;
DELETE FROM person WHERE handle = 'eve';
-- session b
INSERT INTO person (handle) VALUES ('eve') RETURNING handle;
-- session a
COMMIT;
SELECT count(*) FROM person WHERE handle = 'eve';

-- two unique values crossed: each waits for nobody, and both are refused
UPDATE person SET handle = 'dan' WHERE handle = 'eve';
UPDATE person SET handle = CASE handle WHEN 'dan' THEN 'cy' ELSE 'dan' END WHERE handle IN ('dan', 'cy');

-- a key: inserted by both, and changed by one to what the other inserts
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO course (number, title) VALUES (20, 'a');
-- session b
INSERT INTO course (number, title) VALUES (20, 'b');
-- session a
COMMIT;
BEGIN ISOLATION LEVEL LEVEL;
UPDATE course SET number = 21 WHERE number = 20;
-- session b
INSERT INTO course (number, title) VALUES (21, 'b');
-- session a
COMMIT;
SELECT number, title FROM course WHERE number >= 20;

-- a reference to a row that the other deletes
BEGIN ISOLATION LEVEL LEVEL;
DELETE FROM country WHERE code = 'PT';
-- session b
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO person (handle, country) VALUES ('gil', 'PT');
-- session a
COMMIT;
-- session b
ROLLBACK;

-- a row that the other refers to meanwhile
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO person (handle, country) VALUES ('ira', 'IT');
-- session a
BEGIN ISOLATION LEVEL LEVEL;
DELETE FROM country WHERE code = 'IT';
-- session b
COMMIT;
-- session a
ROLLBACK;

-- a reference moved to a row that the other deletes, and away from it
BEGIN ISOLATION LEVEL LEVEL;
DELETE FROM person WHERE handle = 'ira';
DELETE FROM country WHERE code = 'IT';
-- session b
UPDATE person SET country = 'IT' WHERE handle = 'bo';
-- session a
ROLLBACK;
BEGIN ISOLATION LEVEL LEVEL;
UPDATE person SET country = NULL WHERE country = 'IT';
-- session b
DELETE FROM country WHERE code = 'IT';
-- session a
COMMIT;
SELECT handle, country FROM person ORDER BY handle;

-- a key that is changed under a new reference
BEGIN ISOLATION LEVEL LEVEL;
UPDATE course SET number = 60 WHERE number = 6;
-- session b
INSERT INTO enrolment (person, course) VALUES ('00000000-0000-4000-8000-00000000000a', 6);
-- session a
COMMIT;

-- on delete cascade: the other has just changed a row that goes along
-- session b
BEGIN ISOLATION LEVEL LEVEL;
UPDATE enrolment SET grade = 20 WHERE person = '00000000-0000-4000-8000-00000000000c' AND course = 1;
-- session a
BEGIN ISOLATION LEVEL LEVEL;
DELETE FROM person WHERE handle = 'cy';
-- session b
COMMIT;
-- session a
COMMIT;
SELECT count(*) FROM enrolment WHERE person = '00000000-0000-4000-8000-00000000000c';
DELETE FROM person WHERE handle = 'cy';

-- on delete cascade: the other adds a row that would have gone along
INSERT INTO person (id, handle) VALUES ('00000000-0000-4000-8000-00000000000d', 'dee');
BEGIN ISOLATION LEVEL LEVEL;
DELETE FROM person WHERE handle = 'dee';
-- session b
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO enrolment (person, course) VALUES ('00000000-0000-4000-8000-00000000000d', 1);
-- session a
COMMIT;
-- session b
ROLLBACK;

-- on delete set null: the other changes a row that refers to it, and adds another
BEGIN ISOLATION LEVEL LEVEL;
UPDATE person SET name = 'Bo' WHERE handle = 'bo';
-- session a
BEGIN ISOLATION LEVEL LEVEL;
DELETE FROM person WHERE handle = 'ada';
-- session c
INSERT INTO person (handle, chief) VALUES ('eli', '00000000-0000-4000-8000-00000000000a');
-- session b
COMMIT;
-- session a
COMMIT;
SELECT handle, name, chief IS NULL AS free FROM person ORDER BY handle;
DELETE FROM person WHERE handle IN ('ada', 'eli');
SELECT handle, country, chief FROM person ORDER BY handle;

-- FOR UPDATE keeps writers and new references waiting
BEGIN ISOLATION LEVEL LEVEL;
SELECT number FROM course WHERE number = 4 FOR UPDATE;
-- session b
INSERT INTO enrolment (person, course) VALUES ('00000000-0000-4000-8000-00000000000b', 4);
-- session a
COMMIT;
BEGIN ISOLATION LEVEL LEVEL;
SELECT number FROM course WHERE number = 4 FOR UPDATE;
-- session b
UPDATE course SET title = 'after the wait' WHERE number = 4 RETURNING title;
-- session a
COMMIT;

-- FOR NO KEY UPDATE keeps writers waiting, not references
BEGIN ISOLATION LEVEL LEVEL;
SELECT number FROM course WHERE number = 5 FOR NO KEY UPDATE;
-- session b
INSERT INTO enrolment (person, course) VALUES ('00000000-0000-4000-8000-00000000000b', 5);
SELECT number FROM course WHERE number = 5 FOR KEY SHARE;
SELECT number FROM course WHERE number = 5 FOR SHARE NOWAIT;
DELETE FROM course WHERE number = 5;
-- session a
COMMIT;

-- FOR SHARE: by both at once, and a writer waits for both
BEGIN ISOLATION LEVEL LEVEL;
SELECT number FROM course WHERE number = 7 FOR SHARE;
-- session b
BEGIN ISOLATION LEVEL LEVEL;
SELECT number FROM course WHERE number = 7 FOR SHARE;
-- session c
UPDATE course SET title = 'seven' WHERE number = 7;
-- session a
COMMIT;
-- session b
COMMIT;

-- SKIP LOCKED hands each its own
-- session a
BEGIN ISOLATION LEVEL LEVEL;
SELECT number FROM course WHERE number IN (1, 2, 3) ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED;
-- session b
BEGIN ISOLATION LEVEL LEVEL;
SELECT number FROM course WHERE number IN (1, 2, 3) ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED;
-- session c
BEGIN ISOLATION LEVEL LEVEL;
DELETE FROM course WHERE number = (SELECT number FROM course WHERE number IN (1, 2, 3, 21) ORDER BY number DESC LIMIT 1
	FOR UPDATE SKIP LOCKED) RETURNING number;
SELECT number FROM course WHERE number IN (1, 2) ORDER BY number FOR UPDATE NOWAIT;
ROLLBACK;
-- session a
COMMIT;
-- session b
COMMIT;

-- a lock that a savepoint gives back
-- session a
BEGIN ISOLATION LEVEL LEVEL;
SAVEPOINT one;
UPDATE course SET title = 'not this' WHERE number = 8;
-- session b
UPDATE course SET title = title || ', but that' WHERE number = 8 RETURNING title;
-- session a
ROLLBACK TO one;
SELECT title FROM course WHERE number = 8;
COMMIT;

-- a savepoint saves what was done before a refusal
BEGIN ISOLATION LEVEL LEVEL;
INSERT INTO course (number, title) VALUES (70, 'kept');
SAVEPOINT one;
-- session b
INSERT INTO course (number, title) VALUES (71, 'b');
-- session a
INSERT INTO course (number, title) VALUES (71, 'a');
ROLLBACK TO one;
INSERT INTO course (number, title) VALUES (72, 'kept too');
SAVEPOINT two;
DELETE FROM course WHERE number = 70;
ROLLBACK TO two;
RELEASE one;
COMMIT;
SELECT number, title FROM course WHERE number >= 70 ORDER BY number;

-- what a transaction sees of the other's rows
BEGIN ISOLATION LEVEL LEVEL;
SELECT count(*) FROM course WHERE number >= 70;
-- session b
INSERT INTO course (number, title) VALUES (73, 'b');
UPDATE course SET title = 'b too' WHERE number = 70;
DELETE FROM course WHERE number = 71;
-- session a
SELECT number, title FROM course WHERE number >= 70 ORDER BY number;
COPY (SELECT number FROM course WHERE number >= 70 ORDER BY number) TO STDOUT;
INSERT INTO course (number, title) VALUES (73, 'a');
ROLLBACK;

-- a reference to a row that came after the snapshot
BEGIN ISOLATION LEVEL LEVEL;
SELECT count(*) FROM country WHERE code = 'ES';
-- session b
INSERT INTO country (code, name) VALUES ('ES', 'España');
-- session a
INSERT INTO person (handle, country) VALUES ('joe', 'ES') RETURNING handle, country;
ROLLBACK;

-- a row that is referred to since the snapshot
BEGIN ISOLATION LEVEL LEVEL;
SELECT count(*) FROM person WHERE country = 'ES';
-- session b
INSERT INTO person (handle, country) VALUES ('kim', 'ES');
-- session a
DELETE FROM country WHERE code = 'ES';
ROLLBACK;

-- write skew: each leaves the last one on duty to the other
UPDATE course SET title = CASE WHEN number IN (1, 2) THEN 'on duty' ELSE 'off' END;
BEGIN ISOLATION LEVEL LEVEL;
SELECT count(*) FROM course WHERE title = 'on duty';
-- session b
BEGIN ISOLATION LEVEL LEVEL;
SELECT count(*) FROM course WHERE title = 'on duty';
-- session a
UPDATE course SET title = 'off' WHERE number = 1;
-- session b
UPDATE course SET title = 'off' WHERE number = 2;
-- session a
COMMIT;
-- session b
COMMIT;
ROLLBACK;
SELECT count(*) FROM course WHERE title = 'on duty';

-- write skew over two objects
-- session a
BEGIN ISOLATION LEVEL LEVEL;
SELECT count(*) FROM country;
-- session b
BEGIN ISOLATION LEVEL LEVEL;
SELECT count(*) FROM course;
INSERT INTO country (code, name) VALUES ('NL', 'Nederland');
-- session a
INSERT INTO course (number, title) VALUES (80, 'as many as countries');
COMMIT;
-- session b
COMMIT;
ROLLBACK;
SELECT count(*) FROM country WHERE code = 'NL';

-- a report that reads between two commits
-- session a
BEGIN ISOLATION LEVEL LEVEL;
SELECT grade FROM enrolment WHERE person = '00000000-0000-4000-8000-00000000000b' AND course = 1;
-- session b
BEGIN ISOLATION LEVEL LEVEL;
UPDATE enrolment SET grade = 11 WHERE person = '00000000-0000-4000-8000-00000000000b' AND course = 1;
INSERT INTO enrolment (person, course, grade) VALUES ('00000000-0000-4000-8000-00000000000b', 7, 12);
COMMIT;
-- session c
BEGIN ISOLATION LEVEL LEVEL;
SELECT course, grade FROM enrolment WHERE person = '00000000-0000-4000-8000-00000000000b' ORDER BY course;
COMMIT;
-- session a
UPDATE enrolment SET grade = 13 WHERE person = '00000000-0000-4000-8000-00000000000b' AND course = 7;
COMMIT;
ROLLBACK;
SELECT course, grade FROM enrolment WHERE person = '00000000-0000-4000-8000-00000000000b' ORDER BY course;

-- everything goes again
DELETE FROM enrolment;
DELETE FROM person;
DELETE FROM course;
DELETE FROM country;
SELECT (SELECT count(*) FROM country) + (SELECT count(*) FROM person) + (SELECT count(*) FROM course)
	+ (SELECT count(*) FROM enrolment) AS rows_left;
