#!/bin/sh
#
# fuzz.sh TARGET.c... - builds each fuzz target with clang and runs it for FUZZ_SECONDS on its seeds.
#
# New inputs stay in BUILD/fuzz/<target>.corpus; a crash is kept in BUILD/fuzz and ends this with 1.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}/fuzz
seconds=${FUZZ_SECONDS:-60}
clang=$(command -v clang-14 || command -v clang) || {
	echo "clang is missing; run: tools/deps.sh lint" >&2
	exit 1
}
[ $# -gt 0 ] || set -- tests/fuzz/fuzz_*.c

make -s BUILD="$build" CC="$clang" CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined' \
	LDFLAGS='-pie -fsanitize=address,undefined' "$build/libcopyhold.a"
for target; do
	name=$(basename "$target" .c)
	seeds=tests/fuzz/corpus/${name#fuzz_}
	mkdir -p "$build/$name.corpus"
	[ -d "$seeds" ] || seeds=''
	# shellcheck disable=SC2046,SC2086
	"$clang" -O1 -g -std=c11 -D_GNU_SOURCE -I. -I"$build/gen" -fsanitize=fuzzer,address,undefined \
		$(pkg-config --cflags libpq sqlite3 jansson yaml-0.1 openssl libzip libcurl libevent_core libevent_extra libevent_openssl libssh2 libgit2 libarchive) -o "$build/$name" "$target" \
		"$build/libcopyhold.a" $(pkg-config --libs libpq sqlite3 jansson yaml-0.1 openssl libzip libcurl libevent_core libevent_extra libevent_openssl libssh2 libgit2 libarchive) -lanl
	echo "$name: $seconds s"
	# shellcheck disable=SC2086
	if ! "$build/$name" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
		-artifact_prefix="$build/$name-" "$build/$name.corpus" $seeds >"$build/$name.log" 2>&1; then
		grep -E 'ERROR|SUMMARY|Test unit' "$build/$name.log" >&2 || tail -5 "$build/$name.log" >&2
		echo "$name found something: see $build/$name.log" >&2
		exit 1
	fi
	grep number_of_executed "$build/$name.log"
done
