# The drivers that applications use, unchanged, through both pool modes and over TLS.

load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/estate
load ../lib/gateway

setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	sed -i '/metadata: {name: globex/,/^---/ s/^spec:/spec:\n  gateway: {pool: transaction, connections: 3}/' \
		"$MANIFESTS/tenants.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	certificate
	gateway_start gw --tls-cert "$TEST_DIR/tls.crt" --tls-key "$TEST_DIR/tls.key" --tls-ca "$TEST_DIR/tls.crt"
	copyhold route resolve globex >/dev/null
	copyhold route resolve initech >/dev/null
	copyhold route resolve acme >/dev/null
	export PORT=${GATEWAY##*:} TLS_CA=$TEST_DIR/tls.crt
	for tenant in globex initech; do
		psql -X -q -d "$(direct "$tenant")" -c "INSERT INTO account (name, country) VALUES ('$tenant', 'CN')"
	done
}

teardown_file() {
	gateways_stop
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
		-keyout "$TEST_DIR/tls.key" -out "$TEST_DIR/tls.crt" 2>/dev/null
	chmod 600 "$TEST_DIR/tls.key"
}

password() { awk -F: '{ print $5; exit }' "$COPYHOLD_HOME/run/pass/$1.$2.gateway"; }
user_of() { copyhold route resolve "$1" | sed 's/.*:\/\/\([^@]*\)@.*/\1/'; }

# TENANT [SETTINGS]
direct() {
	echo "host=localhost hostaddr=127.0.0.1 port=$PORT dbname=$1 user=$(user_of "$1") password=$(password "$1" "$(user_of "$1")") \
sslrootcert=$TLS_CA sslmode=${2:-verify-full}"
}

# psycopg of Debian, from stdin: conn is a connection of its tenant.
psycopg() {
	local script
	script=$(cat)
	DSN=$(direct "$1" "${2-}") TENANT=$1 /usr/bin/python3 -c "
import os, psycopg
DSN, TENANT = os.environ['DSN'], os.environ['TENANT']
conn = psycopg.connect(DSN, autocommit=True)
$script"
}

@test "psycopg: prepared statements, pipelines, cursors, COPY, errors, in both pool modes" {
	local tenant
	for tenant in globex initech; do
		psycopg "$tenant" <<-'PY'
			for i in range(12):
			    assert conn.execute("SELECT %s::int + 1", (i,), prepare=True).fetchone()[0] == i + 1
			with conn.pipeline():
			    many = [conn.execute("SELECT %s::text", (f"x{i}",)) for i in range(50)]
			assert [c.fetchone()[0] for c in many] == [f"x{i}" for i in range(50)]
			with conn.transaction():
			    with conn.cursor(name="named") as c:
			        c.execute("SELECT generate_series(1, 1000)")
			        assert len(c.fetchall()) == 1000
			with conn.cursor() as c:
			    with c.copy("COPY (SELECT generate_series(1, 1000)) TO STDOUT") as copy:
			        assert sum(1 for _ in copy.rows()) == 1000
			try:
			    conn.execute("SELECT 1/0")
			    assert False
			except psycopg.errors.DivisionByZero:
			    pass
			with conn.pipeline() as p:
			    bad = conn.execute("SELECT 1/0", prepare=True)
			    try:
			        p.sync()
			        assert False
			    except psycopg.errors.DivisionByZero:
			        pass
			for i in range(250):  # more than it keeps: it deallocates the oldest
			    assert conn.execute(f"SELECT {i}", prepare=True).fetchone()[0] == i
			assert conn.execute("SELECT name FROM account").fetchone()[0] == TENANT
		PY
	done
}

@test "psycopg: transactions with savepoints, COPY in, an error in it, notices, a cancel" {
	psycopg globex <<-'PY'
		import threading
		with conn.transaction():
		    try:
		        with conn.transaction():
		            conn.execute("SELECT 1/0")
		    except psycopg.errors.DivisionByZero:
		        pass
		    assert conn.execute("SELECT 1").fetchone()[0] == 1
		try:
		    with conn.cursor() as c, c.copy("COPY account (name, country) FROM STDIN") as copy:
		        copy.write_row(("one", "CN"))
		        copy.write_row(("two", "TOO LONG"))
		    assert False
		except psycopg.Error:
		    pass
		assert conn.execute("SELECT count(*) FROM account WHERE name = 'one'").fetchone()[0] == 0
		with conn.cursor() as c, c.copy("COPY account (name, country) FROM STDIN") as copy:
		    for i in range(5000):
		        copy.write_row((f"row {i}", "CN"))
		assert conn.execute("DELETE FROM account WHERE name ~ '^row'").rowcount == 5000
		stop = threading.Event()
		def cancel():
		    while not stop.wait(0.05):
		        conn.cancel()
		t = threading.Thread(target=cancel)
		t.start()
		try:
		    conn.execute("SELECT pg_sleep(60)")
		    assert False
		except psycopg.errors.QueryCanceled:
		    pass
		finally:
		    stop.set()
		    t.join()
		assert conn.execute("SELECT name FROM account").fetchone()[0] == TENANT
	PY
}

@test "psycopg without TLS, and many connections at once" {
	psycopg initech disable <<-'PY'
		from concurrent.futures import ThreadPoolExecutor
		def one(i):
		    with psycopg.connect(DSN) as own:
		        return own.execute("SELECT %s || name FROM account", (str(i),)).fetchone()[0]
		with ThreadPoolExecutor(8) as pool:
		    assert list(pool.map(one, range(40))) == [f"{i}{TENANT}" for i in range(40)]
	PY
}

# node-postgres is Debian's (node-pg), or lies where NODE_PATH says; where Node.js is not Debian's, npm has it.
@test "node-postgres: a pool of prepared statements, and savepoints" {
	local npm
	npm=$(dirname "$COPYHOLD_BIN")/npm
	if [ ! -d "${NODE_PATH:-/usr/share/nodejs}/pg" ] && command -v npm >/dev/null; then
		[ -d "$npm/node_modules/pg" ] ||
			HOME=$(getent passwd "$(id -u)" | cut -d: -f6) timeout 60 npm install --silent --no-audit --prefix "$npm" pg >&2 ||
			skip "npm cannot install node-postgres here"
		NODE_PATH=$npm/node_modules
	fi
	export NODE_PATH=${NODE_PATH:-/usr/share/nodejs}
	command -v node >/dev/null && [ -d "$NODE_PATH/pg" ] || skip "node-postgres is not installed"
	cat >"$TEST_DIR/pool.js" <<-'JS'
		const { Pool } = require('pg');
		const fs = require('fs');
		(async () => {
		  for (const tenant of ['globex', 'initech']) {
		    const pool = new Pool({ host: 'localhost', port: +process.env.PORT, database: tenant, user: process.env['USER_' + tenant],
		      password: process.env['PW_' + tenant], ssl: { ca: fs.readFileSync(process.env.TLS_CA) }, max: 10 });
		    const all = await Promise.all([...Array(200).keys()].map((i) => pool.query(
		      { name: 'q' + i % 7, text: `SELECT $1::int + ${i % 7} AS v, name FROM account`, values: [i] })));
		    all.forEach((r, i) => {
		      if (r.rows[0].v !== i + i % 7 || r.rows[0].name !== tenant) throw new Error(JSON.stringify(r.rows));
		    });
		    const c = await pool.connect();
		    await c.query('BEGIN');
		    await c.query('SAVEPOINT a');
		    const code = await c.query('SELECT 1/0').catch((e) => e.code);
		    if (code !== '22012') throw new Error(code);
		    await c.query('ROLLBACK TO a');
		    const r = await c.query('SELECT 5 AS x');
		    await c.query('COMMIT');
		    c.release();
		    if (r.rows[0].x !== 5) throw new Error('savepoint');
		    await pool.end();
		  }
		})().catch((e) => { console.error(e); process.exit(1); });
	JS
	USER_globex=$(user_of globex) PW_globex=$(password globex app) USER_initech=$(user_of initech) \
		PW_initech=$(password initech "$(user_of initech)") node "$TEST_DIR/pool.js"
}

@test "pg_dump and pg_restore bring a tenant's rows back" {
	local dsn
	dsn=$(direct acme) # the vendor's servers hide pg_database from logins, and pg_dump reads it
	psql -X -q -d "$dsn" -c "INSERT INTO account (name, country) SELECT 'd' || i, 'CN' FROM generate_series(1, 3000) i"
	pg_dump -Fc -a -t app.account -f "$TEST_DIR/dump" -d "$dsn"
	psql -X -q -d "$dsn" -c "DELETE FROM account"
	pg_restore -a -d "$dsn" "$TEST_DIR/dump"
	[ "$(psql -X -At -d "$dsn" -c "SELECT count(*) FROM account")" = 3000 ]
	[ "$(psql -X -At -d "$dsn" -c "DELETE FROM account WHERE name ~ '^d[0-9]'")" = "DELETE 3000" ]
}
