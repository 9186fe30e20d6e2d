load ../lib/home
load ../lib/hosts

# Who could become root there by what we put on a machine; and how it is left where we have the least rights.

setup_file() {
	hosts_setup
	hosts_region here CN
	host_start h1 --unprepared
	host_start h2 --unprepared --sudo
}

teardown_file() { hosts_remove; }

setup() {
	home_setup
	copyhold init >/dev/null
	M=$TEST_DIR/manifests
	mkdir "$M"
	cp "$HOSTS/manifests/region-here.yaml" "$M"
	BASE=$(host_root h1)
}

teardown() {
	rm -f "/etc/sudoers.d/$(mark "$(host_root h2)")" "/etc/sudoers.d/$(mark "$(host_root h2)/second")"
	rm -rf -- "$(host_root h1)" "$(host_root h2)"
	mkdir -m 0755 "$(host_root h1)" "$(host_root h2)"
	home_teardown
}

mark() { echo "copyhold-$(printf '%s' "$1" | sha256sum | cut -c 1-8)"; }
user() { host_user h2; }

# HOST ROOT [NAME]: its manifest, with another root.
rooted() {
	sed -e "s|root: .*|root: $2|" -e "s|name: $1|name: ${3:-$1}|" "$HOSTS/manifests/$1.yaml" >"$M/${3:-$1}.yaml"
}

# ROOT TEXT: refused for that reason by the setup script, and by apply; nothing is put there.
refused() {
	rooted h1 "$1"
	run sh <(copyhold host setup-script h1 -f "$M")
	assert_exit 77
	assert_out "$2"
	try apply -f "$M" --yes
	assert_exit 5
	assert_contains "error[host-step]: host \"h1\" could not be prepared: $2 (exit code 77)
  while: prepare host \"h1\"
  hint:  Who can write there could run a program of his own as root: give it to root alone, or choose another root in the manifest." "$stderr"
	[ ! -e "$1/bin/copyhold-host" ]
	[ -z "$(find "$HOSTS" -name copyhold-host)" ]
}

@test "a root below a folder of somebody else is not prepared" {
	mkdir "$BASE/his"
	chown "$(user):" "$BASE/his"
	refused "$BASE/his/ch" "\"$BASE/his\" belongs to \"$(user)\", not to root"
	try host check h1 -f "$M"
	assert_contains "\"$BASE/his\" belongs to \"$(user)\", with rights 755"
	assert_contains "fix of \"root\": chown root: $BASE/his; chmod 755 $BASE/his"
}

@test "a root below a folder that a group or all may write is not prepared" {
	mkdir "$BASE/open"
	chmod 0775 "$BASE/open"
	refused "$BASE/open/ch" "others than root can write in \"$BASE/open\""
	chmod 0757 "$BASE/open"
	refused "$BASE/open/ch" "others than root can write in \"$BASE/open\""
	try host check h1 -f "$M"
	assert_contains "\"$BASE/open\" belongs to \"root\", with rights 757"
}

@test "below a sticky folder of root's, such as /tmp, the root must be root's already or not there" {
	mkdir "$BASE/tmp"
	chmod 1777 "$BASE/tmp"
	mkdir "$BASE/tmp/ch"
	chown "$(user):" "$BASE/tmp/ch"
	refused "$BASE/tmp/ch" "\"$BASE/tmp/ch\" belongs to \"$(user)\", not to root"
	chown root: "$BASE/tmp/ch"
	chmod 1777 "$BASE/tmp/ch"
	refused "$BASE/tmp/ch" "others than root can write in \"$BASE/tmp/ch\""
	rmdir "$BASE/tmp/ch"
	try apply -f "$M" --yes
	assert_exit 0
	assert_equal "$(stat -c '%U %a' "$BASE/tmp/ch")" "root 755"
	try host check h1
	assert_exit 0
}

@test "a link on the way to the root is refused, and so is one where our folders are to be" {
	mkdir "$BASE/real" "$BASE/elsewhere"
	ln -s real "$BASE/link"
	refused "$BASE/link/ch" "\"$BASE/link\" is a link; it leads to \"$BASE/real\""
	try host check h1 -f "$M"
	assert_contains "\"$BASE/link\" is a link"
	ln -s ../elsewhere "$BASE/real/bin"
	refused "$BASE/real" "\"$BASE/real/bin\" is a link; it leads to \"$BASE/elsewhere\""
	rm "$BASE/real/bin"
	ln -s ../elsewhere "$BASE/real/incoming"
	refused "$BASE/real" "\"$BASE/real/incoming\" is a link"
	assert_equal "$(stat -c %U "$BASE/elsewhere")" root
}

@test "folders and files of ours that somebody else had before are refused" {
	mkdir -p "$BASE/ch/bin" "$BASE/ch/state"
	chown "$(user):" "$BASE/ch/bin"
	refused "$BASE/ch" "\"$BASE/ch/bin\" belongs to \"$(user)\", not to root"
	chown root: "$BASE/ch/bin"
	echo old >"$BASE/ch/bin/copyhold-host.new"
	chown "$(user):" "$BASE/ch/bin/copyhold-host.new"
	refused "$BASE/ch" "\"$BASE/ch/bin/copyhold-host.new\" belongs to \"$(user)\", not to root"
	rm "$BASE/ch/bin/copyhold-host.new"
	chmod 0777 "$BASE/ch/state"
	refused "$BASE/ch" "others than root can write in \"$BASE/ch/state\""
}

@test "the lines for sudoers are checked where nobody else can change them before they count" {
	rooted h2 "$(host_root h2)"
	mkdir "$TEST_DIR/bin"
	# What visudo is given, and what there is beside it at that moment.
	copyhold host setup-script h2 -f "$M" |
		sed "s|visudo -cq -f|{ stat -c '%n %U %a' \"\$new\" >$TEST_DIR/seen; false; } \|\| visudo -cq -f|" | sh
	assert_equal "$(sed 's/\.[A-Za-z0-9]* root/.X root/' "$TEST_DIR/seen")" \
		"/etc/sudoers.d/.$(mark "$(host_root h2)").X root 600"
	assert_equal "$(stat -c '%U %a' "/etc/sudoers.d/$(mark "$(host_root h2)")")" "root 440"
	[ -z "$(find /etc/sudoers.d -name ".$(mark "$(host_root h2)")*")" ]
	[ ! -e "$(host_root h2)/bin/sudoers.new" ]
}

@test "two hosts with one prefix on one machine keep their lines of sudoers apart" {
	rooted h2 "$(host_root h2)"
	rooted h2 "$(host_root h2)/second" h3
	copyhold host setup-script h2 -f "$M" | sh
	copyhold host setup-script h3 -f "$M" | sh
	try apply -f "$M" --yes
	assert_exit 0
	copyhold host setup-script h3 --leave | sh
	[ ! -e "$(host_root h2)/second" ]
	[ ! -e "/etc/sudoers.d/$(mark "$(host_root h2)/second")" ]
	try host check h2
	assert_exit 0
	assert_contains 'ok rights host' "$(tr -s ' ' <<<"$output")"
}

@test "with the least rights a host is left by what its administrator runs, and then forgotten" {
	rooted h2 "$(host_root h2)"
	copyhold host setup-script h2 -f "$M" | sh
	copyhold apply -f "$M" --yes >/dev/null 2>&1
	rm "$M/h2.yaml"
	try apply -f "$M" --prune --yes --confirm-removal
	assert_exit 1
	assert_contains "error[unprepared]: user \"$(user)\" of host \"h2\" may not leave it
  while: take the helper off host \"h2\"
  hint:  As its root, run what copyhold host setup-script h2 --leave prints." "$stderr"
	try host list -o json
	assert_equal "$(jq -r '.[].name' <<<"$output")" h2
	copyhold host setup-script h2 --leave | sh
	[ ! -e "$(host_root h2)" ]
	[ ! -e "/etc/sudoers.d/$(mark "$(host_root h2)")" ]
	try apply -f "$M" --prune --yes --confirm-removal
	assert_exit 0
	try host list -o json
	assert_out "[]"
}

@test "the script for leaving takes nothing away while a duty has something there, and says which" {
	rooted h2 "$(host_root h2)"
	copyhold host setup-script h2 -f "$M" | sh
	mkdir -p "$(host_root h2)/state/tenant/acme"
	echo "path $(host_root h2)/tenants/acme" >"$(host_root h2)/state/tenant/acme/items"
	run sh <(copyhold host setup-script h2 -f "$M" --leave)
	assert_exit 0
	assert_out 'left as it is: duty "tenant/acme" still has something there'
	[ -x "$(host_root h2)/bin/copyhold-host" ]
	[ -e "/etc/sudoers.d/$(mark "$(host_root h2)")" ]
}

@test "a right that sudo still gives for a duty of nobody's is told" {
	rooted h2 "$(host_root h2)"
	copyhold host setup-script h2 -f "$M" | sh
	echo "$(user) ALL=(root) NOPASSWD: $(host_root h2)/bin/copyhold-host serve tenant/gone" \
		>>"/etc/sudoers.d/$(mark "$(host_root h2)")"
	try host check h2 -f "$M"
	assert_exit 2
	assert_contains "wrong rights user \"$(user)\" may start the helper for what is not ours to keep there: tenant/gone" \
		"$(tr -s ' ' <<<"$output")"
	assert_contains "fix of \"rights\": take the lines of these out of /etc/sudoers.d; what copyhold host setup-script h2 prints does so with its own"
	copyhold host setup-script h2 -f "$M" | sh
	try host check h2 -f "$M"
	assert_exit 0
}

@test "what sudo says of the machine's name does not hide why a step failed" {
	rooted h2 "$(host_root h2)"
	echo "$(user) ALL=(root) NOPASSWD: ALL" >"/etc/sudoers.d/$(mark "$(host_root h2)")"
	mkdir -m 0777 "$(host_root h2)/bin"
	# With a name that nothing resolves sudo complains of it each time.
	unshare -u true 2>/dev/null || skip "no namespace for another name of the machine can be made here"
	run unshare -u sh -c 'hostname nowhere && exec "$@"' sh "$REPO/tools/sshd.sh" start "$HOSTS" renamed --config 'MaxSessions 20'
	sed -e "s|port: .*|port: $(host_port renamed)|" -e "s|hostKeys: .*|hostKeys: [\"$(cat "$HOSTS/renamed/hostkey.pub")\"]|" \
		"$M/h2.yaml" >"$M/new" && mv "$M/new" "$M/h2.yaml"
	chmod 0711 "$HOSTS/renamed"
	chmod 0644 "$HOSTS/renamed/authorized_keys"
	try apply -f "$M" --yes
	"$REPO/tools/sshd.sh" remove "$HOSTS" renamed
	assert_exit 5
	assert_contains "error[host-step]: host \"h2\" could not be prepared: others than root can write in \"$(host_root h2)/bin\" (exit code 77)" "$stderr"
}
