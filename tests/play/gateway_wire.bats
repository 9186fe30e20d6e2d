# Exchanges that no client library sends, message by message, over a pool that is given back after each transaction.

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
	estate_shared
	sed -i '/metadata: {name: globex/,/^---/ s/^spec:/spec:\n  gateway: {pool: transaction, connections: 2}/' \
		"$MANIFESTS/tenants.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	gateway_start gw --workers 1
	GLOBEX=$(gw globex) INITECH=$(gw initech) HOOLI=$(gw hooli)
	export GLOBEX INITECH HOOLI
}

teardown_file() {
	gateways_stop
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

# a, b: two sessions of globex, each with a transaction of its own.
WIRE_NAMES="GLOBEX INITECH HOOLI"
WIRE_BEGIN="a, b = Session(GLOBEX), Session(GLOBEX)"

@test "Flush without Sync is answered, and keeps the server" {
	wire <<-'PY'
		a.send(parse("", "SELECT 1"), bind("", ""), execute(), flush())
		same(a.says("C"), "1 2 D=1 C=SELECT 1")
		same(b.ask("SELECT 2"), "T D=2 C=SELECT 1 Z=I")
		a.send(sync())
		same(a.says(), "Z=I")
	PY
}

@test "messages may be cut at every byte" {
	wire <<-'PY'
		all = parse("cut", "SELECT $1::int + 1") + bind("", "cut", ["41"]) + describe("P", "") + execute() + sync()
		for at in range(1, len(all)):
		    a.send(all[:at])
		    a.send(all[at:])
		    same(a.says(), "1 2 T D=42 C=SELECT 1 Z=I")
		    a.send(close("S", "cut"), sync())
		    same(a.says(), "3 Z=I")
		for byte in all:
		    a.send(bytes([byte]))
		same(a.says(), "1 2 T D=42 C=SELECT 1 Z=I")
	PY
}

@test "the unnamed statement is there in a later transaction, on whichever server" {
	wire <<-'PY'
		a.send(parse("", "SELECT 'of a'"), sync())
		same(a.says(), "1 Z=I")
		for turn in range(4):
		    b.send(parse("", f"SELECT 'of b {turn}'"), sync())
		    same(b.says(), "1 Z=I")
		    a.send(bind("", ""), execute(), sync())
		    same(a.says(), "2 D=of a C=SELECT 1 Z=I")
		    b.send(bind("", ""), execute(), sync())
		    same(b.says(), f"2 D=of b {turn} C=SELECT 1 Z=I")
	PY
}

@test "who has no unnamed statement does not get another's" {
	wire <<-'PY'
		for turn in range(4):
		    a.send(parse("", "SELECT 'of a'"), sync())
		    same(a.says(), "1 Z=I")
		    b.send(bind("", ""), execute(), sync())
		    same(b.says(), "E=26000:unnamed prepared statement does not exist Z=I")
		    b.send(describe("S", ""), sync())
		    same(b.says(), "E=26000:unnamed prepared statement does not exist Z=I")
	PY
}

@test "a statement's name on the server cannot be used by a client" {
	wire <<-'PY'
		a.send(parse("mine", "SELECT 'of a'"), sync())
		same(a.says(), "1 Z=I")
		for number in range(1, 40):
		    b.send(bind("", f"copyhold/{number}"), execute(), sync())
		    same(b.says(), 'E=26000:prepared statement "copyhold/none" does not exist Z=I')
	PY
}

@test "after an error in a pipeline the names behind it are free again" {
	wire <<-'PY'
		a.send(parse("known", "SELECT 5"), sync())
		same(a.says(), "1 Z=I")
		a.send(parse("bad", "SELEC 1"), parse("next", "SELECT 5"), parse("new", "SELECT 6"), sync())
		same(a.says(), 'E=42601:syntax error at or near "SELEC" Z=I')
		a.send(parse("bad", "SELECT 1"), parse("next", "SELECT 2"), parse("new", "SELECT 3"), sync())
		same(a.says(), "1 1 1 Z=I")
		a.send(bind("", "bad"), execute(), bind("", "next"), execute(), bind("", "new"), execute(), sync())
		same(a.says(), "2 D=1 C=SELECT 1 2 D=2 C=SELECT 1 2 D=3 C=SELECT 1 Z=I")
		a.send(parse("five", "SELECT 5"), bind("", "five"), execute(), bind("", "known"), execute(), sync())
		same(a.says(), "1 2 D=5 C=SELECT 1 2 D=5 C=SELECT 1 Z=I")
		a.send(parse("next", "SELECT 4"), sync())
		same(a.says(), "E=42P05:a prepared statement of this name exists already Z=I")
	PY
}

@test "what is passed over after an error leaves the unnamed statement alone" {
	wire <<-'PY'
		a.send(parse("", "SELECT 'first'"), bind("", "none"), flush())
		same(a.says("E"), '1 E=26000:prepared statement "none" does not exist')
		a.send(parse("", "SELECT 'second'"), sync())
		same(a.says(), "Z=I")
		a.send(bind("", ""), execute(), sync())
		same(a.says(), "2 D=first C=SELECT 1 Z=I")
	PY
}

@test "an unnamed statement that is passed over leaves the named one of the same text" {
	wire <<-'PY'
		a.send(parse("same", "SELECT 8"), sync())
		same(a.says(), "1 Z=I")
		a.send(parse("", "SELEC"), parse("", "SELECT 8"), sync())
		same(a.says(), 'E=42601:syntax error at or near "SELEC" Z=I')
		a.send(bind("", "same"), execute(), sync())
		same(a.says(), "2 D=8 C=SELECT 1 Z=I")
	PY
}

@test "what is prepared behind a pipelined DISCARD ALL stays, and what it took can be prepared again" {
	wire <<-'PY'
		a.send(parse("old", "SELECT 10"), parse("again", "SELECT 9"), sync())
		same(a.says(), "1 1 Z=I")
		a.send(query("DISCARD ALL"), parse("new", "SELECT 9"), parse("", "SELECT 11"), sync())
		same(a.says(), "C=DISCARD ALL Z=I")
		same(a.says(), "1 1 Z=I")
		a.send(bind("", ""), execute(), bind("", "new"), execute(), parse("again", "SELECT 9"), bind("", "again"),
		    execute(), sync())
		same(a.says(), "2 D=11 C=SELECT 1 2 D=9 C=SELECT 1 1 2 D=9 C=SELECT 1 Z=I")
		a.send(bind("", "old"), sync())
		same(a.says(), 'E=26000:prepared statement "old" does not exist Z=I')
		a.send(query("BEGIN"))
		same(a.says(), "C=BEGIN Z=T")
		a.send(query("DISCARD ALL"), bind("", "new"), sync())
		same(a.says(), "E=25001:DISCARD ALL cannot run inside a transaction block Z=E")
		same(a.says(), "E=25P02:current transaction is aborted, commands ignored until end of transaction block Z=E")
		a.send(query("ROLLBACK"))
		same(a.says(), "C=ROLLBACK Z=I")
		a.send(bind("", "new"), execute(), sync())
		same(a.says(), "2 D=9 C=SELECT 1 Z=I")
	PY
}

@test "what pins behind a pipelined DISCARD ALL goes on to pin" {
	wire <<-'PY'
		c, own = Session(GLOBEX), "SET work_mem = '7MB'"
		usual = a.ask("SHOW work_mem")
		assert "7MB" not in usual
		def mine_alone():
		    same(b.ask("SHOW work_mem"), usual)
		    same(a.ask("SHOW work_mem"), "T D=7MB C=SHOW Z=I")
		def is_free():
		    same(a.ask("DISCARD ALL"), "C=DISCARD ALL Z=I")
		    same(b.ask("BEGIN"), "C=BEGIN Z=T")
		    same(c.ask("SHOW work_mem"), usual)
		    same(b.ask("SHOW work_mem"), usual.replace("Z=I", "Z=T"))
		    same(b.ask("COMMIT"), "C=COMMIT Z=I")
		a.send(query("DISCARD ALL"), query(own))
		same((a.says(), a.says()), ("C=DISCARD ALL Z=I", "C=SET Z=I"))
		mine_alone()
		is_free()
		a.send(parse("", "DISCARD ALL"), bind("", ""), execute(), sync(), parse("", own), bind("", ""), execute(), sync())
		same((a.says(), a.says()), ("1 2 C=DISCARD ALL Z=I", "1 2 C=SET Z=I"))
		mine_alone()
		is_free()
		# prepared before it, and executed after
		a.send(parse("d", "DISCARD ALL"), parse("", own), sync())
		same(a.says(), "1 1 Z=I")
		a.send(bind("", "d"), execute(), sync(), bind("", ""), execute(), sync())
		same((a.says(), a.says()), ("2 C=DISCARD ALL Z=I", "2 C=SET Z=I"))
		mine_alone()
		is_free()
		a.send(query("DEALLOCATE ALL"), query("PREPARE p AS SELECT 'mine'"))
		same((a.says(), a.says()), ("C=DEALLOCATE ALL Z=I", "C=PREPARE Z=I"))
		same(b.ask("BEGIN"), "C=BEGIN Z=T")
		same(a.ask("EXECUTE p"), "T D=mine C=SELECT 1 Z=I")
		same(b.ask("COMMIT"), "C=COMMIT Z=I")
		is_free()
	PY
}

@test "Close of what is not there succeeds" {
	wire <<-'PY'
		a.send(close("S", "nothing"), close("P", "nothing"), close("S", ""), sync())
		same(a.says(), "3 3 3 Z=I")
	PY
}

@test "more statements than a server keeps, and errors between them" {
	wire <<-'PY'
		for i in range(300):
		    a.send(parse(f"s{i}", f"SELECT {i}"), sync())
		    same(a.says(), "1 Z=I")
		for i in range(300):
		    a.send(bind("", "none"), bind("", f"s{i}"), execute(), sync())
		    same(a.says(), 'E=26000:prepared statement "none" does not exist Z=I')
		a.send(*[bind("", f"s{i}") + execute() for i in range(300)], bind("", "none"), sync())
		same(a.says(), " ".join(f"2 D={i} C=SELECT 1" for i in range(300)) +
		    ' E=26000:prepared statement "none" does not exist Z=I')
		a.send(query("SELECT 1/0"), *[bind("", f"s{i}") + execute() for i in reversed(range(300))], sync())
		same(a.says(), "E=22012:division by zero Z=I")
		same(a.says(), " ".join(f"2 D={i} C=SELECT 1" for i in reversed(range(300))) + " Z=I")
		for turn in range(3):
		    a.send(parse("late", "SELECT 1/0"), bind("", "late"), execute(),
		        *[bind("", f"s{i}") + execute() for i in range(turn, 300, 2)], sync())
		    same(a.says(), "1 E=22012:division by zero Z=I" if turn == 0 else
		        "E=42P05:a prepared statement of this name exists already Z=I")
		a.send(*[bind("", f"s{i}") + execute() for i in range(300)], sync())
		same(a.says(), " ".join(f"2 D={i} C=SELECT 1" for i in range(300)) + " Z=I")
	PY
}

@test "DEALLOCATE that the gateway answers itself keeps no server" {
	wire <<-'PY'
		c = Session(GLOBEX)
		for s in (a, b, c):
		    s.send(parse("x", "SELECT 1"), sync())
		    same(s.says(), "1 Z=I")
		for s in (a, b, c):
		    same(s.ask("DEALLOCATE x"), "C=DEALLOCATE Z=I")
		for s in (a, b, c):
		    same(s.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
	PY
}

@test "a message that has only begun, or Close without Sync, keeps no server" {
	wire <<-'PY'
		c, whole = Session(GLOBEX), query("SELECT '" + "x" * 3000 + "'")
		a.send(whole[:100])
		b.send(whole[:2000])
		same(c.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
		a.send(whole[100:])
		b.send(whole[2000:])
		for s in (a, b):
		    same(s.says(), "T D=" + "x" * 3000 + " C=SELECT 1 Z=I")
		    s.send(close("S", "nothing"), flush())
		    same(s.says("3"), "3")
		same(c.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
		for s in (a, b):
		    s.send(sync())
		    same(s.says(), "Z=I")
	PY
}

@test "a statement too long to be kept takes the place of the one before" {
	wire <<-'PY'
		i = Session(INITECH)
		long = "SELECT 'long'" + " " * 300000
		i.send(parse("", "SELECT 'short'"), parse("n", "SELECT 'short'"), sync())
		same(i.says(), "1 1 Z=I")
		i.send(parse("", long), bind("", ""), execute(), sync())
		same(i.says(), "1 2 D=long C=SELECT 1 Z=I")
		i.send(bind("", ""), execute(), sync())
		same(i.says(), "2 D=long C=SELECT 1 Z=I")
		i.send(parse("n", long), sync())
		same(i.says(), "E=42P05:a prepared statement of this name exists already Z=I")
		i.send(parse("m", long), bind("", "m"), execute(), sync())
		same(i.says(), "1 2 D=long C=SELECT 1 Z=I")
		i.send(parse("", "SELECT 'short again'"), bind("", ""), execute(), sync())
		same(i.says(), "1 2 D=short again C=SELECT 1 Z=I")
	PY
}

@test "a portal gives its rows in parts" {
	wire <<-'PY'
		a.send(query("BEGIN"))
		same(a.says(), "C=BEGIN Z=T")
		a.send(parse("", "SELECT generate_series(1, 5)"), bind("p", ""), execute("p", 2), flush())
		same(a.says("s"), "1 2 D=1 D=2 s")
		same(b.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
		a.send(execute("p", 2), sync())
		same(a.says(), "D=3 D=4 s Z=T")
		a.send(execute("p"), close("P", "p"), sync())
		same(a.says(), "D=5 C=SELECT 1 3 Z=T")
		same(a.ask("COMMIT"), "C=COMMIT Z=I")
	PY
}

@test "COPY IN: Sync before the data, data that nobody asked for, a client that fails it" {
	wire <<-'PY'
		copy = parse("", "COPY account (name, country) FROM STDIN") + bind("", "") + execute()
		row, done = message("d", b"copied\tCN\n"), message("c")
		a.send(copy, sync(), row, done, sync())
		same(a.says(), "1 2 G C=COPY 1 Z=I")
		a.send(row, row, done, message("f", b"stray\0"))
		same(a.ask("SELECT count(*) FROM account WHERE name = 'copied'"), "T D=1 C=SELECT 1 Z=I")
		a.send(copy, row, message("f", b"no more\0"), sync())
		same(a.says(), '1 2 G E=57014:COPY from stdin failed: no more Z=I')
		a.send(query("COPY account (name, country) FROM STDIN"), row, message("f", b"enough\0"))
		same(a.says(), 'G E=57014:COPY from stdin failed: enough Z=I')
		a.send(copy, message("d", b"wrong\n"), row, done, sync())
		same(a.says(), '1 2 G E=22P04:missing data for column "country" Z=I')
		same(a.ask("DELETE FROM account WHERE name = 'copied'"), "C=DELETE 1 Z=I")
		same(b.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
		a.send(copy, query("SELECT 1"), sync())
		same(a.at_end(), "1 2 G E=08P01:unexpected message type 0x51 during COPY from stdin "
		    "E=08P01:terminating connection because protocol synchronization was lost E=08006:the connection to the database was lost")
		same(b.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
	PY
}

@test "a function call by number is carried, and refused where the route is guarded" {
	wire <<-'PY'
		call = message("F", struct.pack("!IHHH", 177, 1, 1, 2) + struct.pack("!IiIi", 4, 40, 4, 2) + struct.pack("!H", 1))
		a.send(call)
		answer = a.until("Z")
		same([k for k, _ in answer], ["V", "Z"])
		same(answer[0][1], struct.pack("!Ii", 4, 42))
		h = Session(HOOLI)
		h.send(call)
		same(h.says(), "E=42501:DO, CALL, LOAD, function calls by number and functions that run a text are "
		    "not allowed through this gateway Z=I")
		same(h.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
	PY
}

@test "a newer protocol and options that nobody knows are negotiated" {
	wire <<-'PY'
		new = Session(GLOBEX, version=196610)
		same(new.negotiated, struct.pack("!II", 196608, 0))
		same(new.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
		odd = Session(GLOBEX, settings=[("_pq_.one", "1"), ("_pq_.two", "2")])
		same(odd.negotiated, struct.pack("!II", 196608, 2) + b"_pq_.one\0_pq_.two\0")
		same(odd.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
		names = ["_pq_." + str(i) * 1800 for i in range(5)]
		long = Session(GLOBEX, settings=[(name, "") for name in names])
		same(long.negotiated, struct.pack("!II", 196608, 5) + b"".join(map(text, names)))
		same(long.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
	PY
}

@test "a setting at start that the server refuses ends the login with the server's words" {
	wire <<-'PY'
		for name, value, told in (
		    ("client_encoding", "KLINGON", '22023:invalid value for parameter "client_encoding": "KLINGON"'),
		    ("TimeZone", "Mars/Olympus", '22023:invalid value for parameter "TimeZone": "Mars/Olympus"')):
		    try:
		        Session(GLOBEX, settings=[(name, value)])
		        assert False, "logged in"
		    except Gone as e:
		        same(str(e), told)
	PY
}

@test "empty queries, notices, errors in the middle of several statements" {
	wire <<-'PY'
		same(a.ask(""), "I Z=I")
		same(a.ask(" ; ; "), "I Z=I")
		a.send(parse("", ""), bind("", ""), execute(), sync())
		same(a.says(), "1 2 I Z=I")
		same(a.ask("ROLLBACK"), "N=25P01:there is no transaction in progress C=ROLLBACK Z=I")
		same(a.ask("SELECT 1; SELECT 1/0; SELECT 2"), "T D=1 C=SELECT 1 E=22012:division by zero Z=I")
		same(a.ask("BEGIN; SELECT 1/0"), "C=BEGIN E=22012:division by zero Z=E")
		same(b.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
		same(a.ask("ROLLBACK; SELECT 3"), "C=ROLLBACK T D=3 C=SELECT 1 Z=I")
	PY
}

@test "a notification reaches a session that listens, while it says nothing" {
	wire <<-'PY'
		l, n = Session(INITECH), Session(INITECH)
		same(l.ask("LISTEN news"), "C=LISTEN Z=I")
		same(n.ask("NOTIFY news, 'rain'"), "C=NOTIFY Z=I")
		same(l.says("A"), "A=news rain")
		a_listens = Session(GLOBEX)
		same(a_listens.ask("LISTEN news"), "C=LISTEN Z=I")
		same(b.ask("NOTIFY news, 'here alone'"), "C=NOTIFY Z=I")
		same(a_listens.says("A"), "A=news here alone")
	PY
}

@test "Terminate in the middle undoes what was begun, and the server is free" {
	wire <<-'PY'
		for turn in range(6):
		    t = Session(GLOBEX)
		    same(t.ask("BEGIN"), "C=BEGIN Z=T")
		    same(t.ask("INSERT INTO account (name, country) VALUES ('half', 'CN')"), "C=INSERT 0 1 Z=T")
		    t.send(*([parse("", "SELECT pg_sleep(60)"), bind("", ""), execute(), flush()] if turn % 2 else []),
		        message("X"))
		    t.close()
		same(a.ask("SELECT count(*) FROM account WHERE name = 'half'"), "T D=0 C=SELECT 1 Z=I")
	PY
}

@test "many short statements that are prepared and closed leave nothing behind" {
	wire <<-'PY'
		for turn in range(40):
		    a.send(*[parse(f"t{turn}x{i}", f"SELECT {turn} + {i}") + close("S", f"t{turn}x{i}") for i in range(50)],
		        sync())
		    same(a.says(), "1 3 " * 50 + "Z=I")
		big = "SELECT '" + "x" * 200000 + "'"
		kept = 0
		while True:
		    a.send(parse(f"big{kept}", big), sync())
		    said = a.says()
		    if said != "1 Z=I":
		        break
		    kept += 1
		same((kept, said), (41, "E=54000:the prepared statements of this session are more than this gateway keeps Z=I"))
		same(a.ask("DEALLOCATE ALL"), "C=DEALLOCATE ALL Z=I")
		a.send(parse("big", big), sync())
		same(a.says(), "1 Z=I")
	PY
}

@test "prepared savepoints are counted, also within one pipeline" {
	wire <<-'PY'
		h = Session(HOOLI)
		same(h.ask("BEGIN"), "C=BEGIN Z=T")
		h.send(parse("sp", "SAVEPOINT s"), sync())
		same(h.says(), "1 Z=T")
		one = bind("", "sp") + execute()
		h.send(one * 60, sync())
		same(h.says(), "2 C=SAVEPOINT " * 60 + "Z=T")
		h.send(one * 10, sync())
		same(h.says(), "2 C=SAVEPOINT " * 4 + "E=54000:too many savepoints in one transaction Z=E")
		same(h.ask("ROLLBACK"), "C=ROLLBACK Z=I")
		same(h.ask("BEGIN; " + "SAVEPOINT a; " * 65), "E=54000:too many savepoints in one transaction Z=I")
		for sql, what in (("LOCK TABLE account", "LOCK is"), ("LISTEN x", "LISTEN and NOTIFY are"),
		    ("SELECT pg_advisory_lock(1)", "advisory locks are")):
		    h.send(parse("", sql), bind("", ""), execute(), sync())
		    same(h.says(), f"E=42501:{what} not allowed through this gateway Z=I")
	PY
}

@test "guarded: what a setting that is not answered yet would make of a text is refused, too" {
	wire <<-'PY'
		h = Session(HOOLI)
		off = query("SET standard_conforming_strings = off")
		h.send(off, query("SELECT 'a\\'' AS b; LISTEN x; --'"))
		same(h.says(), "C=SET Z=I")
		same(h.says(), "E=42501:LISTEN and NOTIFY are not allowed through this gateway Z=I")
		same(h.ask("SET standard_conforming_strings = on"), "C=SET Z=I")
		h.send(off, parse("", "SELECT 'a\\'' AS b; LISTEN x; --'"), sync())
		same(h.says(), "C=SET Z=I")
		same(h.says(), "E=42501:LISTEN and NOTIFY are not allowed through this gateway Z=I")
		same(h.ask("SET standard_conforming_strings = on"), "C=SET Z=I")
		same(h.ask("SELECT 'C:\\dir\\'"), "T D=C:\\dir\\ C=SELECT 1 Z=I")
	PY
}

@test "guarded: what an encoding that is not answered yet would make of a text is refused, too" {
	wire <<-'PY'
		NO = "E=0A000:texts in this client_encoding cannot be looked at: use UTF8"
		# in SJIS the two bytes are one character, and the string ends behind it
		trick = b"SELECT E'\x83\x5c' ; LISTEN x; --'\0"
		for sql in ("SET client_encoding = 'SJIS'", "SET NAMES 'SJIS'", "BEGIN; SET LOCAL client_encoding = 'SJIS'"):
		    h = Session(HOOLI)
		    h.send(query(sql), message("Q", trick))
		    h.says()
		    same(h.says()[:len(NO)], NO)
		    h = Session(HOOLI)
		    h.send(parse("s", sql.split("; ")[-1]), bind("", "s"), execute(), parse("", "SELECT 1"), message("P", b"t\0" + trick + b"\0\0"), sync())
		    same(h.says().split(NO)[1:], [" Z=I"])
		h = Session(HOOLI)
		same(h.ask("SET client_encoding = 'UTF8'"), "C=SET Z=I")
		same(h.ask("SELECT 'zwölf'"), "T D=zwölf C=SELECT 1 Z=I")
		h.send(query("SET client_encoding = 'UTF8'"), query("SELECT 'ascii'"))
		same((h.says(), h.says()), ("C=SET Z=I", "T D=ascii C=SELECT 1 Z=I"))
	PY
}

@test "a Close, a DEALLOCATE or a Parse behind an error leaves the name as it was" {
	wire <<-'PY'
		def run(name): return bind("", name) + execute()
		def missing(name): return f'E=26000:prepared statement "{name}" does not exist Z=I'
		a.send(parse("x", "SELECT 1"), sync())
		same(a.says(), "1 Z=I")
		for behind in ([close("S", "x")], [close("S", "x"), parse("x", "SELECT 2")],
		    [close("S", "x"), parse("x", "SELECT 2"), close("S", "x")], [close("S", "x"), parse("x", "SELECT 1")],
		    [close("S", "x"), close("S", "x")], [parse("", "DEALLOCATE x"), bind("", ""), execute()]):
		    a.send(bind("", "none"), *behind, sync())
		    same(a.says(), missing("none"))
		    a.send(run("x"), sync())
		    same(a.says(), "2 D=1 C=SELECT 1 Z=I")
		a.send(bind("", "none"), parse("y", "SELECT 3"), close("S", "y"), sync())
		same(a.says(), missing("none"))
		a.send(run("y"), sync())
		same(a.says(), missing("y"))
		a.send(close("S", "x"), parse("x", "SELECT 2"), run("x"), sync())
		same(a.says(), "3 1 2 D=2 C=SELECT 1 Z=I")
		a.send(parse("", "DEALLOCATE x"), bind("", ""), execute(), sync())
		same(a.says(), "1 2 C=DEALLOCATE Z=I")
		a.send(run("x"), sync())
		same(a.says(), missing("x"))
	PY
}

@test "names of prepared statements count, also of those that wait for their answer, and all of a tenant together" {
	wire <<-'PY'
		many = "E=54000:the prepared statements of this session are more than this gateway keeps Z=I"
		def fill(s):
		    kept = 0
		    while kept < 100:
		        s.send(parse(f"{kept:06}" + "n" * 250000, ""), sync())
		        said = s.says()
		        if said != "1 Z=I":
		            same(said, many)
		            return kept
		        kept += 1
		    assert False, "never refused"
		same(fill(a), 66)
		a.send(message("X"))
		a.at_end()
		# none of those behind it is answered before all of them are there
		b.send(parse("", "SELECT pg_sleep(4)"), bind("", ""), execute(), flush(),
		    *[parse(f"{i:06}" + "n" * 250000, "") for i in range(50)], sync())
		same(b.says(), "1 2 D= C=SELECT 1 " + "1 " * 33 + many)
		same(b.ask("DEALLOCATE ALL"), "C=DEALLOCATE ALL Z=I")
		same(b.ask("SELECT 'well'"), "T D=well C=SELECT 1 Z=I")
		all = [Session(GLOBEX) for _ in range(17)]
		kept = [fill(s) for s in all]
		same(kept, [66] * 16 + [15])
		all[0].send(message("X"))
		all[0].at_end()
		assert fill(b) > 0
	PY
}
