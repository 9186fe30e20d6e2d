# The storms of tests/play/gateway_storm.bats, as long as they are meant to be: ten million transactions, a
# million cancel requests.  STORM and STORM_CANCELS say other numbers.

load ../lib/home

@test "ten million transactions and a million cancel requests are each what they should be" {
	STORM=${STORM:-10000000} STORM_CANCELS=${STORM_CANCELS:-1430000} \
		run bats "$BATS_TEST_DIRNAME/../play/gateway_storm.bats"
	echo "$output"
	[ "$status" = 0 ]
}
