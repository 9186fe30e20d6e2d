# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets what is not set here
# Sessions over SSH with sshds of this machine, beside the program ssh, scp and, where it is
# installed (apt-get install ansible-core), Ansible.

readonly ssh_hosts=100 ssh_sessions=1000
ssh_dir=$work/ssh

sshd() { "$root/tools/sshd.sh" "$1" "$ssh_dir" "${@:2}"; }

# NAME: options with which the program ssh gets in
ssh_options() {
	ssh_with=(-F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
		-o LogLevel=ERROR -i "$ssh_dir/client")
	ssh_to=(-p "$(cat "$ssh_dir/$1/port")" "$(cat "$ssh_dir/$1/user")@127.0.0.1")
}

# Field N of what a program of ours printed last.
ssh_field() { awk -v n="$1" '{ print $n }' "$work/ssh.out"; }

sshd start one
sshd many h "$ssh_hosts"
ssh_folders=("$ssh_dir"/h*/)

# --- one step on an open session -------------------------------------------------------------

ssh_steps_one() {
	local control=$work/control
	ssh_options one
	for ((round = 0; round < rounds; round++)); do
		"$tools/ssh" step "$ssh_dir/one" 0 1000 >"$work/ssh.out"
		keep ssh_step "$(ssh_field 1)"
		ssh "${ssh_with[@]}" -f -N -M -S "$control" "${ssh_to[@]}"
		"$tools/measure" -n 30 -- ssh "${ssh_with[@]}" -S "$control" "${ssh_to[@]}" true >"$work/ssh.out"
		keep ssh_exec "$(ssh_field 1)"
		ssh "${ssh_with[@]}" -S "$control" -O exit "${ssh_to[@]}" 2>/dev/null
	done
	row "a step on an open session, p50" "$(median ssh_step) ms" "0.5 ms" "ssh, ControlMaster" \
		"$(median ssh_exec) ms" "$(calc "$(median ssh_step) / $(median ssh_exec)")"
}

# N: starts a relay of 50 ms each way for one connection; sets relay_port
ssh_relay() {
	: >"$work/relay"
	"$tools/ssh" relay "$(cat "$ssh_dir/one/port")" 50 >"$work/relay" &
	until [ -s "$work/relay" ]; do sleep 0.01; done
	relay_port=$(cat "$work/relay")
}

ssh_steps_far() {
	local control=$work/control
	ssh_options one
	for ((round = 0; round < rounds; round++)); do
		ssh_relay
		"$tools/ssh" step "$ssh_dir/one" "$relay_port" 30 >"$work/ssh.out"
		keep ssh_far "$(ssh_field 1)"
		ssh_relay
		ssh "${ssh_with[@]}" -f -N -M -S "$control" -p "$relay_port" "${ssh_to[2]}"
		"$tools/measure" -n 10 -- ssh "${ssh_with[@]}" -S "$control" "${ssh_to[2]}" true >"$work/ssh.out"
		keep ssh_exec_far "$(ssh_field 1)"
		ssh "${ssh_with[@]}" -S "$control" -O exit "${ssh_to[2]}" 2>/dev/null
	done
	row "the same on a line of 100 ms" "$(median ssh_far) ms" "102 ms" "ssh, ControlMaster" \
		"$(median ssh_exec_far) ms" "$(calc "$(median ssh_far) / $(median ssh_exec_far)")"
}

# --- four steps on a hundred hosts -----------------------------------------------------------

# User, folder, file, command; each looks whether there is something to do.
ssh_script() {
	cat <<-'END'
		id -u nobody >/dev/null || useradd nobody
		[ "$(stat -c %a ~/four 2>/dev/null)" = 750 ] || { mkdir -p ~/four && chmod 750 ~/four; }
		[ "$(sha256sum <~/four/file 2>/dev/null)" = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  -" ] || echo hello >~/four/file
		[ -e ~/four/done ] || touch ~/four/done
		echo over
	END
}

ssh_inventory() {
	local host
	for host in "${ssh_folders[@]}"; do
		printf '%s ansible_host=127.0.0.1 ansible_port=%s ansible_user=%s ansible_ssh_private_key_file=%s home=%s\n' \
			"$(basename "$host")" "$(cat "$host/port")" "$(cat "$host/user")" "$ssh_dir/client" "${host}home"
	done
	printf '[all:vars]\nansible_python_interpreter=/usr/bin/python3\n'
}

ssh_playbook() {
	cat <<-'END'
		- hosts: all
		  gather_facts: false
		  tasks:
		  - user: {name: nobody}
		  - file: {path: "{{ home }}/four", state: directory, mode: "0750"}
		  - copy: {content: "hello\n", dest: "{{ home }}/four/file"}
		  - command: {cmd: "touch done", chdir: "{{ home }}/four", creates: "done"}
	END
}

ssh_forget_steps() {
	local host
	for host in "${ssh_folders[@]}"; do
		rm -rf -- "$host/home/four" "$host/home/.ansible"
	done
}

# Eight at a time: the machine is full with that.
ssh_parallel() {
	# shellcheck disable=SC2016 # the inner shell expands
	printf '%s\n' "${ssh_folders[@]}" | xargs -P 8 -I FOLDER sh -c \
		'port=$(cat "$1/port"); shift; ssh "$@" -p "$port" 127.0.0.1 sh -s <"$0"' \
		"$work/four" FOLDER "${ssh_with[@]}" >/dev/null
}

ssh_ansible() {
	ANSIBLE_HOST_KEY_CHECKING=False ANSIBLE_PIPELINING=True ANSIBLE_FORKS=20 ANSIBLE_NOCOLOR=1 \
		ANSIBLE_HOME=$work/ansible ANSIBLE_SSH_ARGS="-F none -o ControlMaster=auto -o ControlPersist=60s -o ControlPath=$work/cm-%C -o UserKnownHostsFile=/dev/null" \
		ansible-playbook -i "$work/inventory" "$work/four.yaml"
}

ssh_four() {
	ssh_script >"$work/four"
	ssh_inventory >"$work/inventory"
	ssh_playbook >"$work/four.yaml"
	ssh_options one
	for ((round = 0; round < rounds; round++)); do
		ssh_forget_steps
		"$tools/ssh" steps "$work/four" 2 "${ssh_folders[@]}" >"$work/ssh.out"
		keep ssh_first "$(ssh_field 1)"
		keep ssh_second "$(ssh_field 2)"
		keep ssh_cpu "$(ssh_field 3)"
		"$tools/ssh" steps "$work/four" 1 "${ssh_folders[@]}" >"$work/ssh.out"
		keep ssh_again "$(ssh_field 1)"
		ssh_forget_steps
		timed ssh_parallel
		keep ssh_plain_first "$took"
		timed ssh_parallel
		keep ssh_plain_second "$took"
	done
	row "4 steps on $ssh_hosts hosts, first pass" "$(median ssh_first) ms" "2500 ms" "ssh, 8 at a time" \
		"$(median ssh_plain_first) ms" "$(calc "$(median ssh_first) / $(median ssh_plain_first)")"
	row "nothing to change, dialled anew" "$(median ssh_again) ms" "2000 ms" "ssh, 8 at a time" \
		"$(median ssh_plain_second) ms" "$(calc "$(median ssh_again) / $(median ssh_plain_second)")"
	row "nothing to change, on open sessions" "$(median ssh_second) ms" "-" "our CPU for a host, both" \
		"$(median ssh_cpu) ms" "-"
	ssh_four_ansible
}

ssh_four_ansible() {
	command -v ansible-playbook >/dev/null || {
		say "no ansible-playbook: left out"
		return 0
	}
	ssh_forget_steps
	timed ssh_ansible
	keep ssh_ansible_first "$took"
	timed ssh_ansible
	row "4 steps on $ssh_hosts hosts, first pass" "$(median ssh_first) ms" "20 times faster" "Ansible, 20 forks" \
		"$(median ssh_ansible_first) ms" "$(calc "$(median ssh_first) / $(median ssh_ansible_first)")"
	row "nothing to change, dialled anew" "$(median ssh_again) ms" "20 times faster" "Ansible, connected already" \
		"$took ms" "$(calc "$(median ssh_again) / $took")"
}

# --- many sessions, large files --------------------------------------------------------------

ssh_crowd() {
	"$tools/ssh" crowd $ssh_sessions 10 "${ssh_folders[@]}" >"$work/ssh.out"
	row "$ssh_sessions open sessions, memory" "$(calc "$(ssh_field 1) / 1024") MiB" "120 MB" \
		"after 10 rounds" "$(calc "$(ssh_field 2) / 1024") MiB" "$(calc "$(ssh_field 2) / $(ssh_field 1)")"
	row "our CPU to open one" "$(ssh_field 3) ms" "2 ms" "for a step on it" "$(ssh_field 4) ms" "-"
}

ssh_large() {
	ssh_options one
	head -c 100000000 /dev/urandom >"$work/large"
	for ((round = 0; round < rounds; round++)); do
		"$tools/ssh" put "$ssh_dir/one" "$work/large" "$ssh_dir/one/root/large" >"$work/ssh.out"
		keep ssh_put "$(calc "100000 / $(ssh_field 1)")"
		timed scp "${ssh_with[@]}" -P "${ssh_to[1]}" "$work/large" "${ssh_to[2]}:$ssh_dir/one/root/other"
		keep ssh_scp "$(calc "100000 / $took")"
		rm -f "$ssh_dir"/one/root/*
	done
	row "SFTP of 100 MB, synced" "$(median ssh_put) MB/s" "100 MB/s" "scp, not synced" \
		"$(median ssh_scp) MB/s" "$(calc "$(median ssh_put) / $(median ssh_scp)")"
}

ssh_steps_one
ssh_steps_far
ssh_four
ssh_crowd
ssh_large
sshd remove-all
