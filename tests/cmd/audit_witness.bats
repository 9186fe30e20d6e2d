load ../lib/home
load ../lib/wait

# `copyhold audit witness`, against clients and witnesses written by hand from the specifications
# (tests/lib/witnessing.py, curl).

PYTHON=/usr/bin/python3
LOG=example.com/log

setup() {
	home_setup
	cd "$TEST_DIR" || return
	STARTED=()
}

teardown() {
	local pid
	for pid in ${STARTED[@]+"${STARTED[@]}"}; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	cd /
	home_teardown
}

# DEFINITION: does standard input fit manifests/schema/output-v1.json?
fits() { "$PYTHON" "$REPO/tests/lib/schema.py" "$REPO/manifests/schema/output-v1.json" "$@"; }

peer() { "$PYTHON" "$REPO/tests/lib/witnessing.py" "$@"; }

# The verifier key of the log that witnessing.py writes.
make_log() { LOG_KEY=$(peer key log.seed "$LOG" 1); }

# OLD SIZE [FORK]: the name of a file with the request.
request() {
	peer request log.seed "$LOG" "$@" >"request-$1-$2-${3-}"
	echo "request-$1-$2-${3-}"
}

# DIR ARGUMENT...: runs a witness; its address is in $URL, its process in $WITNESS.
start_witness() {
	: >"$1.err"
	"$COPYHOLD_BIN" audit witness run --dir "$1" --listen 127.0.0.1:0 "${@:2}" 2>"$1.err" 3>&- &
	WITNESS=$!
	STARTED+=("$WITNESS")
	until_true grep -q ' cosigns on ' "$1.err"
	URL=$(sed -n 's/.* cosigns on //p' "$1.err")
}

# FILE: what the witness answers is in $ANSWER, its status in $STATUS, its type in $TYPE.
offer() {
	read -r STATUS TYPE < <(curl -sS --noproxy '*' -o answer -w '%{http_code} %{content_type}\n' \
		${CURL_CA:+--cacert "$CURL_CA"} --data-binary "@$1" "$URL/add-checkpoint")
	ANSWER=$(cat answer)
}

# FILE STATUS [TEXT]
offer_gets() {
	offer "$1"
	assert_equal "$STATUS" "$2"
	[ $# -lt 3 ] || assert_equal "$ANSWER" "$3"
}

# FILE: it is cosigned, and OpenSSL says so too.
offer_is_cosigned() {
	offer_gets "$1" 200
	{ sed '1,/^$/d' "$1" && cat answer; } | peer cosigned "$(copyhold audit witness key --dir "${2:-w}")" >when
}

# --- who runs one ------------------------------------------------------------------------

@test "a witness has a key of its own that stays, and one name" {
	try audit witness key --dir w
	assert_exit 1
	assert_err 'error[not-found]: there is no witness in "w"
  hint:  Say --name, such as --name witness.example.com/w1, and it is made.'
	try audit witness key --dir w --name witness.example/w1
	assert_exit 0
	[[ $output =~ ^witness\.example/w1\+[0-9a-f]{8}\+B[A-Za-z0-9+/]{43}$ ]]
	local key=$output
	try audit witness key --dir w
	assert_out "$key"
	try audit witness key --dir w --output json
	fits auditWitnessKey <<<"$output"
	assert_out "{\"key\":\"$key\",\"name\":\"witness.example/w1\"}"
	try audit witness key --dir w --name other
	assert_exit 1
	assert_err 'error[exists]: the witness in "w" is "witness.example/w1", not "other"
  hint:  Leave --name out, or take another folder.'
	try audit witness key --dir other --name 'a b'
	assert_exit 1
	assert_err 'error[input]: a key cannot have the name "a b"
  hint:  Take letters, digits, dots and slashes.'
	assert_equal "$(stat -c %a w w/witness.db | tr '\n' ' ')" "700 600 "
}

@test "a client written by hand is answered as the specification says" {
	make_log
	start_witness w --name witness.example/w1
	offer_gets "$(request 0 5)" 404 "the origin is unknown"
	try audit witness trust --dir w --log "$LOG_KEY"
	assert_exit 0
	assert_out "cosigns 1 log that was named"
	offer_is_cosigned "$(request 0 5)"
	offer_is_cosigned "$(request 5 5)"
	offer_is_cosigned "$(request 5 70)"
	offer_gets "$(request 5 71)" 409 70
	assert_equal "$TYPE" text/x.tlog.size
	offer_gets "$(request 0 71)" 409 70
	offer_gets "$(request 71 71)" 409 70
	offer_gets "$(request 71 70)" 400 "the old size is greater than the checkpoint's"
	sed '2d' "$(request 70 100)" >shorter
	offer_gets shorter 422 "the consistency proof does not verify"
	peer key other.seed "$LOG" 1 >other.key
	peer request other.seed "$LOG" 70 100 >wrong
	offer_gets wrong 403 "no known key of this origin has signed"
	echo hello >none
	offer_gets none 400 'the first line is not "old" and a size'
	offer_is_cosigned "$(request 70 100)"
	head -c 300000 /dev/zero | tr '\0' a >large
	offer_gets large 413
	assert_equal "$(curl -sS --noproxy '*' "$URL/")" "$(copyhold audit witness key --dir w)"
	assert_equal "$(curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' "$URL/add-checkpoint")" 405
	assert_equal "$(curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' "$URL/nothing")" 404
	kill -TERM "$WITNESS"
	wait "$WITNESS"
	assert_equal "$(tail -1 w.err)" "stopped"
}

@test "two trees of one size: one is cosigned, the other is kept as the proof of a fork" {
	make_log
	start_witness w --name witness.example/w1 --log "$LOG_KEY"
	offer_is_cosigned "$(request 0 20)"
	offer_gets "$(request 20 20 7)" 409 20
	offer_gets "$(request 20 30 7)" 422 "the consistency proof does not verify"
	try audit witness logs --dir w
	assert_exit 0
	assert_contains "LOG              SIZE  COSIGNED                  FORKS"
	assert_contains "$LOG    20  "
	try audit witness logs --dir w --output json
	assert_exit 0
	fits auditWitnessLogs <<<"$output"
	assert_equal "$(jq -c '.[] | [.origin, .size, .forkCount, .forks[0].size]' <<<"$output")" \
		"[\"$LOG\",20,1,20]"
	assert_equal "$(jq -r '.[0].checkpoint' <<<"$output")" "$(sed '1,/^$/d' request-0-20-)"
	jq -j '.[0].forks[0].ours' <<<"$output" >ours
	jq -j '.[0].forks[0].theirs' <<<"$output" >theirs
	assert_equal "$(peer cosigned "$LOG_KEY" <ours)" 0
	assert_equal "$(peer cosigned "$LOG_KEY" <theirs)" 0
	assert_equal "$(sed -n 2p ours theirs | uniq)" 20
	[ "$(sed -n 3p ours)" != "$(sed -n 3p theirs)" ]
	assert_contains "fork: \"$LOG\" signed two trees of size 20" "$(cat w.err)"
}

@test "of many requests at once with two trees, the cosigned ones are of one tree" {
	make_log
	local files=() pids=() i
	start_witness w --name witness.example/w1 --log "$LOG_KEY"
	offer_is_cosigned "$(request 0 5)"
	for ((i = 0; i < 10; i++)); do
		files+=("$(request 5 $((6 + i % 3)))" "$(request 5 $((6 + i % 3)) 5)")
	done
	for ((i = 0; i < 20; i++)); do
		curl -sS --noproxy '*' -o "answer-$i" -w '%{http_code}' --data-binary "@${files[i]}" \
			"$URL/add-checkpoint" >"status-$i" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	assert_equal "$(for ((i = 0; i < 20; i++)); do
		cat "status-$i"
		echo
	done | grep -c 200)" 1
	for ((i = 0; i < 20; i++)); do
		[[ $(<"status-$i") == 200 || $(<"status-$i") == 409 ]]
	done
}

@test "killed at any boundary, it never cosigns a second tree of a size" {
	make_log
	local n size=0 kills=0 known first
	copyhold audit witness key --dir w --name witness.example/w1 >key
	copyhold audit witness trust --dir w --log "$LOG_KEY"
	for ((n = 1; n <= 20; n++)); do
		COPYHOLD_FAULT=kill:$((1 + n % 2)) start_witness w
		curl -sS --noproxy '*' --data-binary "@$(request "$size" $((size + 1)))" \
			"$URL/add-checkpoint" >lost 2>/dev/null || true
		wait "$WITNESS" || kills=$((kills + 1))
		assert_equal "$(<lost)" ""
		start_witness w
		known=$(copyhold audit witness logs --dir w --output json | jq '.[0].size')
		# What it kept is cosigned again, and a tree that differs in its last leaf is not.
		if [ "$known" != "$size" ]; then
			assert_equal "$known" $((size + 1))
			offer "$(request "$known" "$known")"
			first=$STATUS
			offer "$(request "$known" "$known" "$size")"
			assert_equal "$first $STATUS" "200 409"
		fi
		size=$known
		kill -TERM "$WITNESS"
		wait "$WITNESS"
	done
	assert_equal "$kills" 20
	assert_equal "$size" 10
}

@test "it stays on this machine unless it has a certificate or is told" {
	try audit witness run --dir w --name w --listen 0.0.0.0:0
	assert_exit 1
	assert_err 'error[refused]: plain HTTP on "0.0.0.0:0" could be reached from elsewhere
  hint:  Give --cert and --key, or put a TLS proxy before it and say --insecure-http.'
	try audit witness run --dir w --cert c.pem
	assert_exit 64
	assert_err 'error[usage]: --cert and --key belong together
  hint:  Give both files, or neither.'
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=w \
		-addext subjectAltName=IP:127.0.0.1 -keyout k.pem -out c.pem 2>/dev/null
	make_log
	start_witness w --log "$LOG_KEY" --cert c.pem --key k.pem
	[[ $URL == https://127.0.0.1:* ]]
	CURL_CA=c.pem
	offer_is_cosigned "$(request 0 3)"
}

@test "a list of logs is read, and a wrong line of it is named" {
	make_log
	copyhold audit witness key --dir w --name w >key
	printf '%s\n' "# ours" "" "$LOG_KEY" "$(cat key)" "logs/v0" "vkey $(peer key other.seed b.example 1)" \
		"  qpd 24" "contact somebody" >list
	try audit witness trust --dir w --logs list
	assert_exit 0
	assert_out "cosigns 2 logs that were named"
	try audit witness logs --dir w --output jsonl
	fits auditWitnessLogs lines <<<"$output"
	assert_equal "$(jq -c '[.origin, .size, .cosigned, .forks]' <<<"$output")" '["b.example",0,null,[]]
["example.com/log",0,null,[]]'
	printf '%s\n' "$LOG_KEY" "nonsense" >list
	try audit witness trust --dir w --logs list
	assert_exit 1
	assert_err 'error[input]: this is no verifier key of Ed25519 or of a cosigner
  where: list:2:1
  hint:  A verifier key is NAME+ID+BASE64, as audit status prints it.'
	printf '%s\n' "vkey $LOG_KEY" "origin something else" >list
	try audit witness trust --dir w --logs list
	assert_exit 1
	assert_err 'error[input]: the origin "something else" is not the name of its log'"'"'s key
  where: list:2:1
  hint:  Such a log is not supported: leave it out.'
	try audit witness trust --dir w
	assert_exit 64
	assert_err 'error[usage]: no log is named
  hint:  Give --log KEY or --logs FILE.'
}

# --- whose logs it cosigns --------------------------------------------------------------------

# The key of the vendor's log, and its published checkpoint.
vendor() { copyhold audit status --output json | jq -r ".logs[] | select(.tenant == null) | .$1"; }
checkpoint() { cat "$COPYHOLD_HOME/audit/$(vendor folder)/checkpoint"; }

# A witness written by hand, for the vendor's log.
start_other_witness() {
	OTHER_KEY=$(peer key other.seed other.example/w 4)
	"$PYTHON" "$REPO/tests/lib/witnessing.py" serve other.seed other.example/w other.state "$(vendor key)" >other.url 3>&- &
	STARTED+=($!)
	until_true test -s other.url
	OTHER_URL=$(<other.url)
}

change() { copyhold secret set "$1" <<<"value" >/dev/null; }

# A command asks for a second at most; what did not answer in time is asked by a later one.
is_refused() {
	copyhold audit checkpoint >/dev/null
	[ "$(copyhold audit witness list --output json | jq -r '.[0].error')" = "Couldn't connect to server" ]
}

@test "a home's witness is added once, shown and removed" {
	copyhold init
	change one
	local key
	key=$(copyhold audit witness key --dir w --name witness.example/w1)
	try audit witness add http://witness.example --key "$key"
	assert_exit 1
	assert_err 'error[refused]: plain HTTP to "witness.example" could be read and changed on its way
  hint:  Use https, or say --insecure-http.'
	try audit witness add https://user:word@witness.example --key "$key"
	assert_exit 64
	assert_lacks word "$stderr"
	try audit witness add https://witness.example --key "$(vendor key)"
	assert_exit 1
	assert_contains "is a key of another type" "$stderr"
	try audit witness add http://127.0.0.1:1/ --key "$key"
	assert_exit 0
	assert_out "http://127.0.0.1:1 is asked to cosign every checkpoint"
	try audit witness add http://127.0.0.1:1 --key "$key"
	assert_exit 1
	assert_err 'error[exists]: the witness is known already, as "http://127.0.0.1:1"
  hint:  To change it, remove it first: copyhold audit witness remove URL.'
	until_true is_refused
	try audit witness list
	assert_exit 0
	assert_contains "Couldn't connect to server"
	try audit witness list --output json
	fits auditWitnessList <<<"$output"
	assert_equal "$(jq -c '.[] | [.url, .behind, .cosigned, .error]' <<<"$output")" \
		'["http://127.0.0.1:1",1,null,"Couldn'"'"'t connect to server"]'
	try audit status --output json
	assert_equal "$(jq -c '.witnesses[] | [.url, .behind]' <<<"$output")" '["http://127.0.0.1:1",1]'
	try audit witness remove http://127.0.0.1:1
	assert_exit 0
	assert_out "http://127.0.0.1:1 is asked no more"
	try audit witness remove http://127.0.0.1:1
	assert_exit 1
	assert_err 'error[not-found]: there is no witness "http://127.0.0.1:1"
  hint:  See: copyhold audit witness list.'
	try audit list --output json
	assert_equal "$(jq -c '[.[] | .verb | select(startswith("witness."))] | sort' <<<"$output")" \
		'["witness.add","witness.remove"]'
}

is_cosigned() {
	checkpoint | peer cosigned "$OTHER_KEY" 2>/dev/null ||
		{ copyhold audit checkpoint >/dev/null && checkpoint | peer cosigned "$OTHER_KEY"; }
}

@test "a witness written by hand cosigns each change, with no service running" {
	copyhold init
	change one
	start_other_witness
	copyhold audit witness add "$OTHER_URL" --key "$OTHER_KEY"
	until_true is_cosigned
	for name in two three four; do
		change "$name"
		until_true is_cosigned
		checkpoint | peer cosigned "$(vendor key)"
	done
	assert_equal "$(jq -c '[.[][0]]' other.state)" "[$(vendor signed)]"
	assert_lacks stranger "$(checkpoint)"
	try audit witness list --output json
	assert_equal "$(jq -c '.[] | [.behind, .since, .error]' <<<"$output")" '[0,null,null]'
}

@test "with the service running, our own witness and another one cosign, and what was away catches up" {
	copyhold init
	change one
	start_other_witness
	start_witness w --name witness.example/w1 --log "$(vendor key)"
	local own=$URL
	copyhold audit witness add "$own" --key "$(copyhold audit witness key --dir w)"
	copyhold audit witness add "$OTHER_URL" --key "$OTHER_KEY"
	"$COPYHOLD_BIN" audit run 2>run.err 3>&- &
	STARTED+=($!)
	local service=$!
	until_true grep -q publishing run.err
	both() {
		checkpoint | peer cosigned "$OTHER_KEY" && checkpoint | peer cosigned "$(copyhold audit witness key --dir w)"
	}
	for name in two three four; do
		change "$name"
		until_true both
	done
	# One is away: the other goes on, and changes wait for nobody.
	kill -TERM "$WITNESS"
	wait "$WITNESS"
	change five
	until_true bash -c "copyhold() { '$COPYHOLD_BIN' \"\$@\"; }; copyhold audit witness list --output json |
		jq -e '[.[] | select(.behind == 1 and .error == \"Couldn'\\''t connect to server\")] | length == 1'"
	until_true sh -c "'$COPYHOLD_BIN' audit witness list --output json | jq -e '[.[] | select(.behind == 0)] | length == 1'"
	: >w.err
	"$COPYHOLD_BIN" audit witness run --dir w --listen "${own#http://}" 2>w.err 3>&- &
	STARTED+=($!)
	until_true both
	kill -TERM "$service"
	wait "$service"
	assert_contains "stopped" "$(cat run.err)"
}

@test "a home that was set back to a copy is told by the witness" {
	copyhold init
	change one
	start_other_witness
	copyhold audit witness add "$OTHER_URL" --key "$OTHER_KEY"
	cp -a "$COPYHOLD_HOME" older
	change two
	change three
	until_true is_cosigned
	local origin knew error
	origin=$(vendor origin)
	knew=$(vendor signed)
	rm -rf "$COPYHOLD_HOME"
	mv older "$COPYHOLD_HOME"
	change four
	is_told() {
		copyhold audit checkpoint >/dev/null
		error=$(copyhold audit witness list --output json | jq -r '.[0].error')
		[[ $error == it* ]]
	}
	until_true is_told
	assert_equal "$error" \
		"it has cosigned $knew entries of \"$origin\", and this home has signed $(vendor signed)"
	[ "$(vendor signed)" -lt "$knew" ]
}

# --- units --------------------------------------------------------------------------------------

@test "systemd finds nothing wrong with the units" {
	command -v systemd-analyze >/dev/null || skip "no systemd-analyze here"
	local unit
	for unit in audit witness; do
		sed "s|/usr/bin/copyhold|$COPYHOLD_BIN|" "$REPO/packaging/copyhold-$unit.service" >"copyhold-$unit.service"
		run --separate-stderr systemd-analyze verify --man=no "./copyhold-$unit.service"
		assert_exit 0
		assert_err ""
	done
}
