load ../lib/home
load ../lib/wait

# `copyhold audit export`, `verify` and `erase`; evidence is also read by a second verifier
# (docs/audit-verify.py), which shares nothing with copyhold but the formats.

PYTHON=/usr/bin/python3

setup() {
	home_setup
	cd "$TEST_DIR" || return
	export COPYHOLD_NOW=1769904000000 # 2026-02-01
	WITNESS=
}

teardown() {
	[ -z "$WITNESS" ] || {
		kill -KILL "$WITNESS" 2>/dev/null || true
		wait "$WITNESS" 2>/dev/null || true
	}
	cd /
	home_teardown
}

second() { "$PYTHON" "$REPO/docs/audit-verify.py" "$@"; }

# Some events in the vendor's log, the last with a reason: $EVENTS of them with $VALUES personal values;
# the log's key in `key`.
make_log() {
	copyhold -q init
	echo one | copyhold -q secret set one
	echo two | copyhold -q secret set two
	copyhold -q secret remove one --reason 'no longer <needed> 不再需要' >/dev/null
	copyhold audit checkpoint >/dev/null
	cat "$COPYHOLD_HOME"/audit/vendor-*/key >key
	ORIGIN=$(sed -n 's/+.*//p' key | head -n 1)
	EVENTS=$(sqlite3 "$COPYHOLD_HOME/catalog.db" 'SELECT count(*) FROM event')
	VALUES=$(sqlite3 "$COPYHOLD_HOME/catalog.db" 'SELECT count(*) FROM opening')
	[ "$EVENTS" -ge 3 ] && [ "$VALUES" -gt "$EVENTS" ]
}

# EVIDENCE MEMBER: on stdout.
member() {
	"$PYTHON" -c 'import sys, zipfile
sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' "$@"
}

# EVIDENCE MEMBER: replaced by stdin.
replace() {
	"$PYTHON" -c 'import sys, zipfile
path, name = sys.argv[1:]
old = zipfile.ZipFile(path)
members = [(n, old.read(n)) for n in old.namelist()]
with zipfile.ZipFile(path, "w") as new:
    for n, data in members:
        new.writestr(n, sys.stdin.buffer.read() if n == name else data)' "$@"
}

# --- export, verify ----------------------------------------------------------------------

@test "evidence of a log verifies with the log's key, and says what is not proven" {
	make_log
	try audit export --out e.zip
	assert_exit 0
	assert_err ""
	assert_out "wrote e.zip: $((EVENTS + 1)) of the $((EVENTS + 1)) events of $ORIGIN"
	assert_equal "$(stat -c %a e.zip)" 600
	try audit verify e.zip --key key
	assert_exit 0
	assert_err ""
	assert_out "evidence of $ORIGIN
proven:
  - the file is as it was made: nothing was changed, added or taken away
  - events 0 to $EVENTS stand in the log's tree of $((EVENTS + 1)) events, unchanged and in order
  - these are all events of the log
  - $((VALUES + 1)) personal values are those that were recorded
  - the log said at 2026-02-01T00:00:00Z that this was its state
  - \"page.html\" says what the events say
not proven:
  - that nobody was shown another history: no policy with witnesses was given
checked with the key
  $(head -n 1 key)"
}

@test "evidence is verified without a home" {
	make_log
	copyhold -q audit export --out e.zip >/dev/null
	rm -rf "$COPYHOLD_HOME"
	COPYHOLD_HOME=/nonexistent try audit verify e.zip --key key
	assert_exit 0
}

@test "without a key the exit code is 6, and the key is shown for comparison" {
	make_log
	copyhold -q audit export --out e.zip >/dev/null
	try audit verify e.zip
	assert_exit 6
	assert_contains "checked with the key
  $(head -n 1 key)"
	assert_contains "  - that the key is the log's: no key was given to compare it with"
	assert_err 'error[unvouched]: the evidence is whole, but nobody has vouched for the key that signed it
  hint:  Compare the key with the one that the operator gave you by another way, and say --key FILE.'
}

@test "the second verifier finds the same" {
	make_log
	copyhold -q audit export --out e.zip >/dev/null
	run second e.zip key
	assert_exit 0
	assert_out "events 0 to $EVENTS of $((EVENTS + 1)) in $ORIGIN: all there, unchanged, in order
cosigned by $ORIGIN at 1769904000"
	for i in 1 2 3 4 5 6 7; do
		COPYHOLD_NOW=$((COPYHOLD_NOW + i * 86400000)) copyhold -q secret remove two --reason "$i" >/dev/null ||
			echo x | COPYHOLD_NOW=$((COPYHOLD_NOW + i * 86400000)) copyhold -q secret set two
	done
	COPYHOLD_NOW=$((COPYHOLD_NOW + 10 * 86400000)) copyhold -q audit export --out p.zip \
		--since 2026-02-03 --until 2026-02-06 --stored >/dev/null
	run second p.zip key
	assert_exit 0
	assert_contains "events $((EVENTS + 1)) to $((EVENTS + 5)) of $((EVENTS + 9)) in"
	try audit verify p.zip --key key
	assert_exit 0
	assert_contains "no event from 2026-02-03T00:00:00.000Z to 2026-02-06T00:00:00.000Z is missing"
}

@test "both verifiers find a changed event, a changed page and a removed member" {
	make_log
	copyhold -q audit export --out e.zip >/dev/null
	cp e.zip event.zip
	member e.zip events.jsonl | sed 's/secret.remove/secret.reread/' | replace event.zip events.jsonl
	try audit verify event.zip --key key
	assert_exit 1
	assert_contains "wrong:
  - the events are not those of the log's tree of $((EVENTS + 1)) events: one or more were changed, removed, added or moved"
	assert_lacks "proven:"
	assert_err "error[different]: the evidence does not verify: the events are not those of the log's tree of $((EVENTS + 1)) events: one or more were changed, removed, added or moved
  hint:  Do not rely on it; ask for it again."
	run second event.zip key
	assert_exit 1
	assert_out "wrong: the events are not those of the tree"
	cp e.zip page.zip
	member e.zip page.html | sed 's/was removed/was kept/' | replace page.zip page.html
	try audit verify page.zip --key key
	assert_exit 1
	assert_contains '  - "page.html" is not the one that was signed'
	run second page.zip key
	assert_out "wrong: page.html is another"
}

@test "a key of somebody else is refused" {
	make_log
	copyhold -q audit export --out e.zip >/dev/null
	COPYHOLD_HOME=$TEST_DIR/other
	copyhold -q init
	echo one | copyhold -q secret set one
	copyhold audit checkpoint >/dev/null
	cat "$COPYHOLD_HOME"/audit/vendor-*/key >other.key
	try audit verify e.zip --key other.key
	assert_exit 1
	assert_err "error[different]: the evidence does not verify: the file is of log \"$ORIGIN\", whose key was not given
  hint:  Do not rely on it; ask for it again."
	cat key >>other.key
	try audit verify e.zip --key other.key
	assert_exit 0
}

@test "files that are no evidence and keys that are none are named" {
	make_log
	echo x >e.zip
	try audit verify e.zip --key key
	assert_exit 1
	assert_err 'error[different]: the evidence does not verify: "e.zip" is no ZIP file
  hint:  Do not rely on it; ask for it again.'
	try audit verify none.zip
	assert_exit 1
	assert_err 'error[system]: cannot open "none.zip" (ENOENT)
  hint:  Does it exist, and may you read it?'
	echo '# nothing' >empty.key
	try audit verify e.zip --key empty.key
	assert_exit 1
	assert_err 'error[input]: there is no key in "empty.key"
  hint:  A verifier key is NAME+ID+BASE64, as audit status prints it.'
	echo 'abc' >bad.key
	try audit verify e.zip --key bad.key
	assert_exit 1
	assert_contains 'error[input]: this is no verifier key of Ed25519 or of a cosigner' "$stderr"
	assert_contains 'while: reading the keys of "bad.key"' "$stderr"
}

@test "an export that cannot be meant so is refused" {
	make_log
	try audit export --out e.zip --since yesterday
	assert_exit 64
	assert_err 'error[usage]: "yesterday" of --since is no time
  hint:  Write a date or a time in UTC: 2026-01-31 or 2026-01-31T12:00:00Z.'
	try audit export --out e.zip --since 2026-02-01 --until 2026-01-01
	assert_exit 64
	assert_err 'error[usage]: --until is not after --since
  hint:  Exchange them.'
	try audit export --out e.zip --tenant acme --log x
	assert_exit 64
	try audit export --out e.zip --tenant acme
	assert_exit 1
	assert_contains 'error[not-found]' "$stderr"
	try audit export --out e.zip --log x
	assert_exit 1
	assert_contains 'error[not-found]' "$stderr"
	try audit export --out no/such/e.zip
	assert_exit 1
	[ ! -e e.zip ]
	touch e.zip
	try audit export --out e.zip
	assert_exit 1
	assert_err 'error[exists]: "e.zip" is there already
  hint:  Choose another name.'
}

@test "an export can be repeated for an earlier log by its name" {
	make_log
	try audit export --out e.zip --log "$ORIGIN"
	assert_exit 0
	try audit verify e.zip --key key
	assert_exit 0
}

@test "what the commands print as JSON fits the schema" {
	make_log
	local fits=("$PYTHON" "$REPO/tests/lib/schema.py" "$REPO/manifests/schema/output-v1.json")
	for form in json jsonl; do
		try audit export --out "$form.zip" --output "$form"
		assert_exit 0
		"${fits[@]}" auditExport <<<"$output"
		try audit verify "$form.zip" --key key --output "$form"
		assert_exit 0
		"${fits[@]}" auditVerify <<<"$output"
		assert_equal "$(jq -c '[.sound, .trusted, .first, .origin]' <<<"$output")" \
			"[true,true,0,\"$ORIGIN\"]"
		try audit erase --subject actor:nobody --output "$form"
		assert_exit 0
		"${fits[@]}" auditErase <<<"$output"
	done
	echo x >x.zip
	try audit verify x.zip --output json
	assert_exit 1
	"${fits[@]}" auditVerify <<<"$output"
	assert_equal "$(jq -c '[.sound, .origin, .wrong]' <<<"$output")" '[false,null,["\"x.zip\" is no ZIP file"]]'
	assert_equal "$(jq -r .error.kind <<<"$stderr")" different
}

@test "a reason of any bytes can be exported and read" {
	make_log
	echo x | copyhold -q secret set odd --reason $'a\xff\xfeb\x01c\nd\xed\xa0\x80"\\' >/dev/null
	try audit export --out e.zip
	assert_exit 0
	try audit verify e.zip --key key
	assert_exit 0
	run second e.zip key
	assert_exit 0
}

# --- witnesses ------------------------------------------------------------------------------

# A command asks for a second at most, and leaves who was too slow alone for a while.
is_cosigned() {
	copyhold -q audit checkpoint >/dev/null
	[ "$(copyhold audit witness list --output json | jq -c '.[0] | [.behind, .error]')" = '[0,null]' ]
}

@test "a witness that was asked makes a policy fulfilled" {
	unset COPYHOLD_NOW
	make_log
	"$COPYHOLD_BIN" audit witness run --dir w --name witness.example/w --listen 127.0.0.1:0 \
		--logs key 2>w.err 3>&- &
	WITNESS=$!
	until_true grep -q ' cosigns on ' w.err
	copyhold -q audit witness add "$(sed -n 's/.* cosigns on //p' w.err)" \
		--key "$(copyhold audit witness key --dir w)" >/dev/null
	until_true is_cosigned
	copyhold -q audit export --out e.zip >/dev/null
	{
		echo "log $(head -n 1 key)"
		echo "witness w $(copyhold audit witness key --dir w)"
		echo "quorum w"
	} >policy
	try audit verify e.zip --witness policy
	assert_exit 0
	assert_contains '  - witness "w" has cosigned this state of the log'
	assert_contains '  - the witnesses that the policy asks for were shown this history and no other, between'
	assert_lacks "not proven:"
	assert_contains "witness <bdi>witness.example/w</bdi>, on " "$(member e.zip page.html)"
	assert_contains "quorum witnesses" "$(member e.zip policy)"
	sed -i "s|^witness w .*|witness w $(copyhold audit witness key --dir v --name v.example/v)|" policy
	try audit verify e.zip --witness policy
	assert_exit 1
	assert_err 'error[different]: the evidence is whole, but the policy is not fulfilled
  hint:  Ask for evidence whose state the witnesses have cosigned.'
	member e.zip policy >own
	try audit verify e.zip --witness own
	assert_exit 0
}

# --- erase -------------------------------------------------------------------------------------

@test "an erasure is confirmed, leaves the proofs valid, and cannot be taken back" {
	make_log
	local actor
	actor=$(copyhold audit list --output json | jq -r '.[0].actor')
	copyhold -q audit export --out before.zip >/dev/null
	try audit erase --subject "actor:$actor" </dev/null
	assert_exit 1
	assert_err "error[refused]: nobody is there to be asked: $((VALUES + 1)) values would be removed for good. Type erase:
  hint:  Say --yes if you mean it."
	try audit erase --subject "actor:$actor" --yes
	assert_exit 0
	assert_out "erased $((VALUES + 1)) values in 1 log; every proof still verifies"
	copyhold -q audit export --out after.zip --no-values >/dev/null
	for file in before after; do
		try audit verify "$file.zip" --key key
		assert_exit 0
		run second "$file.zip" key
		assert_exit 0
	done
	assert_lacks "needed" "$(member after.zip events.jsonl; member after.zip page.html)"
	grep -q needed <(member before.zip openings.jsonl)
	assert_equal "$(grep -lr 'no longer <needed>' "$COPYHOLD_HOME")" ""
	try audit erase --subject "actor:nobody"
	assert_exit 0
	assert_out "erased 0 values in 0 logs; every proof still verifies"
}

# --- words -----------------------------------------------------------------------------------------

# Whatever looks like a verb is one, but for these.
@test "every verb in the sources has a sentence" {
	local verb n=0
	while read -r verb; do
		grep -qF "EVENT_WORD(\"$verb\"," "$REPO/compliance/audit/words.def" || {
			echo "compliance/audit/words.def has no sentence for \"$verb\""
			return 1
		}
		n=$((n + 1))
	done < <(cd "$REPO" && grep -rhE --include='*.c' '"[a-z]+(\.[a-z-]+)+"' lib/core deployer region compliance cli |
		grep -vE 'fault_point|#include' | grep -oE '"[a-z]+(\.[a-z-]+)+"' | tr -d '"' | sort -u |
		grep -vxE 'app\.account.*|catalog\.db.*|copyhold\.conf')
	[ "$n" -gt 60 ]
}

@test "the table of OCSF in docs/audit.md is that of the sources" {
	local class name
	declare -A name=([3001]="Account Change" [3004]="Entity Management" [3005]="User Access Management"
		[6005]="Datastore Activity")
	while IFS='|' read -r verb class activity; do
		grep -qF "| \`$verb\` | $class ${name[$class]} | $activity |" "$REPO/docs/audit.md" || {
			echo "docs/audit.md lacks: | \`$verb\` | $class ${name[$class]} | $activity |"
			return 1
		}
	done < <(sed -n 's/^EVENT_WORD("\([a-z.-]*\)".*, \([0-9]*\), \([0-9]*\))$/\1|\2|\3/p' \
		"$REPO/compliance/audit/words.def")
}
