load ../lib/home

# What `gateway run` refuses before it serves anybody, and what can be asked where none runs.

setup() {
	home_setup
	copyhold init
}
teardown() { home_teardown; }

# TEXT ARGUMENT...: wrong usage, said so.
wrong() {
	try gateway run "${@:2}"
	assert_exit 64
	assert_contains "$1" "$stderr"
	assert_out ""
}

@test "addresses that are none are refused" {
	wrong 'error[usage]: "localhost:6432" is no address to listen on
  hint:  Write ADDRESS:PORT, such as 127.0.0.1:6432 or [::1]:6432, or the folder of a unix socket, such as /run/copyhold.' \
		--listen localhost:6432
	wrong '"127.0.0.1" is no address to listen on' --listen 127.0.0.1
	wrong '"/run/x:0" is no address to listen on' --listen /run/x:0
	wrong 'the path of a unix socket has 107 bytes at most' --listen "/$(printf 'x%.0s' {1..120})"
}

@test "numbers out of their range are refused" {
	wrong 'error[usage]: --workers takes 1 to 64, and not 65' --workers 65
	wrong 'error[usage]: --workers takes 1 to 64, and not 0' --workers 0
	wrong 'error[usage]: --max-clients takes 1 to 1000000, and not 0' --max-clients 0
	wrong 'error[usage]: --tenant-connections takes 1 to 10000, and not 0' --tenant-connections 0
}

@test "limits of a file are as strict as manifests" {
	printf 'wait: 3\n' >"$TEST_DIR/limits.yaml"
	try gateway run --listen 127.0.0.1:0 --limits "$TEST_DIR/limits.yaml"
	assert_exit 64
	assert_contains "while: reading the gateway's limits" "$stderr"
	assert_contains "where: $TEST_DIR/limits.yaml:1:" "$stderr"
	printf 'guardSavepoints: 0\n' >"$TEST_DIR/limits.yaml"
	try gateway run --listen 127.0.0.1:0 --limits "$TEST_DIR/limits.yaml"
	assert_exit 64
	assert_contains "guardSavepoints" "$stderr"
	try gateway run --listen 127.0.0.1:0 --limits "$TEST_DIR/none.yaml"
	assert_exit 1
	assert_contains "none.yaml" "$stderr"
	assert_equal "$(ls "$COPYHOLD_HOME/run/gateway" 2>/dev/null)" ""
}

@test "another address than one of this machine wants TLS" {
	try gateway run --listen 0.0.0.0:0
	assert_exit 1
	assert_err 'error[refused]: without TLS passwords and rows on "0.0.0.0:0" could be read on the way
  hint:  Give --tls-cert and --tls-key.'
	wrong '--tls-cert and --tls-key belong together' --tls-cert "$TEST_DIR/x"
}

@test "a certificate that cannot be used is said, and nothing is listened on" {
	echo none >"$TEST_DIR/bad.pem"
	chmod 600 "$TEST_DIR/bad.pem"
	try gateway run --listen "$TEST_DIR" --tls-cert "$TEST_DIR/bad.pem" --tls-key "$TEST_DIR/bad.pem"
	assert_exit 1
	assert_contains "while: reading the gateway's certificate" "$stderr"
	[ ! -e "$TEST_DIR/.s.PGSQL.6432" ]
	assert_equal "$(ls "$COPYHOLD_HOME/run/gateway" 2>/dev/null)" ""
}

@test "a key that others may read is refused" {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x \
		-keyout "$TEST_DIR/k.pem" -out "$TEST_DIR/c.pem" 2>/dev/null
	chmod 644 "$TEST_DIR/k.pem"
	try gateway run --tls-cert "$TEST_DIR/c.pem" --tls-key "$TEST_DIR/k.pem"
	assert_exit 1
	assert_contains 'k.pem' "$stderr"
	assert_contains 'chmod' "$stderr"
}

@test "metrics are not told to whom is elsewhere" {
	try gateway run --listen 127.0.0.1:0 --metrics 0.0.0.0:0
	assert_exit 1
	assert_err 'error[refused]: plain HTTP on "0.0.0.0:0" could be reached from elsewhere
  hint:  Give --metrics an address of this machine, such as 127.0.0.1:9187.'
}

@test "a worker that nobody started has nothing to do" {
	try gateway worker
	assert_exit 64
	assert_err 'error[usage]: a worker has nothing to do by itself
  hint:  Start the gateway: copyhold gateway run.'
}

@test "the worker is no command for people" {
	try gateway --help
	assert_exit 0
	assert_contains "gateway run"
	assert_lacks "gateway worker"
}

@test "where no gateway runs, it is said" {
	local verb
	for verb in status pools servers; do
		try gateway "$verb"
		assert_exit 1
		assert_err 'error[not-found]: no gateway is running
  hint:  Start one: copyhold gateway run.'
	done
	try route hold nobody
	assert_exit 1
	assert_contains 'there is no tenant "nobody"' "$stderr"
}

@test "limits of a login that are none are refused" {
	try login add nobody app --valid-until yesterday
	assert_exit 64
	assert_err 'error[usage]: "yesterday" is no date or time
  hint:  Write it such as 2027-01-31 or 2027-01-31T12:00:00Z; never: it does not end.'
	try login add nobody app --connections 1000001
	assert_exit 64
	assert_err "error[usage]: --connections takes 0 to 1000000
  hint:  0 is no limit."
}

@test "the gateway's unit is one that systemd takes" {
	command -v systemd-analyze >/dev/null || skip "systemd-analyze is not here"
	sed "s,/usr/bin/copyhold,$COPYHOLD_BIN," "$REPO/packaging/copyhold-gateway.service" \
		>"$TEST_DIR/copyhold-gateway.service"
	run --separate-stderr systemd-analyze verify --man=no "$TEST_DIR/copyhold-gateway.service"
	assert_exit 0
	assert_err ""
}

@test "a limit of open files that leaves no room for clients is refused" {
	run --separate-stderr bash -c 'ulimit -n 200 && exec "$0" gateway run --listen 127.0.0.1:0' "$COPYHOLD_BIN"
	assert_exit 1
	assert_err 'error[limit]: a gateway needs 256 open files at least, and 200 are allowed
  hint:  Raise it: ulimit -Hn, or LimitNOFILE= of the service; each client and each server connection takes one.'
}
