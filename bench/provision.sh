# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets what is not set here
# Tenants of 4 objects and 2 roles taken on, with one connection and with two; beside it psql doing
# the least that makes the same roles, databases and tables, with as many connections.  Then plan,
# which looks at each of them, beside psql opening each database and counting its columns.

readonly provision_n=${PROVISION_N:-24}

export COPYHOLD_HOME=$work/provision
"$copyhold" -q init >/dev/null
start_server bj-1
port=$(port_of bj-1)
postmaster=$(su_sql bj-1 -Atc "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")
write_base "$work/provision.d" "$port" 1
"$copyhold" cluster setup-script bj-1 -f "$work/provision.d" | su_sql bj-1 >/dev/null

# Milliseconds of processor time that the server's ended sessions took so far.
server_cpu() {
	local ticks
	ticks=$(awk '{ sub(/.*\) /, ""); print $14 + $15 }' "/proc/$postmaster/stat")
	echo $((ticks * 1000 / $(getconf CLK_TCK)))
}

# Waits until no session is left, so that all of its time is counted.
sessions_end() {
	until [ "$(su_sql bj-1 -Atc "SELECT count(*) FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")" = 0 ]; do
		sleep 0.1
	done
}

# VALUE COMMAND...: keeps tenants a second as VALUE, and the server's milliseconds for each.
rate() {
	local value=$1 cpu
	shift
	settle
	sessions_end
	cpu=$(server_cpu)
	"$@"
	sessions_end
	keep "$value" "$(calc "$provision_n * 1000 / $took")"
	keep "$value.cpu" "$(calc "($(server_cpu) - $cpu) / $provision_n")"
}

# FOLDER PREFIX N CONNECTIONS: taken on by copyhold.
take_on() {
	rm -rf -- "$1"
	write_base "$1" "$port" "$4"
	write_tenants "$1" "$2" "$3"
	timed "$copyhold" -q apply -f "$1" --yes
}

# The statements of the first tenant, as the server heard them; its names become @N@.
learn() {
	local id
	su_sql bj-1 -c "ALTER ROLE copyhold SET log_statement = 'ddl'"
	take_on "$work/learn.d" learn 1 1
	su_sql bj-1 -c "ALTER ROLE copyhold RESET log_statement"
	id=$(su_sql bj-1 -Atc "SELECT datname FROM pg_database WHERE datname ~ '^t_[a-z2-7]{12}\$'")
	awk '/^[0-9-]+ [0-9:.]+ UTC \[/ { on = /statement: CREATE SCHEMA "app"/ } on' \
		"$work/bj-1/log" | sed -e '1s/.*statement: //' -e 's/^\t//' -e "s/${id}_[a-z0-9]\{4\}/@N@_app/" \
		-e "s/$id/@N@/g" -e 's/;$/\\;/' >"$work/ddl"
	grep -q 'CREATE TABLE' "$work/ddl"
}

# PREFIX FROM TO: a script of psql that makes as many.  Statements joined by \; go as one.
bare_script() {
	local i name
	for ((i = $2; i < $3; i++)); do
		name=$1$i
		cat <<-SQL
			CREATE ROLE ${name}_o NOLOGIN\; GRANT ${name}_o TO copyhold\; CREATE ROLE ${name}_app LOGIN PASSWORD '$verifier';
			CREATE DATABASE $name TEMPLATE copyhold_template OWNER ${name}_o;
			\\connect $name
			BEGIN\; SET LOCAL ROLE ${name}_o\;
		SQL
		sed "s/@N@/$name/g" "$work/ddl"
		echo "COMMIT;"
	done
}

bare_run() {
	PGPASSWORD=$BJ1_PASSWORD "$pg/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" \
		-U copyhold -d copyhold -f "$1"
}

bare_both() {
	bare_run "$work/bare.1" &
	bare_run "$work/bare.2"
	wait $!
}

# PREFIX CONNECTIONS
bare_take_on() {
	local half=$((provision_n / 2))
	if [ "$2" = 1 ]; then
		bare_script "$1" 0 "$provision_n" >"$work/bare.1"
		timed bare_run "$work/bare.1"
	else
		bare_script "$1" 0 $half >"$work/bare.1"
		bare_script "$1" $half "$provision_n" >"$work/bare.2"
		timed bare_both
	fi
}

# What is still to be written goes first.  Nothing is dropped between the measurements: ext4 passes
# over the inodes of files deleted in the last five minutes one by one, which makes new ones dear.
settle() { su_sql bj-1 -c CHECKPOINT; }

verifier="SCRAM-SHA-256\$4096:c2FsdHNhbHRzYWx0c2FsdA==\$$(head -c 32 /dev/zero | base64):$(
	head -c 32 /dev/zero | base64)"
learn
for ((round = 0; round < rounds; round++)); do
	for n in 1 2; do
		rate "taken$n" take_on "$work/take.d" "r${round}c${n}x" "$provision_n" "$n"
		rate "bare$n" bare_take_on "bare${round}c${n}x" "$n"
	done
done
for n in 1 2; do
	target=-
	[ $n = 1 ] || target="16/s or more"
	row "tenants taken on, connections: $n" "$(median taken$n)/s ($(spread taken$n))" "$target" \
		"psql x $n, the same statements" "$(median bare$n)/s ($(spread bare$n))" \
		"$(calc "$(median taken$n) / $(median bare$n)")"
done

row "  the server's processor time for one" "$(median taken2.cpu) ms ($(spread taken2.cpu))" "-" \
	"psql x 2" "$(median bare2.cpu) ms ($(spread bare2.cpu))" \
	"$(calc "$(median taken2.cpu) / $(median bare2.cpu)")"

# --- looking at them ----------------------------------------------------------------

readonly look_n=50
settle
take_on "$work/look.d" look $look_n 2
"$copyhold" route list -o json | grep -o '"t_[a-z2-7]\{12\}"' | tr -d '"' | tail -n $look_n >"$work/names"
while read -r name; do
	echo "\\connect $name"
	echo "SELECT count(*) FROM pg_attribute WHERE attrelid::regclass::text LIKE 'app.%';"
done <"$work/names" >"$work/look.sql"
for ((round = 0; round < rounds; round++)); do
	timed "$copyhold" -q plan -f "$work/look.d" --detailed-exitcode
	keep looked "$(calc "$look_n * 1000 / $took")"
	timed bare_run "$work/look.sql"
	keep opened "$(calc "$look_n * 1000 / $took")"
done
row "tenants looked at by plan" "$(median looked)/s ($(spread looked))" "-" \
	"psql, one connection and one count each" "$(median opened)/s ($(spread opened))" \
	"$(calc "$(median looked) / $(median opened)")"
cluster remove "$work" bj-1
unset COPYHOLD_HOME
