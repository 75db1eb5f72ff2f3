#!/bin/sh
# Adds public keys to authorized_keys: the complete old or the complete new file
# at every moment, and "done" only when it is on the disk and has been read back.
# The caller puts three variables before it:
#   lines  one a line: the key's blob, a blank, the line to add
#   force  not empty: add them although a line holds the blob
#   dry    not empty: change nothing
#   mark   starts every line of the answer, since start-up files may print too
# shellcheck disable=SC2154 # these four
set -uf
LC_ALL=C
export LC_ALL
umask 077
newline='
'
say() {
	printf '%s' "$mark"
	printf ' %s' "$@"
	printf '\n'
}
fail() {
	say fail "$@"
	exit 1
}

home=${HOME:-}
[ -d "$home" ] || fail home-missing "${home:-HOME is not set}"
dir=$home/.ssh
file=$dir/authorized_keys
# A link is the user's own arrangement: written at its target.
hops=0
while [ -L "$file" ]; do
	hops=$((hops + 1))
	[ "$hops" -le 8 ] || fail keys-symlink "$file"
	link=$(readlink "$file") || fail keys-symlink "$file"
	case $link in
	/*) file=$link ;;
	*) file=${file%/*}/$link ;;
	esac
	dir=${file%/*}
done
say file "$file"
if [ -e "$file" ]; then
	[ -f "$file" ] || fail keys-not-a-file "$file"
	# An unreadable file must not be taken for an empty one.
	[ -r "$file" ] || fail keys-unreadable "$file"
fi

# Without -a, GNU grep takes a file with a NUL in it for no text; others need no -a.
text=-a
grep -a -q x </dev/null 2>/dev/null
[ $? -le 1 ] || text=

# Old BusyBox and BSD know only sync without a file.
flush() {
	if sync --help 2>&1 | grep -q FILE; then
		sync "$1" || fail write-failed "$1"
	else
		sync
	fi
}

put() {
	add=
	IFS=$newline
	for line in $lines; do
		blob=${line%% *}
		line=${line#* }
		if [ -e "$file" ] && [ -z "$force" ]; then
			found=$(grep $text -n -F -e "$blob" "$file" || [ $? -eq 1 ]) || fail keys-unreadable "$file"
			if [ -n "$found" ]; then
				for have in $found; do
					say have "$blob" "$have"
				done
				continue
			fi
		fi
		case $newline$add in
		*" $blob"*) continue ;; # the same key twice in one call
		esac
		add=$add$line$newline
		say add "$blob"
	done
	if [ -z "$add" ] || [ -n "$dry" ]; then
		say end
		exit 0
	fi

	tmp=$dir/.authorized_keys.$$
	trap 'rm -f "$tmp"' EXIT
	trap 'exit 1' HUP INT TERM
	(set -C && : >"$tmp") || fail write-failed "$tmp"
	old=0
	if [ -e "$file" ]; then
		old=$(wc -c <"$file") || fail keys-unreadable "$file"
		cp -p "$file" "$tmp" || fail write-failed "$tmp"
		if [ "$old" -gt 0 ] && [ "$(tail -c 1 "$tmp" | wc -l)" -eq 0 ]; then
			printf '\n' >>"$tmp" || fail write-failed "$tmp"
		fi
	fi
	printf '%s' "$add" >>"$tmp" || fail write-failed "$tmp"
	flush "$tmp"
	# Somebody who takes no turns may have written in between.
	if [ -e "$file" ] && [ "$(wc -c <"$file")" -ne "$old" ]; then
		fail busy "$file"
	fi
	mv -f "$tmp" "$file" || fail write-failed "$file"
	flush "$dir"
	for line in $add; do
		grep $text -q -x -F -e "$line" "$file" || fail write-failed "$file"
	done
	say end
	exit 0
}

if [ ! -d "$dir" ]; then
	if [ -n "$dry" ]; then
		put
	fi
	mkdir "$dir" || fail write-failed "$dir"
	flush "$home"
fi
# Writers take turns. The kernel gives the lock back whatever kills us.
if command -v flock >/dev/null; then
	# shellcheck disable=SC2094 # the folder is opened, not read
	(
		flock -w 20 9 || fail busy "$dir"
		put
	) 9<"$dir"
else
	lock=$dir/.authorized_keys.lock
	tries=0
	until mkdir "$lock" 2>/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -le 20 ] || fail busy "$lock"
		sleep 1
	done
	(put)
	status=$?
	rmdir "$lock"
	exit "$status"
fi
