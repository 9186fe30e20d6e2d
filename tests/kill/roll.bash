# shellcheck shell=bash
# roll.bash - for bats files: kill -9 of whoever publishes the logs, and of whoever writes events,
# while others write; what was acknowledged is in the tree, and no tree was signed that another one
# does not begin with.
#
#   load ../lib/home
#   load ../kill/roll
#   setup() { roll_setup; }
#   teardown() { roll_teardown; }

roll_setup() {
	home_setup
	if [ -w /dev/shm ]; then # a kill loses nothing there, and nothing waits for a disk
		TEST_SHM=$(mktemp -d /dev/shm/copyhold-roll.XXXXXX)
		export COPYHOLD_HOME=$TEST_SHM/home
	fi
	copyhold init >/dev/null
	mkdir "$TEST_DIR/seen"
	: >"$TEST_DIR/acked"
	KILLS=0
	RANDOM=${SEED:-1}
	export COPYHOLD_FAULT_AUDIT=1
}

roll_teardown() {
	[ -z "${SERVICE-}" ] || kill "$SERVICE" 2>/dev/null || true
	[ -z "${TEST_SHM-}" ] || rm -rf -- "$TEST_SHM"
	home_teardown
}

# NAME: a command that changes something; if it says that it is done, that is noted.
roll_write() {
	! copyhold secret set "$1" <<<x >/dev/null 2>&1 || echo "$1" >>"$TEST_DIR/acked"
}

# The checkpoint that stands there now, kept for the end.
roll_look() {
	cp "$COPYHOLD_HOME"/audit/vendor-*/checkpoint "$TEST_DIR/seen/$(find "$TEST_DIR/seen" -type f | wc -l)"
}

# FAULT: audit run dies by it while commands write.  Each of them brings it on by some boundaries.
roll_kill_service() {
	local i status=0 deadline=$((SECONDS + 120))
	COPYHOLD_FAULT=$1 "$COPYHOLD_BIN" audit run >/dev/null 2>&1 3>&- &
	SERVICE=$!
	for ((i = 0; SECONDS < deadline; i++)); do
		kill -0 "$SERVICE" 2>/dev/null || break
		roll_write "s-$KILLS-$i"
	done
	kill -TERM "$SERVICE" 2>/dev/null || true
	wait "$SERVICE" || status=$?
	SERVICE=
	[ "$status" = 137 ] || { echo "audit run was not killed by $1 but ended with $status" && return 1; }
	KILLS=$((KILLS + 1))
	roll_look
}

# FAULT: a writing command dies by it while another one writes; what it was about is in the log or
# not in the catalogue.
roll_kill_writer() {
	local status=0 other
	roll_write "o-$KILLS" &
	other=$!
	COPYHOLD_FAULT=$1 copyhold secret set "k-$KILLS" <<<x >/dev/null 2>&1 || status=$?
	wait "$other"
	case $status in
	137) KILLS=$((KILLS + 1)) ;;
	0) echo "k-$KILLS" >>"$TEST_DIR/acked" ;; # it was done before its time
	*) echo "the writer was not killed by $1 but ended with $status" && return 1 ;;
	esac
	roll_look
}

# Every secret that is there has its event in the tree, and every acknowledged one is there.
roll_check() {
	local key folder
	copyhold audit checkpoint >/dev/null
	copyhold audit publish --to "$TEST_DIR/web" >/dev/null
	key=$(copyhold audit status -o json | jq -r '.logs[0].key')
	folder=$(copyhold audit status -o json | jq -r '.logs[0].folder')
	python3 "$REPO/tests/lib/tlog.py" "$TEST_DIR/web/$folder" "$key" "$TEST_DIR"/seen/* \
		>"$TEST_DIR/entries" || return
	jq -r 'select(.verb == "secret.set").object' "$TEST_DIR/entries" | sort >"$TEST_DIR/told"
	sort "$TEST_DIR/acked" | sed 's|^|secret/|' | comm -23 - "$TEST_DIR/told" >"$TEST_DIR/lost"
	assert_equal "$(cat "$TEST_DIR/lost")" ""
	assert_equal "$(copyhold secret list -o json | jq -r '.[].name' | sort)" \
		"$(sed 's|^secret/||' "$TEST_DIR/told" | sort -u)"
	assert_equal "$(wc -l <"$TEST_DIR/entries")" \
		"$(sqlite3 -readonly "$COPYHOLD_HOME/catalog.db" "SELECT count(*) FROM event")"
}
