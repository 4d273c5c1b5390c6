# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# For scripts/vm-kernel and scripts/sysroot: apt with lists, state and cache of its own in the folder
# $apt, for the architecture $arch, from the mirror that the machine's apt uses (DEBIAN_MIRROR and
# DEBIAN_SECURITY_MIRROR name others). Nothing is installed on this machine. Uses fail() of who sources it.

# shellcheck disable=SC2154 # $apt and $arch are set by who sources this
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The first repository of that label which the machine's apt knows; labels are in the lists, which may not be
# there yet.
mirror() {
	[ -n "$(targets)" ] || apt-get update -qq >&2 || true
	targets | sed -n "s/^$1|//p" | sed 1q
}

targets() {
	# shellcheck disable=SC2016 # names of apt's
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages'
}

# sources SUITE...: one-line entries. X-security is another archive.
sources() {
	local suite uri
	for suite in "$@"; do
		case $suite in
		*-security) uri=${DEBIAN_SECURITY_MIRROR:-$(mirror Debian-Security)} ;;
		*) uri=${DEBIAN_MIRROR:-$(mirror Debian)} ;;
		esac
		[ -n "$uri" ] || fail "no archive for $suite: run apt-get update, or set" \
			'DEBIAN_MIRROR and DEBIAN_SECURITY_MIRROR'
		echo "deb [signed-by=$keyring] $uri $suite main"
	done
}

# own TOOL ...: apt-get or apt-cache.
own() {
	"$1" -qq -o Dir::State="$apt/state" -o Dir::State::status=/dev/null \
		-o Dir::Cache="$apt/cache" -o Dir::Etc::sourcelist="$apt/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Acquire::Languages=none \
		-o APT::Sandbox::User= "${@:2}"
}

# own_update SUITE...
own_update() {
	mkdir -p "$apt"/{state/lists/partial,cache/archives/partial}
	sources "$@" >"$apt/sources.list"
	own apt-get update >&2 || fail "${apt##*/}: apt-get update failed"
}
