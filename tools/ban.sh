#!/bin/sh
#
# ban.sh [FILE.c...] - finds calls that the house does not make.
#
# A line that must break the rule carries the comment `/* allowed: why */`.
set -eu
cd "$(dirname "$0")/.."
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(find lib deployer region cdn compliance cli -name '*.[ch]' | sort)

exec awk '
BEGIN {
	unsafe = "sprintf vsprintf strcpy stpcpy strcat strncat strncpy strtok strtok_r atoi atol atoll atof " \
	    "gets sscanf localtime localtime_r gmtime ctime asctime system popen alloca fork vfork " \
	    "setjmp longjmp sigsetjmp siglongjmp rand random srand mktemp tmpnam tempnam"
	memory = "malloc calloc realloc reallocarray strdup strndup asprintf vasprintf free"
	stdio = "printf vprintf puts putchar"
	streams = "fprintf vfprintf fputs fputc putc fwrite perror dprintf"
	ban(unsafe, "unsafe")
	ban(memory, "memory belongs to an arena")
	ban(stdio, "results go out through table.h")
	ban(streams, "messages go out through log.h, results through table.h")
}

function ban(names, why,    list, n, i)
{
	n = split(names, list, " ")
	for (i = 1; i <= n; i++)
		reason[list[i]] = why
}

function allowed_in(file, name)
{
	if (index(" " memory " ", " " name " "))
		return file == "lib/base/arena.c"
	if (index(" " streams " ", " " name " "))
		return file ~ /^lib\/base\//
	return 0
}

# The line without strings, characters and comments; comments may span lines.
function code_of(line,    out, c, i, n)
{
	out = ""
	n = length(line)
	for (i = 1; i <= n; i++) {
		c = substr(line, i, 1)
		if (in_comment) {
			if (substr(line, i, 2) == "*/") {
				in_comment = 0
				i++
			}
		} else if (substr(line, i, 2) == "/*") {
			in_comment = 1
			i++
		} else if (c == "\"" || c == quote) {
			for (i++; i <= n && substr(line, i, 1) != c; i++)
				if (substr(line, i, 1) == "\\")
					i++
			out = out "_"
		} else
			out = out c
	}
	return out
}

function say(text)
{
	printf "%s:%d: %s\n", FILENAME, FNR, text
	found = 1
}

FNR == 1 { in_comment = 0 }

{
	code = code_of($0)
	if ($0 ~ /\/\* allowed: [^*]/)
		next
	if (code ~ /\/\//)
		say("a // comment")
	if (code ~ /(^|[^A-Za-z0-9_])stdout([^A-Za-z0-9_]|$)/ && FILENAME !~ /^(lib\/base\/|cli\/)/)
		say("stdout belongs to the commands")
	while (match(code, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
		before = RSTART > 1 ? substr(code, RSTART - 1, 1) : ""
		name = substr(code, RSTART, RLENGTH - 1)
		sub(/[ \t]+$/, "", name)
		code = substr(code, RSTART + RLENGTH)
		if (before == "." || before == ">" || !(name in reason) || allowed_in(FILENAME, name))
			continue
		say(name "() is banned: " reason[name])
	}
}

END { exit found }
' quote="'" "$@"
