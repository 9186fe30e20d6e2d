# shellcheck shell=bash disable=SC2154

# Machines whose process 1 is not systemd: what runit supervises comes up with the machine.

load ../lib/home
load ../lib/wait
load ../lib/hosts
load ../lib/machine
load ../lib/exclusive

setup_file() {
	hosts_setup
	hosts_region here CN
}

teardown() {
	[ -z "${HOSTS-}" ] || machine_remove m1
	hosts_remove_one
	home_teardown
}

teardown_file() { hosts_remove; }

hosts_remove_one() {
	[ ! -d "$HOSTS/m1" ] || "$REPO/tools/sshd.sh" remove "$HOSTS" m1
	rm -f "$HOSTS/manifests/m1.yaml"
}

# COMMAND [OPTION]...: the machine, and manifests with a server on it.
begin() {
	machine_start m1 runit "$1" "${@:2}"
	home_setup
	exclusive_setup
	cluster_on acme-pg m1
}

# The programs there whose words begin so.
running() { machine_do m1 'for at in /proc/[0-9]*; do tr "\0" " " <$at/cmdline; echo; done 2>/dev/null' | grep -c "^$1" || true; }
server_runs() { [ "$(running '/usr/lib/postgresql/15/bin/postgres -D /var/lib/copyhold/')" = 1 ]; }
# It may be mending what the power cut left, and is stopped for who looks until then.
server_answers() { machine_do m1 "/usr/lib/postgresql/15/bin/pg_isready -q -h /var/lib/copyhold/clusters/acme-pg/run -p $SERVER_PORT"; }
mark() { echo "copyhold-$(printf '%s' /var/lib/copyhold | sha256sum | cut -c 1-8)"; }
found() { tr -s ' ' <<<"$output" | grep "^[a-z]* $1 "; }

# What runs under our runsvdir runs again after a restart, before anybody asks; one runsvdir does it.
comes_up() {
	machine_stop m1
	machine_again m1
	until_true server_runs
	until_true server_answers
	assert_equal "$(running 'runsvdir -P /var/lib/copyhold/service')" 1
	try plan -f "$MANIFESTS" --detailed-exitcode
	assert_exit 0
	sed -i 's/max_connections, value: 30/max_connections, value: 31/' "$MANIFESTS/cluster-acme-pg.yaml"
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_equal "$(running 'runsvdir -P /var/lib/copyhold/service')" 1
}

# Nothing of ours is left, running or in the machine's own folders.
leaves_nothing() {
	mkdir "$TEST_DIR/empty"
	cp "$MANIFESTS/region-here.yaml" "$TEST_DIR/empty"
	copyhold apply -f "$TEST_DIR/empty" --prune --yes --confirm-removal >/dev/null 2>&1
	try apply -f "$TEST_DIR/empty" --prune --yes --confirm-removal
	assert_exit 0
	try host list -o json
	assert_out "[]"
	until_true eval '[ "$(running "runsvdir -P /var/lib/copyhold")" = 0 ]'
	assert_equal "$(running 'runsv copyhold')" 0
	assert_equal "$(machine_do m1 'find /var/lib/copyhold 2>/dev/null')" ""
	assert_equal "$(machine_do m1 "find /etc/cron.d /etc/service/ -name '*$(mark)*' 2>/dev/null")" ""
}

@test "where the machine has a runit of its own, that starts what is ours" {
	begin 'rm -f /usr/sbin/cron'
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	try host check m1
	assert_equal "$(found start)" "ok start services start with the machine, by runit"
	machine_do m1 "[ -x /etc/service/$(mark)/run ]"
	comes_up
	leaves_nothing
}

@test "else cron does" {
	[ -x /usr/sbin/cron ] || skip "there is no cron here"
	begin 'rm -rf /etc/service /etc/runit'
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	try host check m1
	assert_equal "$(found start)" "ok start services start with the machine, by cron"
	comes_up
	leaves_nothing
}

@test "where neither does, host check says so, with the fix" {
	begin 'rm -rf /etc/service /etc/runit /usr/sbin/cron'
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	try host check m1
	assert_exit 2
	assert_equal "$(found start)" "wrong start nothing starts the services when the machine starts"
	assert_contains 'fix of "start": apt-get install -y cron, then as its root run what copyhold host setup-script m1 prints; or have it run /var/lib/copyhold/bin/copyhold-boot runsvdir -P /var/lib/copyhold/service'
	leaves_nothing
}
