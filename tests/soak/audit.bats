load ../lib/home
load ../kill/roll

setup() { roll_setup; }
teardown() { roll_teardown; }

@test "a thousand kills of whoever publishes and of whoever writes lose nothing" {
	while [ "$KILLS" -lt 1000 ]; do
		case $((RANDOM % 4)) in
		0) roll_kill_service "kill:$((RANDOM % 24 + 1))" ;;
		1) roll_kill_service "kill-after:$((RANDOM % 18 + 1)):$((RANDOM % 40))" ;;
		2) roll_kill_writer "kill:$((RANDOM % 6 + 1))" ;;
		3) roll_kill_writer "kill-after:$((RANDOM % 3 + 1)):$((RANDOM % 5))" ;;
		esac
	done
	roll_check
}
