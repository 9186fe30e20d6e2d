# Evidence under ten thousand changes, from SEED.

load ../lib/home

@test "each of 10,000 changes of an evidence file is found" {
	COPYHOLD_MUTATIONS=10000 COPYHOLD_SEED=${SEED:-1} \
		run --separate-stderr "$(dirname "$COPYHOLD_BIN")/tests/test_evidence_mutation"
	echo "$output"
	assert_exit 0
	assert_equal "$(awk '/ found: / { n += $2 } END { print n }' <<<"$output")" 10000
}
