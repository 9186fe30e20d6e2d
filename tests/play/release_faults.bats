#!/usr/bin/env bats
# shellcheck disable=SC2154

# Releases where the host or the archive is not as it should be: what somebody else packed, full disks, packages
# that are missing, programs that do not want to end.  The tests go on from each other's state.

load ../lib/home
load ../lib/wait
load ../lib/hosts
load ../lib/exclusive
load ../lib/releases

setup_file() {
	hosts_setup
	hosts_region here CN
	host_start h1 --owner acme
	host_start small --owner acme --unprepared
	mount -t tmpfs -o size=6m,mode=0755 tmpfs "$(host_root small)" || skip "nothing can be mounted here"
	host_prepare small runit
	host_start bare --owner acme
	home_setup
	exclusive_setup
	cluster_on acme-pg h1
	PORT=$(free_port) PORT2=$(free_port) PORT3=$(free_port)
	export PORT PORT2 PORT3 DATABASE=false INSTANCES=1
	bundle_shop 1.0.0
	tenant_shop acme acme-pg "h1:$PORT"
	copyhold apply -f "$MANIFESTS" --yes
}

teardown_file() {
	[ -z "${TEST_DIR-}" ] || : >"$TEST_DIR/forks-enough"
	[ -z "${HOSTS-}" ] || unmount "$(host_root small)/run"
	[ -z "${HOSTS-}" ] || host_clear small
	[ -z "${HOSTS-}" ] || unmount "$(host_root small)"
	hosts_remove
	home_teardown
}

unmount() { ! mountpoint -q "$1" || umount -l "$1"; }

setup() {
	[ "$(id -u)" = 0 ] || skip "hosts are pretended by root"
	export COPYHOLD_HOME=$TEST_DIR/home
}

apply() { try apply -f "$MANIFESTS" --yes; }

# HOST KEY VERB WORD...: as one asks who may do no more there than `serve tenant/acme`.
acme_asks() {
	local root
	root=$(host_root "$1")
	printf 'hello %032d\n1 act %s %s 0 %s\n' 0 "$2" "$(cat "$root/state/tenant/acme/fence")" "${*:3}" |
		"$root/bin/copyhold-host" serve tenant/acme
}

# PYTHON: an archive of what it adds, which somebody else packed, is unpacked as release 6.6.6; $output is what
# the helper says.
unpack_made() {
	local sum digest
	rm -rf "$TEST_DIR/made" "$TEST_DIR/made.tar.gz"
	mkdir "$TEST_DIR/made"
	python3 - "$TEST_DIR/made.tar.gz" <<-END
		import io, sys, tarfile
		def add(name, type=tarfile.REGTYPE, mode=0o644, data=b"", link="", device=(0, 0)):
		    info = tarfile.TarInfo(name)
		    info.type, info.mode, info.size, info.linkname = type, mode, len(data), link
		    info.devmajor, info.devminor = device
		    archive.addfile(info, io.BytesIO(data))
		with tarfile.open(sys.argv[1], "w:gz", format=tarfile.USTAR_FORMAT) as archive:
		    add("bin/web", mode=0o755, data=b"#!/bin/sh\n")
		    $1
	END
	tar -xzpf "$TEST_DIR/made.tar.gz" -C "$TEST_DIR/made" 2>/dev/null || true
	digest=$(cd "$TEST_DIR/made" && {
		find . -type f ! -perm -0100 -print0 | xargs -0r sha256sum | sed 's/^/644 /'
		find . -type f -perm -0100 -print0 | xargs -0r sha256sum | sed 's/^/755 /'
		find . -type l -printf 'link %l  %p\n'
		find . ! -type f ! -type l ! -type d -printf 'other  %p\n'
	} | LC_ALL=C sort | sha256sum | cut -c1-64)
	sum=$(sha256sum "$TEST_DIR/made.tar.gz" | cut -c1-64)
	cp "$TEST_DIR/made.tar.gz" "$(host_root h1)/incoming/$sum"
	run acme_asks h1 "${sum:0:16}" release-unpack 6.6.6 "$sum" "$digest"
}

# Nothing of release 6.6.6 is there, and no archive but that of 1.0.0.
nothing_unpacked() {
	assert_equal "$(ls -A "$(tenant_home h1 acme)/releases")" 1.0.0
	assert_equal "$(find "$(tenant_home h1 acme)/releases" ! -type f ! -type d ! -type l -o -perm /7000)" ""
}

@test "an archive with a device, a pipe, a setuid program or a file for everybody is refused by the host" {
	local what
	for what in 'add("disk", tarfile.CHRTYPE, 0o666, device=(1, 3))' \
		'add("disk", tarfile.BLKTYPE, 0o666, device=(7, 77))' 'add("pipe", tarfile.FIFOTYPE, 0o666)' \
		'add("bin/root", mode=0o4755, data=b"#!/bin/sh\n")' 'add("bin/all", mode=0o2755, data=b"1")'; do
		unpack_made "$what"
		case $what in
		*0o4755* | *0o2755*) assert_contains "end 1 ok 0 - - " ;;
		*) assert_contains "end 1 ok 1 - - the archive has what no release may have, such as devices, " ;;
		esac
		assert_equal "$(find "$(tenant_home h1 acme)/releases" ! -type f ! -type d ! -type l -o -perm /7000)" ""
		run acme_asks h1 "ab$RANDOM" release-drop 6.6.6
	done
	nothing_unpacked
}

@test "an archive cannot write elsewhere, nor open the folder of its release to others" {
	unpack_made 'add("../../evil", data=b"1")'
	assert_contains "end 1 ok 1 - - tar refuses the archive"
	unpack_made 'add("out", tarfile.SYMTYPE, link="/etc"); add("out/evil-of-copyhold", data=b"1")'
	assert_contains "end 1 ok 1 - - "
	[ ! -e /etc/evil-of-copyhold ]
	nothing_unpacked
	unpack_made 'add("./", tarfile.DIRTYPE, 0o777)'
	assert_contains "end 1 ok 0 - - "
	assert_equal "$(stat -c '%U:%G %a' "$(tenant_home h1 acme)/releases/6.6.6")" "root:$(tenant_user h1 acme) 750"
	run acme_asks h1 abcd1 release-drop 6.6.6
	nothing_unpacked
}

@test "a setuid bit that somebody gave a file of a release is found and mended" {
	local web
	web=$(tenant_home h1 acme)/releases/1.0.0/bin/web
	chmod 4755 "$web"
	try plan -f "$MANIFESTS"
	assert_contains "    ~ files 1.0.0: edited by hand -> as packed (changed by hand)"
	apply
	assert_exit 0
	assert_equal "$(stat -c %a "$web")" 755
}

@test "a whole archive with other files than were planned is refused by the host" {
	local held file
	bundle_shop 1.1.0
	file=$COPYHOLD_HOME/bundles/$(copyhold bundle show shop -f "$MANIFESTS" -o json | jq -r .digest).tar.gz
	COPYHOLD_FAULT=stop:1 "$COPYHOLD_BIN" apply -f "$MANIFESTS" --yes >"$TEST_DIR/out" 2>"$TEST_DIR/err" 3>&- &
	held=$!
	until_true is_stopped "$held"
	tar -czf "$file" -C "$TEST_DIR/shop" version
	let_go "$held"
	assert_equal "$status" 1
	assert_contains "error[host-step]: \"release-unpack\" on host \"h1\": what was unpacked is not what was packed (exit code 1)" \
		"$(cat "$TEST_DIR/err")"
	assert_equal "$(ls -A "$(tenant_home h1 acme)/releases")" 1.0.0
	assert_contains "1.0.0 " "$(ask "$PORT")"
	rm "$file"
	apply
	assert_exit 0
	assert_contains "1.1.0 " "$(ask "$PORT")"
}

@test "verify tries what is there: no passfile where no service has the database" {
	try tenant verify acme
	assert_exit 0
	assert_contains "  refused           read the environment file of web as nobody on h1"
	assert_lacks "passfile"
	assert_lacks "listen on the port of an instance"
}

@test "a disk that a release does not fit on is told, has its room again, and nothing is left" {
	local root
	root=$(host_root small)
	tenant_shop acme acme-pg "small:$PORT2"
	bundle_shop 1.2.0
	head -c 9M /dev/zero >"$TEST_DIR/shop/large"
	tenant_shop acme acme-pg "h1:$PORT" "small:$PORT2"
	ROLLOUT='{canary: 0, wave: 1, budget: 2}' tenant_shop acme acme-pg "small:$PORT2" "h1:$PORT"
	apply
	rm "$TEST_DIR/shop/large"
	assert_exit 5
	assert_contains "error[disk-full]: \"release-unpack\" on host \"small\": cannot unpack: no space left on device" "$stderr"
	[ ! -e "$root/tenants/acme" ]
	! id "$(tenant_user small acme)" 2>/dev/null
	bundle_shop 1.2.1
	apply
	assert_exit 0
	assert_contains "1.2.1 " "$(ask "$PORT2")"
}

@test "a disk without a byte left is a full disk, not a newer holder and not a cut session" {
	head -c 20M /dev/zero >"$(host_root small)/filler" 2>/dev/null || true
	head -c 9M /dev/zero >"$TEST_DIR/shop/large"
	bundle_shop 1.2.2
	apply
	rm "$(host_root small)/filler" "$TEST_DIR/shop/large"
	assert_exit 1
	assert_contains "error[disk-full]: " "$stderr"
	assert_contains "has no space left for " "$stderr"
	assert_contains "1.2.1 " "$(ask "$PORT2")"
	bundle_shop 1.3.0
	apply
	assert_exit 0
	assert_contains "1.3.0 " "$(ask "$PORT2")"
}

@test "a supervisor that cannot start for a full disk is an error, not a wait without end" {
	local root
	root=$(host_root small)
	try tenant suspend acme --yes
	assert_exit 0
	"$REPO/tools/sshd.sh" clear "$HOSTS" small no-such-prefix-
	rm "$root/run/runsvdir.pid"
	mount -t tmpfs -o size=4k,mode=0700 tmpfs "$root/run"
	head -c 8k /dev/zero >"$root/run/filler" 2>/dev/null || true
	try tenant resume acme --yes
	umount "$root/run"
	assert_exit 1
	assert_contains "runsvdir does not start: no space left on device" "$stderr"
	apply
	assert_exit 0
	assert_contains "    ~ front acme: stopped -> running (changed by hand)"
	assert_contains "1.3.0 " "$(ask "$PORT2")"
}

# FILE...: the sshd of host "bare" sees a machine without them.
bare_without() {
	mkdir -p "$HOSTS/shim"
	: >"$HOSTS/nothing"
	cat >"$HOSTS/shim/sshd" <<-END
		#!/bin/sh
		exec unshare --mount --propagation private sh -c 'for file in $*; do
			mount --bind "$HOSTS/nothing" "\$file" || exit
		done
		exec /usr/sbin/sshd "\$@"' sh "\$@"
	END
	chmod 755 "$HOSTS/shim/sshd"
	host_stop bare
	PATH=$HOSTS/shim:$PATH host_again bare
}

@test "a package that a release needs is named before anything is done on the host" {
	bundle_shop 1.3.0
	tenant_shop acme acme-pg "h1:$PORT" "bare:$PORT3"
	bare_without /usr/sbin/haproxy /usr/bin/perl
	apply
	assert_exit 1
	assert_contains "error[unprepared]: host \"bare\" lacks the package haproxy
  while: checking before \"start service \"web\" 1.3.0 on host \"bare\"\"
  hint:  On the host: apt-get install -y haproxy. Or: copyhold host check bare --fix." "$stderr"
	bare_without /usr/bin/perl
	apply
	assert_exit 1
	assert_contains "error[unprepared]: host \"bare\" lacks the package perl-base" "$stderr"
	[ ! -e "$(tenant_home bare acme)" ]
	! id "$(tenant_user bare acme)" 2>/dev/null
	host_stop bare
	host_again bare
	apply
	assert_exit 0
	assert_contains "1.3.0 " "$(ask "$PORT3")"
	bare_without /usr/bin/perl
	try tenant verify acme
	assert_exit 1
	assert_contains "  could not be tried  connect to the front's control socket as nobody on bare"
}

@test "a program that forks without end is ended with its user" {
	local user
	host_stop bare
	host_again bare
	user=$(tenant_user h1 acme)
	(cd / && exec setpriv --reuid="$user" --regid="$user" --clear-groups /usr/bin/python3 -c 'import os, sys, time
print("begins", flush=True)
end = time.monotonic() + 300
for _ in range(12):
    if not os.fork(): break
while time.monotonic() < end and not os.path.exists(sys.argv[1]):
    if os.fork(): os._exit(0)' "$TEST_DIR/forks-enough") >"$TEST_DIR/forks" 3>&- &
	until_true test -s "$TEST_DIR/forks"
	try tenant delete acme --now --no-backup --confirm acme
	assert_exit 0
	! id "$user" 2>/dev/null
	run pgrep -f "$TEST_DIR/forks-enough"
	assert_exit 1
	[ ! -e "$(tenant_home h1 acme)" ]
}
