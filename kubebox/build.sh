#!/bin/sh
# Builds kubebox unless this very version of it is in the cache, and prints the path of the binary.
#
# A version is named by the hash of the sources, of the modules and of the Go release, so a binary
# is never built twice. Everything but the path goes to standard error.
#
# It builds without -trimpath on purpose: with it, the tests of this module would compile the
# whole of Kubernetes a second time.
set -eu

kubernetes=v1.34.4
first_build="about ten minutes on two cores, and 5 GiB of disk space, most of it for Go's own caches"

say() { printf 'kubebox: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

[ "$(uname -s)" = Linux ] || fail "this is $(uname -s); kubebox needs Linux, for instance in a virtual machine"
command -v go >/dev/null || fail "the go command is missing: install Go 1.26 or newer (https://go.dev/doc/install)"
command -v flock >/dev/null || fail "the flock command is missing: apt-get install util-linux"

cd "$(dirname "$0")"
version=$( { go version; cat go.mod go.sum build.sh; find . -name '*.go' ! -name '*_test.go' ! -path './e2e/*' | LC_ALL=C sort | xargs cat; } | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubebox
binary=$cache/$version/kubebox
if [ -x "$binary" ]; then
	touch "$cache/$version"
	echo "$binary"
	exit
fi

mkdir -p "$cache/$version"
exec 9>"$cache/lock"
flock -n 9 || { say "another build is at work, waiting for it"; flock 9; }
if [ -x "$binary" ]; then
	echo "$binary"
	exit
fi

# Where an earlier version was built, Go's caches hold most of this one.
earlier=$(find "$cache" -mindepth 2 -maxdepth 2 -name kubebox | head -n 1)
if [ -n "$earlier" ]; then need=1; else need=5; fi
for folder in "$cache" "$(go env GOCACHE)" "$(go env GOMODCACHE)"; do
	mkdir -p "$folder"
	free=$(($(df -Pk "$folder" | awk 'NR == 2 { print $4 }') / 1048576))
	[ "$free" -ge "$need" ] || fail "only $free GiB are free in $folder, the build needs $need: make room, or move it with XDG_CACHE_HOME, GOCACHE and GOMODCACHE"
done

if [ -n "$earlier" ]; then
	say "building this version of kubebox; what did not change since the last one is reused"
else
	say "building kubebox with Kubernetes $kubernetes for the first time, which takes $first_build"
fi
log=$cache/$version/build.log
begun=$(date +%s)
elapsed() { now=$(($(date +%s) - begun)); printf '%d:%02d' $((now / 60)) $((now % 60)); }

go mod download >"$log" 2>&1 || { tail -n 20 "$log" >&2; fail "cannot download the modules (the log is $log)"; }
say "$(elapsed)  modules are there"
total=$(go list -deps . | wc -l)

minor=${kubernetes#v1.}
stamp=k8s.io/component-base/version
go build -v -buildvcs=false -o "$binary.new" -ldflags "-s -w \
	-X $stamp.gitVersion=$kubernetes -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*}" . >"$log" 2>&1 &
build=$!
trap 'kill $build 2>/dev/null || true; rm -f "$binary.new"' EXIT INT TERM
ticks=0
while kill -0 $build 2>/dev/null; do
	sleep 1
	ticks=$((ticks + 1))
	if [ $((ticks % 15)) -eq 0 ]; then
		say "$(elapsed)  $(wc -l <"$log") of at most $total packages compiled, last $(tail -n 1 "$log")"
	fi
done
wait $build || { tail -n 20 "$log" >&2; fail "the build failed (the log is $log)"; }
trap - EXIT INT TERM
mv "$binary.new" "$binary"
rm -f "$log"
say "built in $(elapsed), kept in $binary"

# The three versions used last are enough.
ls -dt "$cache"/*/ | tail -n +4 | xargs -r rm -rf
echo "$binary"
