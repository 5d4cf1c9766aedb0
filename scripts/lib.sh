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

# tool NAME PACKAGE VERSION builds a Go command, once for all checkouts, and prints where it is.
tool() {
	local dir=${XDG_CACHE_HOME:-$HOME/.cache}/davit-tools/$1-$3-$(go env GOVERSION)
	if [ ! -x "$dir/$1" ]; then
		step "building $1 $3 (once, some minutes)" >&2
		GOBIN=$dir go install "$2@$3" >&2
		done_in >&2
	fi
	echo "$dir/$1"
}
