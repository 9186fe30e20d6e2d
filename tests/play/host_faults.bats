load ../lib/home
load ../lib/hosts

# What goes wrong on the way to a host, and there: each with its whole text.

setup_file() {
	hosts_setup
	hosts_region here CN
	host_start h1
	host_start h2 --unprepared --sudo
}

teardown_file() { hosts_remove; }

setup() {
	home_setup
	copyhold init >/dev/null
	M=$TEST_DIR/manifests
	mkdir "$M"
	cp "$HOSTS/manifests/region-here.yaml" "$HOSTS/manifests/h1.yaml" "$M"
}

teardown() { home_teardown; }

helper() { echo "$(host_root "$1")/bin/copyhold-host"; }
# Its file in /etc/sudoers.d.
sudoers() { echo "/etc/sudoers.d/copyhold-$(printf '%s' "$(host_root "$1")" | sha256sum | cut -c 1-8)"; }
print_of() { ssh-keygen -lf "$1" | cut -d ' ' -f 2; }

# Only h2, whose user is an ordinary one.
only_h2() {
	rm "$M/h1.yaml"
	cp "$HOSTS/manifests/h2.yaml" "$M"
}

@test "a host whose key is not the pinned one is refused with both fingerprints" {
	ssh-keygen -q -t ed25519 -N '' -f "$TEST_DIR/other"
	sed -i "s|hostKeys: .*|hostKeys: [\"$(cut -d ' ' -f 1,2 "$TEST_DIR/other.pub")\"]|" "$M/h1.yaml"
	try plan -f "$M"
	assert_exit 1
	assert_contains "error[host-key]: " "$stderr"
	assert_contains "$(print_of "$HOSTS/h1/hostkey.pub")" "$stderr"
	assert_contains "$(print_of "$TEST_DIR/other.pub")" "$stderr"
	try host check h1 -f "$M"
	assert_exit 2
	assert_contains "wrong  host key"
	assert_contains "$(print_of "$TEST_DIR/other.pub")"
}

@test "a key of ours that the host does not take is told" {
	ssh-keygen -q -t ed25519 -N '' -f "$TEST_DIR/other"
	sed -i "s|identity: .*|identity: $TEST_DIR/other|" "$M/h1.yaml"
	try plan -f "$M"
	assert_exit 1
	assert_contains "error[host-login]: " "$stderr"
	try host check h1 -f "$M" -o json
	assert_exit 2
	assert_equal "$(jq -r 'map(select(.verdict == "wrong") | .what) | join(" ")' <<<"$output")" "login"
}

@test "a clock that is off is told, and by how much" {
	COPYHOLD_NOW=$(($(date +%s%3N) - 3600000)) try host check h1 -f "$M" -o json
	assert_exit 2
	assert_equal "$(jq -r '.[] | select(.what == "clock") | "\(.verdict): \(.text)"' <<<"$output" | sed 's/ [0-9.]* min.* ahead/ N min ahead/; s/1 h.* ahead/N min ahead/')" \
		"wrong: it is N min ahead of ours"
}

@test "who may do nothing as root is told the way over the administrator" {
	only_h2
	try plan -f "$M"
	assert_exit 1
	assert_err "error[unprepared]: host \"h2\" has no helper at \"$(helper h2)\"
  while: looking at host \"h2\"
  hint:  Prepare it: copyhold host check h2 --fix, or as its root run what copyhold host setup-script h2 prints."
	try host check h2 -f "$M" --fix --yes
	assert_exit 5
	assert_contains "error[unprepared]: user \"$(host_user h2)\" of host \"h2\" may not prepare it" "$stderr"
	[ ! -e "$(helper h2)" ]
}

@test "the setup script's line in sudoers is enough, and gives that duty alone" {
	only_h2
	copyhold host setup-script h2 -f "$M" | sh
	assert_equal "$(cat "$(sudoers h2)")" "# What $(host_user h2) needs below $(host_root h2), by copyhold.
$(host_user h2) ALL=(root) NOPASSWD: $(helper h2) serve host"
	try apply -f "$M" --yes
	assert_exit 0
	try host check h2
	assert_exit 0
	run "$REPO/tools/sshd.sh" block "$HOSTS" h2
	run setpriv --reuid="$(host_user h2)" --clear-groups sudo -n "$(helper h2)" serve tenant/acme </dev/null
	assert_exit 1
	assert_contains "sudo: "
	run setpriv --reuid="$(host_user h2)" --clear-groups sudo -n sh -c id </dev/null
	assert_exit 1
	copyhold host setup-script h2 >"$TEST_DIR/again"
	sh "$TEST_DIR/again"
	try plan -f "$M" --detailed-exitcode
	assert_exit 0
}

@test "a line of sudoers that is missing is told as it must be" {
	only_h2
	copyhold host setup-script h2 -f "$M" | sh
	rm "$(sudoers h2)"
	try host check h2 -f "$M"
	assert_exit 2
	assert_contains "wrong    rights      user \"$(host_user h2)\" may not start the helper for duty \"host\" on host \"h2\""
	assert_contains "fix of \"rights\": A line for /etc/sudoers.d there: $(host_user h2) ALL=(root) NOPASSWD: $(helper h2) serve host"
}

@test "a lower fence than the host has seen stops the run, for a person to look" {
	rm -f "$(helper h1)"
	mkdir -p "$(host_root h1)/state/host"
	echo 1000 >"$(host_root h1)/state/host/fence"
	try apply -f "$M" --yes
	rm "$(host_root h1)/state/host/fence"
	assert_contains 'error[fenced]: duty "host" on host "h1" has seen a newer holder' "$stderr$output"
	[ ! -e "$(helper h1)" ]
	host_prepare h1 runit
}

@test "a full disk is told, and nothing half done is left in place" {
	mount -t tmpfs -o size=300k,mode=0755 none "$(host_root h1)" || skip "no tmpfs can be mounted here"
	mkdir "$(host_root h1)/x"
	head -c 280000 /dev/zero >"$(host_root h1)/x/full" || true
	try apply -f "$M" --yes
	umount "$(host_root h1)"
	assert_exit 5
	assert_contains 'error[disk-full]: host "h1" could not be prepared: ' "$stderr$output"
	assert_contains 'hint:  Make room below ' "$stderr$output"
	try host list -o json
	assert_out "[]"
}

@test "a host that ends connections at random is reached all the same" {
	host_start h3 --config 'MaxStartups 1:50:3'
	cp "$HOSTS/manifests/h3.yaml" "$M"
	try plan -f "$M"
	assert_exit 0
	"$REPO/tools/sshd.sh" remove "$HOSTS" h3
}

@test "a manifest's supervise that the machine has not is told" {
	[ ! -d /run/systemd/system ] || skip "systemd is process 1 here"
	sed -i 's/supervise: runit/supervise: systemd/' "$M/h1.yaml"
	try host check h1 -f "$M"
	assert_exit 2
	assert_contains "the manifest says systemd, but process 1 is \"$(cat /proc/1/comm)\""
}

@test "weak algorithms are named" {
	host_start h4 --config 'Ciphers +aes128-cbc' --config 'KexAlgorithms +diffie-hellman-group14-sha1'
	cp "$HOSTS/manifests/h4.yaml" "$M"
	try host check h4 -f "$M"
	assert_exit 2
	assert_contains "weak ones are offered: diffie-hellman-group14-sha1, aes128-cbc"
	"$REPO/tools/sshd.sh" remove "$HOSTS" h4
}

@test "a host in whose way something stands gets no half of its helper" {
	echo '# edited' >>"$(helper h1)"
	chattr +i "$(host_root h1)/bin" 2>/dev/null || skip "this file system has no immutable folders"
	try apply -f "$M" --yes
	chattr -i "$(host_root h1)/bin"
	assert_exit 5
	assert_contains 'error[host-step]: host "h1" could not be prepared: ' "$stderr$output"
	host_prepare h1 runit
}
