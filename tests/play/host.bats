load ../lib/home
load ../lib/hosts
load ../lib/wait

# Machines made ready, looked at, mended and left: real sshds, each a host of its own.

setup_file() {
	hosts_setup
	hosts_region here CN
	host_start h1 --unprepared
	host_start h2
}

teardown_file() { hosts_remove; }

setup() {
	home_setup
	copyhold init >/dev/null
	M=$TEST_DIR/manifests
	mkdir "$M"
	cp "$HOSTS/manifests/region-here.yaml" "$HOSTS/manifests/h1.yaml" "$M"
}

teardown() {
	rm -rf -- "$(host_root h1)"
	mkdir -m 0755 "$(host_root h1)"
	home_teardown
}

helper() { echo "$(host_root "$1")/bin/copyhold-host"; }
fits() { python3 "$REPO/tests/lib/schema.py" "$REPO/manifests/schema/output-v1.json" "$@"; }

at_rest() { ! compgen -G "$(host_root "$1")/run/work.*"; }

# What there is below the root of a host, and whose, when the sessions of before are over there, too.
there() {
	until_true at_rest "$1"
	(cd "$(host_root "$1")" && find . -not -path './state/host/*' -printf '%P %u %m\n' | sort)
}

@test "apply puts the helper on a new host, and a second plan finds nothing to do" {
	try plan -f "$M"
	assert_exit 0
	assert_out "+ region here
      1. record Region \"here\"
+ host h1: root@127.0.0.1:$(host_port h1), region here
    + helper $(helper h1)
        none is there
      2. record Host \"h1\"
      3. prepare host \"h1\"
2 to add, 0 to change, 0 to remove, 0 as they should be; 3 steps"
	assert_equal "$(there h1)" " root 755"
	try apply -f "$M" --yes
	assert_exit 0
	try plan -f "$M" --detailed-exitcode
	assert_exit 0
	assert_out "nothing to do: 2 as they should be"
	assert_equal "$(there h1)" " root 755
bin root 755
bin/copyhold-boot root 755
bin/copyhold-host root 755
bin/copyhold-host.conf root 644
incoming root 700
run root 700
state root 700
state/host root 700"
}

@test "looking at a host leaves nothing behind there" {
	copyhold apply -f "$M" --yes >/dev/null 2>&1
	before=$(there h1)
	copyhold plan -f "$M" >/dev/null
	copyhold host show h1 >/dev/null
	copyhold host check h1 >/dev/null
	assert_equal "$(there h1)" "$before"
}

@test "a helper that was edited there is found and mended" {
	copyhold apply -f "$M" --yes >/dev/null 2>&1
	cp "$(helper h1)" "$TEST_DIR/ours"
	sed -i 's/^die() {/&\n\t:/' "$(helper h1)"
	try plan -f "$M" --detailed-exitcode
	assert_exit 2
	assert_out "~ host h1: root@127.0.0.1:$(host_port h1), region here
    ~ helper $(helper h1) (changed by hand)
        it was edited, or is of another version
      1. prepare host \"h1\"
0 to add, 1 to change, 0 to remove, 1 as they should be; 1 step"
	try apply -f "$M" --yes
	assert_exit 0
	cmp "$(helper h1)" "$TEST_DIR/ours"
	echo 'exit 1' >"$(helper h1)"
	try apply -f "$M" --yes
	assert_exit 0
	cmp "$(helper h1)" "$TEST_DIR/ours"
}

@test "a changed prefix reaches the host" {
	copyhold apply -f "$M" --yes >/dev/null 2>&1
	sed -i 's/userPrefix: .*/userPrefix: other-/' "$M/h1.yaml"
	try apply -f "$M" --yes
	assert_exit 0
	assert_equal "$(cat "$(helper h1).conf")" "prefix other-
supervise runit"
}

@test "a host that no manifest names any more is left as it was found, with --prune" {
	copyhold apply -f "$M" --yes >/dev/null 2>&1
	rm "$M/h1.yaml"
	try plan -f "$M"
	assert_exit 0
	assert_out "= host h1: no manifest names it; it stays recorded (--prune forgets it)
nothing to do: 2 as they should be"
	try apply -f "$M" --prune --yes --confirm-removal
	assert_exit 0
	[ ! -e "$(host_root h1)" ]
	try host list -o json
	assert_out "[]"
}

@test "a host is not left while something of ours is on it" {
	copyhold apply -f "$M" --yes >/dev/null 2>&1
	mkdir -p "$(host_root h1)/state/tenant/acme"
	echo "path $(host_root h1)/tenants/acme" >"$(host_root h1)/state/tenant/acme/items"
	rm "$M/h1.yaml"
	try apply -f "$M" --prune --yes --confirm-removal
	assert_exit 0
	[ -x "$(helper h1)" ]
}

@test "an undone apply takes the helper away again" {
	copyhold apply -f "$M" --yes >/dev/null 2>&1
	try run undo 1 --yes
	assert_exit 0
	[ ! -e "$(host_root h1)" ]
	try host list -o json
	assert_out "[]"
}

@test "list, show and check print what their schema says" {
	copyhold apply -f "$M" --yes >/dev/null 2>&1
	copyhold host list -o json | fits hostList
	copyhold host show h1 -o json | fits hostShow
	copyhold host check h1 -o json | fits hostCheck
	copyhold host list -o jsonl | fits hostList lines
	try host list -o json
	assert_equal "$(jq -r '.[0] | "\(.name) \(.region) \(.port) \(.user) \(.supervise)"' <<<"$output")" \
		"h1 here $(host_port h1) root runit"
	try host show h1 -o json
	assert_equal "$(jq -r '"\(.arch) \(.hostname) \(.helper)"' <<<"$output")" \
		"$(uname -m) $(uname -n) version $(cat "$REPO/VERSION")"
	assert_equal "$(jq -c '.duties' <<<"$output")" '[{"duty":"host","fence":1,"atWork":null,"owns":[]}]'
}

@test "check tells what is wrong, with the fix of each, before anything is applied" {
	try host check h1 -f "$M"
	assert_exit 2
	assert_contains "wrong  helper      host \"h1\" has no helper at \"$(helper h1)\""
	assert_contains 'fix of "helper": copyhold host check h1 --fix'
	assert_contains "ok     host key    it is a pinned one: $(ssh-keygen -lf "$HOSTS/h1/hostkey.pub" | cut -d ' ' -f 2)"
	assert_contains 'ok     login       user "root", by libssh2'
	assert_contains 'ok     packages    runit'
	try host check h2 -f "$HOSTS/manifests"
	assert_exit 0
}

@test "check --fix records the host and prepares it in a journalled run" {
	try host check h1 -f "$M" --fix
	assert_exit 1
	assert_contains "nobody is there to be asked" "$stderr"
	[ ! -e "$(helper h1)" ]
	try host check h1 -f "$M" --fix --yes
	assert_exit 0
	assert_contains 'will: prepare host "h1"'
	[ -x "$(helper h1)" ]
	try run list -o json
	assert_equal "$(jq -r '.[0] | "\(.verb) \(.state)"' <<<"$output")" "host check done"
	try host check h1
	assert_exit 0
	try plan -f "$M"
	assert_out "nothing to do: 2 as they should be"
}

@test "what the setup script does by hand, apply finds done" {
	copyhold host setup-script h1 -f "$M" | sh
	try plan -f "$M"
	assert_exit 0
	assert_out "+ region here
      1. record Region \"here\"
+ host h1: root@127.0.0.1:$(host_port h1), region here
      2. record Host \"h1\"
2 to add, 0 to change, 0 to remove, 0 as they should be; 2 steps"
	before=$(there h1)
	copyhold host setup-script h1 -f "$M" | sh
	assert_equal "$(there h1)" "$before"
}

@test "half a setup script does nothing" {
	copyhold host setup-script h1 -f "$M" >"$TEST_DIR/script"
	for part in 3 2; do
		head -c $(($(stat -c %s "$TEST_DIR/script") * part / 4)) "$TEST_DIR/script" >"$TEST_DIR/half"
		run sh "$TEST_DIR/half"
		[ "$status" -ne 0 ]
		assert_equal "$(there h1)" " root 755"
	done
}

@test "hosts that cannot be reached are named, and the others are done" {
	cp "$HOSTS/manifests/h2.yaml" "$M"
	host_stop h2
	try apply -f "$M" --yes
	host_again h2
	assert_exit 4
	[ -x "$(helper h1)" ]
	assert_contains "error[host-unreachable]: no connection with host \"h2\" (127.0.0.1:$(host_port h2)) (ECONNREFUSED)" "$stderr"
	try apply -f "$M" --yes
	assert_exit 0
	try host list -o json
	assert_equal "$(jq -c 'map(.name)' <<<"$output")" '["h1","h2"]'
}

@test "a host that another is reached over stays recorded" {
	cp "$HOSTS/manifests/h2.yaml" "$M"
	echo '  jump: h1' >>"$M/h2.yaml"
	copyhold apply -f "$M" --yes >/dev/null 2>&1
	rm "$M/h1.yaml" "$M/h2.yaml"
	try plan -f "$M" --prune
	assert_exit 0
	assert_out "= host h1: no manifest names it; it is in use and stays recorded
- host h2
      1. take the helper off host \"h2\"
      2. forget Host \"h2\"
0 to add, 0 to change, 1 to remove, 2 as they should be; 2 steps"
}

@test "the unit for systemd is one that systemd takes" {
	command -v systemd-analyze >/dev/null || skip "no systemd-analyze"
	sh -c '. "$0/deployer/helper/supervise.sh"; DUTY_HOME=/tmp; systemd_unit ch-tenant.acme.web root /tmp 5 SIGINT /bin/true' \
		"$REPO" >"$TEST_DIR/ch-tenant.acme.web.service"
	run systemd-analyze verify "$TEST_DIR/ch-tenant.acme.web.service"
	assert_exit 0
	assert_out ""
}
