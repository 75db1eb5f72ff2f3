#!/bin/sh
# Tells what decides on a login by key here, and changes nothing. Every line of
# the answer starts with the mark, since start-up files may print too.
# The caller puts these variables before it; what is empty is not looked for:
#   mark     a random word
#   account  not empty: who we are
#   came     not empty: how we came, and how the server was started
#   keys     the authorized_keys files to look for the keys in: names or
#            patterns, one a line
#   key      the keys, one a line: the type and the base64
#   files    of sshd's configuration: names or patterns, one a line
#   revoked  sshd's list of revoked keys
#   dump     options for sshd -T, when we are root
# shellcheck disable=SC2154 # these eight
set -uf
LC_ALL=C
export LC_ALL
unset TZ
PATH=$PATH:/usr/sbin:/sbin:/usr/bin:/bin
IFS='
'
say() { printf '%s %s\n' "$mark" "$*" | tr -d '\r'; }

# The text of a file, or of what a command prints, each line behind the mark.
text() {
	head -c 65536 | sed "s/^/$mark | /"
	echo
}

# A file, or why there is none to show. $1 is what we were asked for, $2 the file.
show() {
	if [ -f "$2" ] && [ -r "$2" ]; then
		say "file $2"
		text <"$2"
	elif [ -e "$2" ]; then
		say "unread $2"
	elif [ -d "${2%/*}" ] && [ ! -x "${2%/*}" ]; then
		say "unread $1"
	fi
}

if [ -n "$account" ]; then
	user=$(id -un)
	# Of two names of one uid, sshd knows the one that we came by.
	if [ "$(id -u "${LOGNAME:-}" 2>/dev/null)" = "$(id -u)" ]; then user=$LOGNAME; fi
	say "user $user"
	say "ids $(id -u) $(id -g) $(id -G)"
	say "groups $(id -Gn)"
	say "passwd $(getent passwd "$user" 2>/dev/null || grep "^$user:" /etc/passwd)"
	say "home $HOME"
	say "utc $(date -u +%Y%m%d%H%M%S)"
	say "local $(date +%Y%m%d%H%M%S)"
	say "password $(passwd -S "$user" 2>/dev/null </dev/null)"
	[ ! -e /etc/openwrt_release ] || say openwrt
	shell=$(getent passwd "$user" 2>/dev/null | cut -d: -f7)
	if [ -n "$shell" ] && [ ! -x "$shell" ]; then
		say "noshell $shell"
	fi
	if command -v getenforce >/dev/null; then
		say "selinux $(getenforce 2>/dev/null)"
	fi
fi

if [ -n "$came" ]; then
	say "connection ${SSH_CONNECTION:-}"
	# The server is among our parents, and shows how it was started.
	parent=$PPID
	hops=0
	while [ "${parent:-0}" -gt 1 ] && [ "$hops" -lt 10 ]; do
		hops=$((hops + 1))
		if [ -r "/proc/$parent/cmdline" ]; then
			say "parent $(tr '\000' ' ' <"/proc/$parent/cmdline")"
			parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$parent/status")
		else
			say "parent $(ps -o args= -p "$parent" 2>/dev/null)"
			parent=$(ps -o ppid= -p "$parent" 2>/dev/null | tr -d ' ')
		fi
	done
fi

# Without -a, GNU grep takes a file with a NUL in it for no text; others need no -a.
option=-a
grep -a -q x </dev/null 2>/dev/null
[ $? -le 1 ] || option=-n
blobs=$(printf '%s\n' "$key" | cut -d ' ' -f 2)
for pattern in $keys; do
	set +f
	# shellcheck disable=SC2086 # a pattern
	set -- $pattern
	set -f
	for file; do
		if [ ! -f "$file" ] || [ ! -r "$file" ]; then continue; fi
		if command -v getenforce >/dev/null; then
			# shellcheck disable=SC2012 # the label, not the name
			say "label $(ls -Zd "$file" 2>/dev/null | tr ' ' '\n' | grep ':.*:' | head -n 1) $file"
		fi
		say "lines $file"
		grep "$option" -n -F -e "$blobs" "$file" | text
	done
done

for pattern in $files; do
	say "pattern $pattern"
	dir=${pattern%/*}
	hidden=
	case $pattern in
	*[*?[]*) [ -r "$dir" ] || hidden=yes ;; # a name needs no list
	esac
	if [ -d "$dir" ] && { [ -n "$hidden" ] || [ ! -x "$dir" ]; }; then
		say "unread $pattern"
		continue
	fi
	set +f
	# shellcheck disable=SC2086 # a pattern
	set -- $pattern
	set -f
	for file; do
		show "$pattern" "$file"
	done
done

if [ -n "$revoked" ]; then
	say revoked
	if [ -r "$revoked" ] && [ "$(head -c 6 "$revoked" | tr -d '\000')" = SSHKRL ]; then
		for one in $key; do
			say "krl $(printf '%s\n' "$one" | ssh-keygen -Q -f "$revoked" /dev/stdin 2>&1 | tail -n 1)"
		done
	else
		show "$revoked" "$revoked"
	fi
fi

if [ -n "$dump" ] && [ "$(id -u)" -eq 0 ]; then
	IFS=' '
	say dump
	# shellcheck disable=SC2086 # options
	sshd -T $dump 2>/dev/null </dev/null | text
fi
say end
