# shellcheck shell=bash disable=SC2154

# Packages that a machine lacks, installed there by the distribution's own tools from its own mirrors.

load ../lib/home
load ../lib/hosts
load ../lib/machine
load ../lib/exclusive
load ../lib/releases

setup_file() {
	hosts_setup
	hosts_region here CN
	machine_start m1 runit 'export DEBIAN_FRONTEND=noninteractive
		printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
		apt-get -qq purge -y postgresql-15 haproxy >/dev/null 2>&1
		rm -rf /etc/postgresql /var/lib/postgresql /usr/sbin/policy-rc.d
		sed -i "/create_main_cluster/d" /etc/postgresql-common/createcluster.conf
		cp /etc/postgresql-common/createcluster.conf /var/tmp/createcluster.conf' --owner acme --more 'install: true'
	home_setup
	exclusive_setup
	cluster_on acme-pg m1
	bundle_shop 1.0.0
	PORT=$(free_port)
	export PORT
	tenant_shop acme acme-pg "m1:$PORT"
	machine_do m1 'apt-get -qq update && apt-get -qq --download-only install -y postgresql-15 haproxy' >/dev/null 2>&1 ||
		skip "no packages can be had here"
}

teardown_file() {
	[ -z "${HOSTS-}" ] || machine_remove m1
	hosts_remove
	home_teardown
}

setup() { export COPYHOLD_HOME=$TEST_DIR/home; }

# The programs there whose words begin so.
running() { machine_do m1 'for at in /proc/[0-9]*; do tr "\0" " " <$at/cmdline; echo; done 2>/dev/null' | grep -c "^$1" || true; }
found() { tr -s ' ' <<<"$output" | grep "^[a-z]* $1 "; }

@test "what lacks is told, and installed by --fix" {
	try host check m1 -f "$MANIFESTS"
	assert_exit 2
	assert_equal "$(found packages)" "wrong packages missing: postgresql-15 haproxy"
	try host check m1 -f "$MANIFESTS" --fix --yes
	assert_contains 'will: install 2 packages on host "m1"'
	try host check m1 -f "$MANIFESTS"
	assert_equal "$(found packages)" "ok packages runit postgresql-15 openssl haproxy"
}

@test "a new PostgreSQL brings no cluster of its own, and the file that says so is as it was" {
	assert_equal "$(machine_do m1 'ls -A /etc/postgresql 2>/dev/null')" ""
	assert_equal "$(running /usr/lib/postgresql)" 0
	machine_do m1 'diff /var/tmp/createcluster.conf /etc/postgresql-common/createcluster.conf'
}

@test "a new HAProxy does not run by itself, nor with the next start of the machine" {
	assert_equal "$(running /usr/sbin/haproxy)" 0
	assert_equal "$(machine_do m1 'ls /etc/rc?.d | grep -c "^S..haproxy"' || true)" 0
}

@test "server and services are made with them" {
	try apply -f "$MANIFESTS" --yes
	assert_exit 0
	assert_equal "$(running '/usr/lib/postgresql/15/bin/postgres -D /var/lib/copyhold/')" 1
	assert_contains "1.0.0 " "$(ask "$PORT")"
}
