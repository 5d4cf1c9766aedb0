#!/bin/sh
# Installs the Debian packages that kubebox runs on, if any is missing; with --tests those that its end-to-end tests
# need as well, and each further argument is one more package and what it is for ("curl fetches the page").
# Does nothing when all are there.
set -eu

say() { printf 'kubebox: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# A package, and what it is for.
needed='
containerd                  runs containers
runc                        starts each container
containernetworking-plugins gives pods their network
iptables                    Services, and the way of packets between pods
mount                       volumes of pods
'
[ -e /proc/sys/net/bridge ] || needed="${needed}kmod loads the kernel module br_netfilter
"
for more; do
	case $more in
	--tests) more='busybox-static what the pods of the tests run' ;;
	-*) fail "unknown flag $more: there is only --tests" ;;
	esac
	needed="$needed$more
"
done

[ "$(uname -s)" = Linux ] || fail "this is $(uname -s); kubebox needs Linux, for instance in a virtual machine"
command -v dpkg-query >/dev/null || fail "this is no Debian or Ubuntu: install by hand what provides containerd, runc, the CNI plugins, iptables, mount and modprobe"

missing=$(printf '%s' "$needed" | while read -r package purpose; do
	[ -n "$package" ] || continue
	# An ordinary user's search path has no folder of the administrator's; dpkg knows all.
	dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf '%s|%s\n' "$package" "$purpose"
done)
[ -n "$missing" ] || exit 0

say "these Debian packages are missing and will be installed by apt-get:"
printf '%s\n' "$missing" | while IFS='|' read -r package purpose; do printf '  %-28s %s\n' "$package" "$purpose" >&2; done

sudo=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || fail "installing needs root and there is no sudo: run this as root"
	sudo=sudo
	say "asking for root with sudo"
fi
packages=$(printf '%s\n' "$missing" | cut -d '|' -f 1 | tr '\n' ' ')
$sudo apt-get update -q >&2
# shellcheck disable=SC2086 # one word per package
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages >&2
