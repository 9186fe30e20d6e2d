# Settings that follow a client, and what it is told of them: compared with what a server of its own does.

load ../lib/home
load ../lib/cluster
load ../lib/wait
load ../lib/estate
load ../lib/gateway

# Tenant globex has one server connection, given back after each transaction; initech's clients keep theirs.
setup_file() {
	clusters_setup
	estate_servers
	home_setup
	estate_setup
	sed -i '/metadata: {name: globex/,/^---/ s/^spec:/spec:\n  gateway: {pool: transaction, connections: 1}/' \
		"$MANIFESTS/tenants.yaml"
	sed -i '/metadata: {name: bj-1/,/^---/ s/^spec:/spec:\n  gateway: {connections: 1}/' "$MANIFESTS/clusters.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	GLOBEX_DIRECT=$(copyhold route resolve globex --direct) INITECH_DIRECT=$(copyhold route resolve initech --direct)
	export GLOBEX_DIRECT INITECH_DIRECT
}

teardown_file() {
	clusters_remove
	home_teardown
}

setup() {
	export COPYHOLD_HOME=$TEST_DIR/home
	gateway_start gw --workers 1
	GLOBEX=$(gw globex) INITECH=$(gw initech)
	export GLOBEX INITECH
}

teardown() { gateways_stop; }

role_of() { sed 's/.*:\/\/\([^@]*\)@.*/\1/' <<<"$1"; }

WIRE_NAMES="GLOBEX INITECH GLOBEX_DIRECT INITECH_DIRECT"

# BEGUN, OTHER: a value of each for a session to begin with, and one to change it to.  show(s): all that it has.
WIRE_BEGIN='
BEGUN = [("client_encoding", "LATIN1"), ("DateStyle", "SQL, DMY"), ("TimeZone", "Asia/Tokyo"), ("IntervalStyle", "iso_8601"),
    ("standard_conforming_strings", "off"), ("application_name", "begun"), ("extra_float_digits", "0")]
OTHER = [("client_encoding", "WIN1252"), ("DateStyle", "German, DMY"), ("TimeZone", "Europe/Paris"),
    ("IntervalStyle", "sql_standard"), ("standard_conforming_strings", "on"), ("application_name", "other")]
ALL = "SELECT " + ", ".join(f"current_setting($${name}$$)" for name, _ in BEGUN)
def shown_of(said): return [w[2:] for w in said.split(" C=SELECT")[0].split("T ") if w.startswith("D=")][0]
def show(s): return shown_of(s.ask(ALL))
def change(s):
    for name, value in OTHER:
        same(s.ask(f"SET {name} = \x27{value}\x27"), "C=SET Z=I")
def told(s, *messages):
    """What is said of settings until the next ReadyForQuery."""
    s.send(*messages)
    return {b.split(b"\0")[0].decode(): b.split(b"\0")[1].decode() for k, b in s.until("Z") if k == "S"}
def leave(s):
    s.send(message("X"))
    s.at_end()
'

@test "each of the seven settings follows its client, over one server connection" {
	wire <<-'PY'
		a, b = Session(GLOBEX, settings=[("extra_float_digits", "0")]), Session(GLOBEX, settings=BEGUN[:-1])
		own = "WIN1252,German, DMY,Europe/Paris,sql_standard,on,other,0"
		change(a)
		for _ in range(4):
		    same(show(a), own)
		    same(show(b), "LATIN1,SQL, DMY,Asia/Tokyo,iso_8601,off,begun,1")
		    same(a.ask("SELECT 0.1::float8 + 0.2, pg_backend_pid() > 0"), "T D=0.3,t C=SELECT 1 Z=I")
		    same(b.ask("SELECT 0.1::float8 + 0.2"), "T D=0.30000000000000004 C=SELECT 1 Z=I")
		c = Session(GLOBEX)
		same(show(c), show(Session(GLOBEX_DIRECT)))
	PY
}

@test "RESET, RESET ALL and DISCARD ALL bring back what a session began with, as a server does" {
	wire <<-'PY'
		ways = [[query("DISCARD ALL")], [query("RESET ALL")], [query("RESET TimeZone")], [query("RESET application_name")],
		    [parse("", "DISCARD ALL"), bind("", ""), execute(), sync()],
		    [parse("", "RESET ALL"), bind("", ""), execute(), sync()],
		    [parse("r", "RESET DateStyle"), bind("", "r"), execute(), sync()],
		    [query("RESET IntervalStyle; SELECT 1")], [query("RESET ALL; SELECT 1/0")],
		    [query("BEGIN; RESET TimeZone; COMMIT")], [query("SET TimeZone TO DEFAULT")], [query("SET NAMES DEFAULT")],
		    [query("SET SESSION TIME ZONE LOCAL")], [query("SET session datestyle = default;")],
		    [query("SET TimeZone = 'UTC'; RESET DateStyle")], [query("RESET nothing")]]
		def play(dsn):
		    out = []
		    for way in ways:
		        s = Session(dsn, settings=BEGUN)
		        change(s)
		        out.append((told(s, *way), show(s)))
		        same(s.ask("SELECT 0.1::float8 + 0.2"), "T D=0.3 C=SELECT 1 Z=I")
		        leave(s)
		    s = Session(dsn, settings=BEGUN)
		    change(s)
		    s.ask("BEGIN")
		    for sql in ("RESET TimeZone", "SELECT 1", "ROLLBACK"):
		        s.ask(sql)
		        out.append(show(s))
		    leave(s)
		    return out
		for through, direct in ((GLOBEX, GLOBEX_DIRECT), (INITECH, INITECH_DIRECT)):
		    for got, expected in zip(play(through), play(direct)):
		        same(got, expected)
	PY
}

@test "what is sent behind RESET or DISCARD ALL in one packet finds it done" {
	wire <<-'PY'
		def play(dsn):
		    out = []
		    for sql in ("DISCARD ALL", "RESET ALL", "RESET TimeZone"):
		        s = Session(dsn, settings=BEGUN)
		        change(s)
		        s.send(query(sql), query(ALL), query("SET TimeZone = 'UTC'"), query(ALL), query(sql), query(ALL))
		        out.append([s.says().split(" C=")[0] for _ in range(6)])
		        s.send(parse("", sql), bind("", ""), execute(), sync(), parse("", ALL), bind("", ""), execute(), sync())
		        out.append([s.says() for _ in range(2)])
		        leave(s)
		    return out
		for through, direct in ((GLOBEX, GLOBEX_DIRECT), (INITECH, INITECH_DIRECT)):
		    for got, expected in zip(play(through), play(direct)):
		        same(got, expected)
	PY
}

@test "COPY and a pipeline behind SET and RESET are not held up" {
	wire <<-'PY'
		s = Session(GLOBEX, settings=BEGUN)
		s.send(query("RESET TimeZone; COPY account (name, country) FROM STDIN"), message("d", b"copied\tCN\n"), message("c"),
		    query("SELECT count(*) FROM account WHERE name = 'copied'"), query("DELETE FROM account"))
		same([s.says() for _ in range(3)], ["C=RESET G C=COPY 1 Z=I", "T D=1 C=SELECT 1 Z=I", "C=DELETE 1 Z=I"])
		s.send(parse("", "SET TimeZone = 'UTC'"), bind("", ""), execute(), parse("", "SHOW TimeZone"), bind("", ""), execute(),
		    flush())
		same(s.says("C") + " " + s.says("C"), "1 2 C=SET 1 2 D=UTC C=SHOW")
		s.send(sync(), query("SELECT 1"))
		same([s.says() for _ in range(2)], ["Z=I", "T D=1 C=SELECT 1 Z=I"])
	PY
}

@test "a login for which there is no server now is told nothing that another tenant has set" {
	su_psql bj-1 "ALTER ROLE \"$(role_of "$GLOBEX_DIRECT")\" SET TimeZone = 'Asia/Tokyo'"
	su_psql bj-1 "ALTER ROLE \"$(role_of "$INITECH_DIRECT")\" SET IntervalStyle = 'iso_8601'"
	wire <<-'PY'
		# the only place is taken by another tenant, and initech was never served here
		g, direct = Session(GLOBEX), Session(INITECH_DIRECT)
		same(g.settings["TimeZone"], "Asia/Tokyo")
		same(g.ask("BEGIN"), "C=BEGIN Z=T")
		late, begun = Session(INITECH), Session(INITECH, settings=[("application_name", "begun")])
		same(late.settings, {**direct.settings, "IntervalStyle": "postgres"})
		same(g.ask("COMMIT"), "C=COMMIT Z=I")
		same(told(late, query("SELECT 1")), {"IntervalStyle": "iso_8601"})
		same(late.ask("SELECT current_setting('TimeZone'), current_setting('IntervalStyle')"),
		    "T D=UTC,iso_8601 C=SELECT 1 Z=I")
		leave(late)
		same(begun.ask("SELECT current_setting('TimeZone'), current_setting('application_name')"),
		    "T D=UTC,begun C=SELECT 1 Z=I")
	PY
	su_psql bj-1 "ALTER ROLE \"$(role_of "$GLOBEX_DIRECT")\" RESET TimeZone"
	su_psql bj-1 "ALTER ROLE \"$(role_of "$INITECH_DIRECT")\" RESET IntervalStyle"
}

@test "the first client of a tenant is told all that its server says, also with settings of its own" {
	wire <<-'PY'
		options = [("options", "-c work_mem=9MB -c IntervalStyle=iso_8601")]
		through, direct = Session(INITECH, settings=options), Session(INITECH_DIRECT, settings=options)
		same(through.settings, direct.settings)
		same(through.ask("SHOW work_mem"), "T D=9MB C=SHOW Z=I")
	PY
}
