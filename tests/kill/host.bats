load ../lib/home
load ../lib/hosts

# A machine is made ready, and left, by runs that are killed at each of their boundaries and resumed.

setup_file() {
	hosts_setup
	hosts_region here CN
	host_start h1 --unprepared
	home_setup
	export M=$HOSTS/manifests
	undisturbed apply "$TEST_DIR/apply"
	undisturbed leave "$TEST_DIR/leave"
}

teardown_file() {
	hosts_remove
	home_teardown
}

# N: a home and a machine as they were before.
begin() {
	export COPYHOLD_HOME=$TEST_DIR/home-$1
	rm -rf -- "$(host_root h1)"
	mkdir -m 0755 "$(host_root h1)"
	copyhold init >/dev/null
}

apply() { copyhold apply -f "$M" --yes; }

leave() {
	mkdir -p "$TEST_DIR/without"
	cp "$M/region-here.yaml" "$TEST_DIR/without"
	copyhold apply -f "$TEST_DIR/without" --prune --confirm-removal --yes
}

# What stands there, on the machine and in the catalogue, but for numbers of runs and what a session has that
# just ends.
ending() {
	if [ -d "$(host_root h1)" ]; then
		(cd "$(host_root h1)" && find . -type f -not -path './state/*' -not -path './run/work.*' -exec sha256sum {} + | sort)
	fi
	copyhold host list -o json
	copyhold plan -f "$M" --no-refresh
}

# COMMAND FILE: its boundaries, and its end.
undisturbed() {
	begin "$1"
	[ "$1" = apply ] || apply >/dev/null 2>&1
	COPYHOLD_FAULT=list:$2.boundaries "$1" >/dev/null 2>&1
	ending >"$2.end"
}

# The last run, unless it is done.
go_on() {
	local run
	run=$(copyhold run list -o json | jq -r '.[0] | select(. != null and .state != "done") | .id')
	[ -z "$run" ] || copyhold run resume "$run" >/dev/null 2>&1
}

# COMMAND: killed at every boundary, one after the other; sessions are cut there, too.
killed() {
	local n last
	last=$(wc -l <"$TEST_DIR/$1.boundaries")
	for ((n = 1; n <= last; n++)); do
		begin "$1-$n"
		[ "$1" = apply ] || apply >/dev/null 2>&1
		status=0
		COPYHOLD_FAULT=kill:$n "$1" >/dev/null 2>&1 || status=$?
		assert_equal "$status" 137
		host_drop h1
		go_on
		"$1" >/dev/null 2>&1
		diff -u "$TEST_DIR/$1.end" <(ending) || {
			echo "killed at boundary $n of $1: $(sed -n "${n}p" "$TEST_DIR/$1.boundaries")" >&2
			return 1
		}
	done
}

@test "the boundaries are of every kind" {
	local kind
	for kind in run:recorded host.prepare:intent host.prepare:acted host.prepare:done; do
		grep -qx "$kind" "$TEST_DIR/apply.boundaries"
	done
	for kind in host.leave:intent host.leave:acted host.leave:done; do
		grep -qx "$kind" "$TEST_DIR/leave.boundaries"
	done
}

@test "a host is made ready by a run that is killed at any boundary and resumed" {
	killed apply
}

@test "a host is left by a run that is killed at any boundary and resumed" {
	killed leave
}

@test "undone after a kill at any boundary, nothing of ours is there" {
	local n last
	last=$(wc -l <"$TEST_DIR/apply.boundaries")
	for ((n = 1; n <= last; n++)); do
		begin "undone-$n"
		COPYHOLD_FAULT=kill:$n apply >/dev/null 2>&1 || true
		run=$(copyhold run list -o json | jq -r '.[0].id // empty')
		[ -n "$run" ] || continue
		copyhold run undo "$run" --yes >/dev/null 2>&1 || true
		[ ! -e "$(host_root h1)/bin/copyhold-host" ] || {
			echo "undone after a kill at boundary $n: the helper stays" >&2
			return 1
		}
		assert_equal "$(copyhold host list -o json)" "[]"
	done
}

@test "killed while the host is at work, and resumed, the end is the same" {
	local n ms
	n=$(grep -nx host.prepare:intent "$TEST_DIR/apply.boundaries" | cut -d : -f 1)
	for ms in 1 10 50 100 200 400; do
		begin "middle-$ms"
		COPYHOLD_FAULT=kill-after:$n:$ms apply >/dev/null 2>&1 || true
		host_drop h1
		go_on
		apply >/dev/null 2>&1
		diff -u "$TEST_DIR/apply.end" <(ending)
	done
}
