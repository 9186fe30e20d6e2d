# sql2c.awk - turns x.sql into x.sql.h: one `static const Sql` per named statement.
#
#	-- name: route_open  params: 2  server: pg  with: fence_make
#	UPDATE ...;
#
# Usage: awk -v server=pg|lite -f tools/sql2c.awk x.sql > x.sql.h
# Comment lines and the last semicolon are left out of the text.

function die(why)
{
	printf "%s:%d: %s\n", FILENAME, FNR, why > "/dev/stderr"
	failed = 1
	exit 1
}

function value_after(key,    i)
{
	for (i = 1; i < NF; i++)
		if ($i == key)
			return $(i + 1)
	return ""
}

# The highest $n (pg) or ?n (lite); a bare ? of lite counts as one more.
function highest(text, mark,    n, top, rest)
{
	top = 0
	rest = text
	gsub(/'[^']*'/, "''", rest)
	while (match(rest, mark == "$" ? "[$][0-9]+" : "[?][0-9]*")) {
		n = substr(rest, RSTART + 1, RLENGTH - 1)
		n = n == "" ? top + 1 : n + 0
		if (n > top)
			top = n
		rest = substr(rest, RSTART + RLENGTH)
	}
	return top
}

function c_line(line)
{
	gsub(/\\/, "&&", line)
	gsub(/"/, "\\\"", line)
	gsub(/\t/, "\\t", line)
	return "\t\"" line "\\n\"\n"
}

function flush_statement(    n, text, i)
{
	if (name == "")
		return
	while (lines > 0 && body[lines] ~ /^[ \t]*$/)
		lines--
	if (lines == 0)
		die("statement \"" name "\" is empty")
	sub(/[ \t]*;[ \t]*$/, "", body[lines])
	for (i = 1; i <= lines; i++) {
		plain = plain body[i] "\n"
		text = text c_line(body[i])
	}
	sub(/\\n"\n$/, "\"\n", text)
	n = params != "" ? params + 0 : highest(plain, dialect == "pg" ? "$" : "?")
	sub(/\n$/, "", text)
	printf "static const Sql SQL_%s = { \"%s\",\n%s, %d };\n\n", toupper(name), name, text, n
	plain = ""
	lines = 0
}

BEGIN { print "#pragma once\n\n#include \"lib/adapters/sql.h\"\n" }

/^--[ \t]*name:/ {
	flush_statement()
	name = value_after("name:")
	params = value_after("params:")
	dialect = value_after("server:")
	if (dialect == "")
		dialect = server
	if (name !~ /^[a-z][a-z0-9_]*$/)
		die("a statement's name is missing or not of [a-z0-9_]")
	if (name in seen)
		die("statement \"" name "\" is there twice")
	if (dialect != "pg" && dialect != "lite")
		die("server of \"" name "\" is neither pg nor lite")
	if (params !~ /^[0-9]*$/)
		die("params of \"" name "\" is no number")
	seen[name] = 1
	next
}

/^[ \t]*--/ { next }
name == "" && /[^ \t]/ { die("text before the first -- name: line") }
name != "" && (lines > 0 || /[^ \t]/) { body[++lines] = $0 }

END {
	if (!failed)
		flush_statement()
	if (failed)
		exit 1
}
