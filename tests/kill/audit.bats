load ../lib/home
load roll

setup() { roll_setup; }
teardown() { roll_teardown; }

@test "audit run killed at each of twenty boundaries loses no event that was acknowledged" {
	local n
	for n in {1..20}; do
		roll_kill_service "kill:$n"
	done
	assert_equal "$KILLS" 20
	roll_check
}

@test "audit run killed at fifteen other moments loses no event that was acknowledged" {
	while [ "$KILLS" -lt 15 ]; do
		roll_kill_service "kill-after:$((RANDOM % 12 + 1)):$((RANDOM % 40))"
	done
	roll_check
}

@test "a command killed at any boundary of its publication has told all or nothing" {
	local n boundaries
	COPYHOLD_FAULT=list:$TEST_DIR/boundaries copyhold secret set first <<<x >/dev/null
	boundaries=$(wc -l <"$TEST_DIR/boundaries")
	assert_equal "$boundaries" 6
	for n in 1 2 3 4 5 6 1 2 3 4 5 6; do
		roll_kill_writer "kill:$n"
	done
	while [ "$KILLS" -lt 15 ]; do
		roll_kill_writer "kill-after:$((RANDOM % 3 + 1)):$((RANDOM % 3))"
	done
	roll_check
}
