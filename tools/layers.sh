#!/bin/sh
#
# layers.sh - checks every #include: cli -> rooms -> lib/core -> lib/adapters -> lib/base, never upwards,
# no room from another room, outside libraries in lib/adapters/*.c (and *_intern.h) alone.
set -eu
cd "$(dirname "$0")/.."

# shellcheck disable=SC2046
exec awk '
function room_of(path,    parts)
{
	split(path, parts, "/")
	return parts[1] == "lib" ? "lib/" parts[2] : parts[1]
}

function say(text)
{
	printf "%s:%d: %s\n", FILENAME, FNR, text
	found = 1
}

function exists(path,    line, got)
{
	got = (getline line < path) >= 0
	close(path)
	return got
}

BEGIN {
	level["lib/base"] = 0
	level["lib/adapters"] = 1
	level["lib/core"] = 2
	level["deployer"] = level["region"] = level["cdn"] = level["compliance"] = 3
	level["cli"] = 4
	library = "^(libpq|libpq-fe|postgres|sqlite3|jansson|yaml|uthash|utlist|zip|zipconf|zlib|zstd|gcrypt|libssh2|git2|curl|" \
	    "event2|openssl|nghttp2|libxml|archive|intel-ipsec-mb)([./_-]|$)"
}

/^[ \t]*#[ \t]*include[ \t]*</ {
	name = $0
	sub(/^[^<]*</, "", name)
	sub(/>.*/, "", name)
	if (name ~ library && FILENAME !~ /^lib\/adapters\/[a-z0-9_]*(\.c|_intern\.h)$/)
		say("<" name "> is an outside library: only its adapter in lib/adapters includes it")
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
	name = $0
	sub(/^[^"]*"/, "", name)
	sub(/".*/, "", name)
	from = room_of(FILENAME)
	to = room_of(name)
	source = name
	sub(/\.sql\.h$/, ".sql", source)
	sub(/\/helper\.sh\.h$/, "/helper/main.sh", source)
	sub(/\.sh\.h$/, ".sh", source)
	if (!(to in level))
		say("\"" name "\" is not written from the root, or is no product code")
	else if (!exists(source))
		say("\"" name "\" does not exist")
	else if (name ~ /_intern\.h$/ && to != from)
		say("\"" name "\" is for " to " alone")
	else if (level[to] > level[from])
		say("\"" name "\" lies above " from)
	else if (level[to] == 3 && level[from] == 3 && to != from)
		say("\"" name "\" belongs to another room")
}

END { exit found }
' $(find lib deployer region cdn compliance cli -name '*.[ch]' | sort)
