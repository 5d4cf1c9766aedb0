# shellcheck shell=bash
# What the scripts share: progress with elapsed time, and where things are.

davit_start=$(date +%s)
davit_step=$davit_start

# step TEXT says what begins, and how long it has been since the start.
step() {
	davit_step=$(date +%s)
	printf '\n==> %s (after %ss)\n' "$*" "$((davit_step - davit_start))"
}

# done_in says how long the last step took.
done_in() { printf '    done in %ss\n' "$(($(date +%s) - davit_step))"; }

# need_root stops early where the cluster cannot run.
need_root() {
	if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
		echo "the cluster of this demo needs Linux and root (containers, network, cgroups): run it with sudo, or in a virtual machine" >&2
		exit 1
	fi
}
