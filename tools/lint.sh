#!/bin/sh
#
# lint.sh [CHECK...] - every check of the house, or those that are named: format layers banned scripts lengths dead
set -u
cd "$(dirname "$0")/.." || exit
export BUILD="${BUILD:-build}"
failed=''

c_files() {
	find lib deployer region cdn compliance cli tests -name '*.c' | sort
}

check_format() {
	tool=$(command -v clang-format-14 || command -v clang-format) || {
		echo "clang-format is missing; run: tools/deps.sh lint"
		return 1
	}
	c_files | xargs "$tool" --dry-run -Werror 2>&1 | sed -n 's/: error: .*/: not as .clang-format says; run: make format/p' |
		sort -t: -u -k1,1 | grep . && return 1
	return 0
}

check_layers() { tools/layers.sh; }

check_banned() { tools/ban.sh; }

check_scripts() {
	command -v shellcheck >/dev/null || {
		echo "shellcheck is missing; run: tools/deps.sh lint"
		return 1
	}
	find tools tests bench deployer .ci -name '*.sh' -o -name '*.bash' -o -path .ci/run | sort | xargs shellcheck -x
}

check_lengths() {
	find lib deployer region cdn compliance cli tests tools bench \
		\( -name '*.[ch]' -o -name '*.sql' -o -name '*.sh' -o -name '*.bash' -o -name '*.bats' -o -name '*.awk' \) \
		-not -path 'tests/data/*' | sort | xargs awk '
		FNR == 800 { print FILENAME ": 800 lines or more"; found = 1 }
		/[ \t]$/ { print FILENAME ":" FNR ": blanks at the end of the line"; found = 1 }
		FILENAME ~ /\.c$/ && /^        / { print FILENAME ":" FNR ": indented by blanks"; found = 1 }
		END { exit found }'
}

check_dead() { tools/unity.sh; }

[ $# -gt 0 ] || set -- format layers banned scripts lengths dead
for check; do
	if out=$("check_$check" 2>&1); then
		echo "ok      $check"
	else
		echo "not ok  $check"
		printf '%s\n' "$out" | sed 's/^/        /'
		failed="$failed $check"
	fi
done
[ -z "$failed" ]
