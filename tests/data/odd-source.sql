-- A schema with everything that a model carries otherwise or not at all.  Made for the tests.
-- Before PostgreSQL 15 a scale above the precision could not be declared: there it is set afterwards.
SELECT CASE WHEN current_setting('server_version_num')::int >= 150000 THEN 'numeric(2,4)'
	ELSE 'numeric' END AS weird \gset
CREATE DOMAIN email AS varchar(80) CHECK (VALUE LIKE '%@%');
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TYPE spot AS (x integer, y integer);
CREATE SEQUENCE loose;

CREATE TABLE "Order" (
	"Id" serial PRIMARY KEY,
	"Total Price" numeric(12,3) DEFAULT 0.000 NOT NULL,
	"user" text DEFAULT 'it''s' CHECK ("user" <> ''),
	"größe" real DEFAULT '-1.5'::real,
	"客户" char(5),
	mood mood DEFAULT 'glad',
	mail email,
	tags text[] DEFAULT '{}',
	at timestamp DEFAULT (now() AT TIME ZONE 'utc'),
	day date DEFAULT CURRENT_DATE,
	fixed timestamptz DEFAULT '2026-01-02 03:04:05+00',
	born date DEFAULT '1999-12-31',
	flag boolean DEFAULT true NOT NULL,
	raw bytea DEFAULT '\xdead',
	doc json DEFAULT '{"b": 1, "a": [2]}',
	took interval DEFAULT '1 day',
	place point,
	spot spot,
	span int4range,
	twice numeric GENERATED ALWAYS AS ("Total Price" * 2) STORED,
	odd text DEFAULT upper('x'),
	small smallint DEFAULT '-3'::integer,
	weird :weird,
	sorted text COLLATE "de-x-icu"
);
UPDATE pg_attribute SET atttypmod = (2 << 16 | 4) + 4 WHERE attname = 'weird' AND atttypmod = -1;
CREATE TABLE "order" ("Id" integer PRIMARY KEY);
CREATE TABLE "select" (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "Id" text);
CREATE TABLE keyless (a integer, b text);
CREATE TABLE keyless_id (id integer, row_id integer);
CREATE TABLE by_name (name text PRIMARY KEY, alias varchar(700) UNIQUE, short varchar(30) UNIQUE);
CREATE TABLE by_json (doc jsonb PRIMARY KEY);
CREATE TABLE pair (a integer, b integer, PRIMARY KEY (a, b));
CREATE TABLE child (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text REFERENCES by_name ON DELETE CASCADE ON UPDATE CASCADE,
	short varchar(30) REFERENCES by_name (short),
	a integer, b integer,
	"order" integer NOT NULL REFERENCES "order" ON DELETE SET NULL,
	pick integer REFERENCES "Order" ON DELETE SET NULL DEFERRABLE,
	def integer DEFAULT 1 REFERENCES "Order" ON DELETE SET DEFAULT,
	note varchar(20),
	FOREIGN KEY (a, b) REFERENCES pair,
	UNIQUE (a, b),
	EXCLUDE USING btree (note WITH =)
);
CREATE INDEX child_note_idx ON child (note);
CREATE INDEX child_pick_idx ON child (pick);
CREATE INDEX child_expr_idx ON child (lower(note));
CREATE INDEX child_part_idx ON child (note) WHERE note IS NOT NULL;
CREATE UNIQUE INDEX pair_a_key ON pair (a);
CREATE TABLE parted (id integer PRIMARY KEY, v integer) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE heir (extra text) INHERITS (keyless);
CREATE VIEW glance AS SELECT a FROM keyless;
CREATE MATERIALIZED VIEW stored AS SELECT a FROM keyless;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE INSERT ON keyless FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE silent AS ON DELETE TO keyless DO INSTEAD NOTHING;
ALTER TABLE by_json ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone ON by_json USING (true);
COMMENT ON TABLE keyless IS 'no key';
