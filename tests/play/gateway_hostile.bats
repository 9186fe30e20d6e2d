# Clients that mean harm, or are broken: each costs itself at most, and the worker stays as it was.

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
	sed -i '/metadata: {name: globex/,/^---/ s/^spec:/spec:\n  gateway: {pool: transaction, connections: 2}/' \
		"$MANIFESTS/tenants.yaml"
	copyhold apply -f "$MANIFESTS" --yes --quiet
	certificate
	gateway_start gw --workers 1 --tls-cert "$TEST_DIR/tls.crt" --tls-key "$TEST_DIR/tls.key" \
		--login-timeout 2m --limits "$(gateway_limits_file gw)"
	GLOBEX=$(gw globex) INITECH=$(gw initech)
	WORKER=$(pgrep -P "$(gateway_pid gw)")
	export GLOBEX INITECH WORKER
}

teardown_file() {
	gateways_stop
	clusters_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

# Whatever was done: the same worker serves.
teardown() {
	kill -0 "$WORKER"
	[ "$(psql -X -At -d "$GLOBEX" -c "SELECT 'served'")" = served ]
}

certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
		-keyout "$TEST_DIR/tls.key" -out "$TEST_DIR/tls.crt" 2>/dev/null
	chmod 600 "$TEST_DIR/tls.key"
}

WIRE_NAMES="GLOBEX INITECH WORKER"
WIRE_BEGIN=$(cat <<-'PY'
	HOST, PORT = "127.0.0.1", int(os.environ["GATEWAY"].split(":")[1])
	def memory():  # its own alone: what it shares with other processes counts less while there are more of them
	    with open(f"/proc/{WORKER}/smaps_rollup") as f:
	        return sum(int(l.split()[1]) for l in f if l.startswith(("Anonymous:", "Swap:")))
	def told(*packets):
	    c = Session.raw(HOST, PORT)
	    c.send(*packets)
	    said = c.at_end()
	    c.close()
	    return said
	NOT3 = "E=08P01:the first packet is not of protocol 3"
	NOTLOGIN = "E=08P01:a message that is not of the login came"
	NOTWIRE = "E=08P01:a message that is not of the protocol came"
	NOTSCRAM = "E=08P01:the SCRAM message is not well formed"
PY
)

@test "first packets of impossible lengths and contents are refused" {
	wire <<-'PY'
		v3 = struct.pack("!I", 196608)
		for length in (0, 3, 4, 7, 10001, 1 << 30, (1 << 31) - 1, 1 << 31, (1 << 32) - 1):
		    same(told(struct.pack("!I", length) + v3), NOT3)
		same(told(startup([("user", "u" * 9980), ("database", "d")])), NOT3)
		for body in (v3, v3 + b"user", v3 + b"user\0app", v3 + b"user\0app\0", v3 + b"user\0app\0\0x", v3 + b"\0\0",
		    v3 + b"user\0a\0user\0b\0\0", v3 + b"".join(b"k%d\0v\0" % i for i in range(40)) + b"\0",
		    struct.pack("!I", 131072) + b"user\0app\0\0", struct.pack("!I", 4 << 16) + b"\0", b"\xff" * 40,
		    struct.pack("!II", 80877102, 7), struct.pack("!I", 80877103) + b"x"):
		    same(told(struct.pack("!I", len(body) + 4) + body), NOT3)
	PY
}

@test "who says nothing, or never ends, is put out after the login's time" {
	gateway_limits gw "loginTimeout: 3s"
	wire <<-'PY'
		begun = [Session.raw(HOST, PORT) for _ in range(4)]
		begun[1].send(b"\0\0")
		begun[2].send(startup([("user", "app"), ("database", "globex")])[:-3])
		begun[3].send(startup([("user", "app"), ("database", "globex")]))
		same([c.at_end() for c in begun], ["", "", "", "R"])
	PY
	gateway_limits gw
}

@test "bytes in clear after SSLRequest end the connection" {
	wire <<-'PY'
		ask = struct.pack("!II", 8, 80877103)
		c = Session.raw(HOST, PORT)
		c.send(ask + startup([("user", "app"), ("database", "globex")]))
		same(c.at_end(), "E=08P01:bytes were sent before the TLS handshake")
		c = Session.raw(HOST, PORT)
		c.send(ask)
		same(c.read(1), b"S")
		c.send(startup([("user", "app"), ("database", "globex")]))
		try:
		    while c.read(1):
		        pass
		except Gone:
		    pass
		gss = Session.raw(HOST, PORT)
		for _ in range(50):
		    gss.send(struct.pack("!II", 8, 80877104))
		    same(gss.read(1), b"N")
	PY
}

@test "garbage before the login, however much" {
	wire <<-'PY'
		import random
		random.seed(7)
		for turn in range(300):
		    c = Session.raw(HOST, PORT)
		    try:
		        c.send(struct.pack("!I", random.choice([8, 9, 100, 9999])) + random.randbytes(random.randrange(1, 20000)))
		        c.sock.shutdown(socket.SHUT_WR)
		    except OSError:
		        pass
		    assert c.at_end() in ("", NOT3), turn
		    c.close()
		c = Session.raw(HOST, PORT)
		try:
		    for _ in range(400):
		        c.send(b"\0\0\x27\x10" + b"A" * 65536)
		    assert False, "it was read on and on"
		except OSError:
		    pass
	PY
}

@test "SCRAM messages that are malformed in each of their places" {
	wire <<-'PY'
		def first(body):
		    c = Session(GLOBEX, log_in=False)
		    c.first()
		    c.send(message("p", body))
		    return c.at_end()
		def initial(data, mechanism="SCRAM-SHA-256", size=None):
		    return text(mechanism) + struct.pack("!I", len(data) if size is None else size) + data
		good = b"n,,n=,r=abcdefghijklmnopqrstuvwx"
		for body in (b"", b"\0", b"SCRAM-SHA-256", text("SCRAM-SHA-256"), initial(good, size=5), initial(good, size=500),
		    initial(good, size=(1 << 32) - 1), initial(good, size=(1 << 31)), initial(b""), initial(b"n"), initial(b"n,,"),
		    initial(b"n,,n=,r="), initial(b"x,,n=,r=abc"), initial(b"p=tls-unique,,n=,r=abc"), initial(b"n,a=admin,n=,r=abc"),
		    initial(b"n,,m=ext,n=,r=abc"), initial(b"n,,r=abc,n="), initial(b"n,,n=,r=a\x01b"), initial(b"n,,n=,r=" + b"x" * 5000)):
		    same(first(body), NOTSCRAM)
		for mechanism in ("", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS"):
		    same(first(initial(good, mechanism)), "E=28000:only SCRAM-SHA-256 is offered")
		def last(spoil):
		    c = Session(GLOBEX, log_in=False)
		    c.first()
		    c.nonce()
		    c.send(message("p", spoil(c)))
		    return c.at_end()
		wrong = "E=28P01:tenant, user or password is wrong"
		for spoil in (lambda c: b"", lambda c: b"c=biws", lambda c: b"c=biws,r=,p=", lambda c: c.final()[:-1],
		    lambda c: c.final() + b"\0", lambda c: c.final() + b",x=y", lambda c: c.final().replace(b"biws", b"eSws"),
		    lambda c: c.final("other" + c.own), lambda c: c.final(c.own), lambda c: b"p=" + c.final(),
		    lambda c: c.final().replace(b",p=", b",p=AAAA"), lambda c: b"x" * 29000):
		    assert last(spoil) in (NOTSCRAM, wrong), last(spoil)
		same(last(lambda c: c.final()[:-4] + b"AAA="), wrong)
	PY
}

@test "messages that are not of the login, and after it not of the protocol" {
	wire <<-'PY'
		for kind in "QXpSdRZ\0\xff":
		    c = Session(GLOBEX, log_in=False)
		    c.first()
		    raw = bytes([ord(kind)]) + struct.pack("!I", 9) + b"abc\0\0"
		    c.send(raw)
		    said = c.at_end()
		    assert said in ((NOTSCRAM,) if kind == "p" else ("",) if kind == "X" else (NOTLOGIN,)), (kind, said)
		for raw in (b"Q\0\0\0\0", b"Q\0\0\0\3", b"Q\x40\0\0\0", b"Q\x7f\xff\xff\xff", b"Q\x80\0\0\0", b"Q\xff\xff\xff\xff", b"p\0\0\0\4",
		    b"Z\0\0\0\4", b"\0\0\0\0\4", b"R\0\0\0\4", b"T\0\0\0\4"):
		    c = Session(GLOBEX)
		    c.send(raw)
		    same(c.at_end(), NOTWIRE)
		for raw, what in ((message("Q", b"SELECT 1"), "Query"), (message("Q", b""), "Query"), (message("Q", b"a\0b\0"), "Query"),
		    (message("P", b""), "Parse"), (message("P", b"x"), "Parse"), (message("P", b"\0SELECT 1\0"), "Parse"),
		    (message("P", b"\0SELECT 1\0\0\5\0\0"), "Parse"), (message("P", b"\0SELECT 1\0\xff\xff"), "Parse"),
		    (message("P", b"n" * 300000), "Parse"), (message("B", b""), "Bind"), (message("B", b"\0"), "Bind"),
		    (message("B", b"x" * 3000), "Bind"), (message("D", b""), "Describe or Close"), (message("D", b"X\0"), "Describe or Close"),
		    (message("C", b"S"), "Describe or Close"), (message("D", b"S" + b"n" * 5000 + b"\0"), "Describe or Close")):
		    c = Session(GLOBEX)
		    c.send(raw)
		    same(c.at_end(), f"E=08P01:a {what} message is not well formed")
	PY
}

@test "who asks and does not listen fills its own connection and not the worker" {
	wire <<-'PY'
		import threading
		before = memory()
		def insist(*packets):
		    c = Session(INITECH)
		    c.sock.settimeout(2)
		    sent = 0
		    try:
		        while sent < 60_000_000:
		            c.send(*packets)
		            sent += sum(map(len, packets))
		    except TimeoutError:
		        pass
		    return c
		syncs = insist(sync() * 10000)
		closes = insist(close("S", "none") * 5000)
		s = Session(GLOBEX)
		s.sock.settimeout(2)
		try:
		    while True:
		        s.send(sync() * 10000)
		except TimeoutError:
		    pass
		slow = Session(INITECH)
		slow.send(query("SELECT repeat('x', 200000000)"))
		same(slow.until("T")[-1][0], "T")
		assert memory() - before < 8000, (before, memory())
		s.sock.settimeout(60)
		got = len(slow.buffer)
		while got < 200000000:
		    part = slow.sock.recv(1 << 20)
		    assert part
		    got += len(part)
		assert memory() - before < 8000, (before, memory())
		same(s.says(), "Z=I")
		writer = Session(INITECH)
		writer.send(b"Q" + struct.pack("!I", 200000005) + b"SELECT 'xx")
		assert memory() - before < 8000, (before, memory())
	PY
}

@test "texts that clients choose are forgotten when nobody has them any more" {
	wire <<-'PY'
		c = Session(GLOBEX)
		def name_it(n):
		    c.send(*[query(f"SET application_name = '{i:063d}'") for i in range(n, n + 200)])
		    for i in range(200):
		        same(c.says(), "C=SET Z=I")
		for n in range(0, 10000, 200):
		    name_it(n)
		before = memory()
		for n in range(10000, 50000, 200):
		    name_it(n)
		assert memory() - before < 3000, (before, memory())
		same(c.ask("SHOW application_name"), f"T D={49999:063d} C=SHOW Z=I")
		same(c.ask("SET TimeZone = 'Asia/Tokyo'"), "C=SET Z=I")
		same(c.ask("SHOW TimeZone"), "T D=Asia/Tokyo C=SHOW Z=I")
	PY
}

@test "a rush of logins waits for its turn" {
	wire <<-'PY'
		many = [Session(GLOBEX, log_in=False) for _ in range(800)]
		for c in many:
		    c.first()
		for c in many:
		    c.own = base64.b64encode(os.urandom(18)).decode()
		    c.bare = f"n=,r={c.own}"
		    first = ("n,," + c.bare).encode()
		    c.send(message("p", text("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
		for c in many:
		    same(c.receive()[0], "R")
	PY
}

@test "5,000 idle clients are held, and served" {
	[ "$(ulimit -Hn)" -ge 12000 ] || skip "the hard limit of descriptors is below 12000"
	ulimit -n "$(ulimit -Hn)"
	wire <<-'PY'
		from concurrent.futures import ThreadPoolExecutor
		before = memory()
		with ThreadPoolExecutor(16) as pool:
		    many = list(pool.map(lambda i: Session(GLOBEX, timeout=120), range(5000)))
		grown = memory() - before
		assert grown < 5000 * 2, grown
		for c in many[::50]:
		    same(c.ask("SELECT 1"), "T D=1 C=SELECT 1 Z=I")
		for c in many:
		    c.close()
	PY
	until_true nobody_there
}

nobody_there() { [ "$(copyhold gateway status -o json | jq '[.[].clients] | add')" = 0 ]; }
