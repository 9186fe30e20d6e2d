#!/bin/sh
#
# unity.sh - no dead code: every function that is visible outside its file is reached from main().
#
# The binary is linked once more from all objects with --gc-sections; what the linker throws away and is one of our
# global functions is dead, or should be static.  Statements of .sql files that no file names are dead too.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}

# Functions that may be unreached, one a line, each with its reason after a #.
allowed=$(sed 's/[ \t]*#.*//; /^$/d' <<-'END'
	arena_bytes	# tests hold memory bounds by it
	merkle_node	# tests build trees by it
	event_openings	# tests open by these two what an event commits to
	event_commitment
	route_at	# tests look into the table of routes by these three
	route_table_count
	route_table_overlay
	switch_register	# bench/switch_stream.c brings a way of its own
	scram_keys_fit	# tests hold keys against verifiers by it
END
)

make -s BUILD="$build" all >/dev/null
objects=$(find "$build/cli" "$build/lib" "$build/deployer" "$build/region" "$build/cdn" "$build/compliance" \
	-name '*.o' 2>/dev/null || true)
libs="$(pkg-config --libs libpq sqlite3 jansson yaml-0.1 openssl libzip libcurl libevent_core libevent_extra libevent_openssl libssh2 libgit2 libarchive) -lanl"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# shellcheck disable=SC2086
nm --defined-only $objects | awk '$2 == "T" { print $3 }' | sort -u >"$scratch/ours"
# shellcheck disable=SC2086
${CC:-cc} -pie -Wl,--gc-sections -Wl,--print-gc-sections -o "$scratch/copyhold" $objects $libs 2>&1 |
	sed -n "s/.*removing unused section '\.text\.\(unlikely\.\|startup\.\)*\([A-Za-z0-9_]*\)' in file.*/\2/p" |
	sort -u >"$scratch/removed"
printf '%s\n' "$allowed" | sort -u >"$scratch/allowed"

status=0
for name in $(comm -12 "$scratch/ours" "$scratch/removed" | comm -23 - "$scratch/allowed"); do
	echo "$(grep -rl --include='*.c' "^$name(" lib deployer region cdn compliance cli | head -1): $name() is dead, or should be static"
	status=1
done

find lib deployer region cdn compliance cli -name '*.sql' | while read -r file; do
	sed -n 's/^--[ \t]*name:[ \t]*\([a-z0-9_]*\).*/\1/p' "$file" | while read -r name; do
		grep -rqw --include='*.[ch]' "SQL_$(echo "$name" | tr '[:lower:]' '[:upper:]')" lib deployer region cdn compliance cli ||
			echo "$file: statement \"$name\" is dead"
	done
done >"$scratch/sql"
cat "$scratch/sql"
[ ! -s "$scratch/sql" ] || status=1

mains=$(nm "$scratch/copyhold" | awk '$2 == "T" && $3 == "main"' | wc -l)
[ "$mains" -eq 1 ] || { echo "the binary has $mains main functions"; status=1; }
exit $status
