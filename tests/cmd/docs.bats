load ../lib/home

# What the documents say of the program is so.

setup() { home_setup; }
teardown() { home_teardown; }

documents() { printf '%s\n' "$REPO"/README.md "$REPO"/CONTRIBUTING.md "$REPO"/docs/*.md; }
commands() { copyhold help --manual | sed -n 's/^### copyhold //p'; }

# Says each line of standard input as a finding; none is good.
none() {
	local found
	found=$(cat)
	[ -z "$found" ] || {
		printf '%s\n' "$1" "$found" >&2
		return 1
	}
}

@test "the manual is what the program prints" {
	diff -u "$REPO/docs/manual.md" <(copyhold help --manual)
}

@test "the schema of manifests is what the program prints" {
	diff -u "$REPO/manifests/schema/copyhold-v1.json" <(copyhold schema)
}

@test "the manual has every command of the program's list" {
	listed=$(sed -n 's/^COMMAND(cmd_\(.*\))$/\1/p' "$REPO/cli/commands.def" | grep -vx gateway_worker | sort)
	written=$(commands | tr ' -' '__' | sort)
	assert_equal "$written" "$listed"
}

@test "every command that a document names is there" {
	all=$(commands)
	nouns=$(cut -d' ' -f1 <<<"$all" | sort -u)
	# "copyhold proof/1" is the first line of a file
	documents | grep -v '/manual\.md$' | xargs grep -hvE '^copyhold [a-z]+/[0-9]+$' |
		grep -oE '(`|^\$ |^)copyhold [a-z]+( [a-z-]+)?' | sed 's/.*copyhold //' | sort -u | while read -r noun verb; do
		if ! grep -qx "$noun" <<<"$nouns"; then
			echo "copyhold $noun $verb"
		elif ! grep -qx "$noun" <<<"$all" && [ -n "$verb" ] && ! grep -qE "^$noun $verb( |\$)" <<<"$all"; then
			echo "copyhold $noun $verb"
		fi
	done | none "these commands do not exist:"
}

@test "every file that the map names is there" {
	grep -oE '`[A-Za-z._-]+(/[A-Za-z0-9._-]+)+/?`|`(Makefile|NOTICE)`' "$REPO/docs/MAP.md" |
		tr -d '`' | sort -u | while read -r path; do
		case $path in
		*NOUN* | *NAME* | build/* | run/*) continue ;; # patterns; what is made
		esac
		[ -e "$REPO/$path" ] || echo "$path"
	done | none "docs/MAP.md names what is not there:"
}

@test "every function that the map names is there" {
	sources=$(cat "$REPO"/{lib/*,deployer,region/*,cli}/*.[ch] "$REPO"/deployer/helper/*.sh)
	grep -oE '`[a-z_0-9]+\(\)`' "$REPO/docs/MAP.md" | tr -d '`()' | sort -u | while read -r name; do
		case $name in
		act | record | undo | probe) continue ;;
		esac
		grep -qw "$name" <<<"$sources" || echo "$name()"
	done | none "docs/MAP.md names what is not there:"
}

@test "every link leads to a file" {
	documents | while read -r document; do
		grep -oE '\]\([^)#]+' "$document" | cut -c3- | grep -v '^https\?:' | while read -r link; do
			[ -e "$(dirname "$document")/$link" ] || echo "$(basename "$document"): $link"
		done
	done | none "these links lead nowhere:"
}

@test "README has the exit codes of the program" {
	written=$(sed -n '/^## Exit codes/,/^## Licence/s/^| \([0-9].*\) |$/\1/p' "$REPO/README.md")
	listed=$(sed -n '/^## Exit codes/,/^## Errors/s/^| \([0-9].*\) |$/\1/p' "$REPO/docs/manual.md")
	assert_equal "$written" "$listed"
	assert_contains "64 | wrong usage" "$written"
}

@test "no document names a path of somebody's machine" {
	{
		documents
		find "$REPO/manifests" -type f
	} | xargs grep -nE '(^|[^A-Za-z0-9_.~])/(home|root|work|Users|tmp)/' | none "found:"
}

@test "no line of a document's text is longer than 120 columns" {
	documents | grep -v '/manual\.md$' | xargs awk 'FNR == 1 { code = 0 }
		/^```/ { code = !code }
		!code && !/^\|/ && length > 120 { print FILENAME ":" FNR }' | none "too long:"
}
