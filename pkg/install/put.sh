#!/bin/sh
# Changes an authorized_keys file: the complete old or the complete new one at
# every moment, and "done" only when it is on the disk and has been read back.
# Owner, mode, ACL and SELinux label stay. It goes by these variables, which
# are set before all else:
#   path   the file, absolute or from home; empty: where the server looks
#   lines  to add, one a line: the key's blob, a blank, the line
#   drop   to take out, one a line, upwards: number, blank, the line; \001 for NUL
#   with   what takes the place of one, one a line: its number, blank, the line
#   gone   how many bytes fewer that makes, each line with a newline
#   keep   not empty: keep a copy of what is there
#   force  not empty: add although a line holds the blob
#   dry    not empty: change nothing
#   piece  not empty: only print this piece of the file, counted from 0,
#          of 1,000,000 bytes
#   mark   starts every line of the answer, since start-up files print too
# The answer is lines of: file PATH; add BLOB; have BLOB NUMBER:LINE; kept COPY;
# overlay, where what was written is on one; done.
# Or, in the end: fail CAUSE PATH, the file is as it was; unsure CAUSE PATH, the
# new one may be in its place, but that it is on the disk is not known.
# shellcheck disable=SC2154 # these
# shellcheck disable=SC2046,SC2086 # words are split on purpose; there is no globbing
# shellcheck disable=SC2015 # where these stand, the middle part cannot go wrong
# shellcheck disable=SC2016 # the comment of a key may look like an expansion
# shellcheck disable=SC3013,SC3067 # a test that has no -ef or no -O is heeded
set -uf
LC_ALL=C
export LC_ALL
umask 077
newline='
'
fields=' 	'
IFS=$fields$newline
unset CDPATH

say() {
	said=$mark
	for word; do
		said="$said $word"
	done
	printf '%s\n' "$said" || exit 1 # half an answer would be a lie
}
fail() {
	say "$failing" "$@"
	exit 1
}
failing=fail # until the new file may have the name: then unsure
# because gives a reason of our own, where the system has none.
because() { printf '%s\n' "$1" >&2; }

# look asks what the file is, and when it was written: to the nanosecond, where
# ls knows more than the minute. Only a file of which the system says that it
# does not exist is taken for one: an error never makes an empty file of it.
exact=--full-time
look() {
	if was=$(ls -ldin $exact "$file" 2>&1); then
		set -- $was
		was=$* # with single blanks
		kind=$2 links=$3 owner=$4 size=$6
		case $kind in
		-*) ;;
		*) fail keys-not-a-file "$file" ;;
		esac
		# Two eyes on it, for what comes to it from now on.
		[ -r "$file" ] && command exec 7<"$file" 8<"$file" || fail keys-unreadable "$file"
		return
	fi
	case $was in
	*': No such file or directory') was='' size=0 ;;
	*)
		if [ -n "$exact" ]; then
			exact=
			look
			return
		fi
		because "$was"
		fail keys-unreadable "$file"
		;;
	esac
}

# flush brings a file or a folder to the disk. An old sync takes no names and
# does everything; where it says so, or cannot do a folder, it is asked to.
flush() {
	said=$(sync "$1" 2>&1) && return
	case $said in
	*[Uu]sage:* | *operand* | *': Invalid argument') sync && return ;;
	esac
	because "$said"
	return 1
}

home=${HOME:-}
[ -d "$home" ] || fail home-missing "${home:-HOME}"
given=$path
case $path in
'')
	path=$home/.ssh/authorized_keys
	# OpenWrt's dropbear takes root's keys from there; Debian's does not.
	if [ -d /etc/dropbear ] && [ -e /etc/openwrt_release ] &&
		[ ! -x /usr/sbin/sshd ] && [ "$(id -u)" -eq 0 ]; then
		path=/etc/dropbear/authorized_keys
	fi
	;;
/*) ;;
\~/*) path=$home/${path#??} ;;
*) path=$home/$path ;;
esac

# Some sudo leave HOME as it was.
case $path in
"$home"/*)
	[ -O "$home/." ] 2>/dev/null || [ "$(id -u)" -ne 0 ] || {
		set -- $(ls -ldn "$home/.")
		[ "${3:-0}" = 0 ] || {
			because "it belongs to uid $3, and root must not write where another may move things: log in as the owner"
			fail wrong-owner "$home"
		}
	}
	;;
esac

# A link is the user's own arrangement: written at its target.
file=$path
hops=0
while [ -L "$file" ]; do
	hops=$((hops + 1))
	[ "$hops" -le 8 ] || fail keys-symlink "$file"
	link=$(readlink "$file") || fail keys-symlink "$file"
	case $link in
	/*) file=$link ;;
	*) file=${file%/*}/$link ;;
	esac
done
dir=${file%/*}
dir=${dir:-/}
case $file in
*"$newline"*)
	because "its path has a newline in it, and is not worked on"
	fail write-failed "${file%%"$newline"*}"
	;;
esac
say file "$file"
if [ -d "$dir" ] && [ ! -x "$dir" ]; then
	because "$dir: Permission denied"
	fail keys-unreadable "$dir"
fi

# out tells whether the folder is not below home.
out() {
	real=$(cd -P "$dir" && pwd -P) && top=$(cd -P "$home" && pwd -P) || fail keys-symlink "$path"
	case $real/ in
	"${top%/}"/*) return 1 ;;
	esac
}
# mine tells whether nobody else can change what we write: what is written to
# is ours, and to root, whom others might lead astray, all folders above too,
# and closed to others; the sticky bit is enough for all but the last.
mine() {
	me=$(id -u)
	on=$real/${file##*/}
	[ -e "$on" ] || on=$real
	[ "$me" -ne 0 ] || while [ "${on%/*}" != "$on" ]; do
		set -- $(ls -ldn "${on:-/}")
		[ "${3-}" = 0 ] || return 1
		case $1 in
		d????w???[tT]* | d???????w[tT]*) [ "$on" != "$real" ] || return ;;
		d????w* | d???????w*) return 1 ;;
		esac
		on=${on%/*}
	done
	[ "$me" -eq 0 ] || {
		set -- $(ls -ldn "$on")
		[ "${3-}" = "$me" ]
	}
}
if [ "$hops" -gt 0 ] || [ -L "$dir" ]; then
	if [ -d "$dir" ] && out && ! mine; then
		because "the link leads out of the home folder, to what another may change"
		fail keys-symlink "$path"
	fi
elif [ -n "$given" ] && [ -d "$dir" ] && out && [ "$(id -u)" -eq 0 ] && ! mine; then
	because "root must not write where another may move things: log in as the owner"
	fail wrong-owner "$dir"
fi

if [ -n "$piece" ]; then
	look
	if [ -n "$was" ]; then
		left=$((size - piece * 1000000))
		[ "$left" -le 1000000 ] || left=1000000
		[ "$left" -ge 0 ] || left=0
		say data "$left" "$was"
		dd if="$file" bs=1000000 skip="$piece" count=1 2>/dev/null || fail keys-unreadable "$file"
		printf '\n'
	fi
	say "done"
	exit 0
fi

# started sets $began: when a process began, which makes its number a name.
started() {
	began=
	if [ -r "/proc/$1/stat" ]; then
		{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || stat=
		set -- ${stat##*\) }
		began=${20-}
	else
		began=$(ps -o lstart= -p "$1" 2>/dev/null | tr ' ' -)
	fi
}

# pause waits for less than a second, each process for another while, and at
# first for less than a tenth.
pause() {
	tenths=$((($$ + waited) % 9 + 1))
	nap=0.$tenths
	[ "$waited" -gt 5 ] || nap=0.0$tenths tenths=1
	sleep "$nap" 2>/dev/null || { sleep 1 && tenths=10; }
	waited=$((waited + tenths))
}

# All writers, by sftp and on cards too, take turns by one folder, by the rules of
# pkg/hostfs/turn.go: whoever is alone in it has the turn. A shell is in it as a
# folder that names it, with its new file in that. Who died there is evicted, and
# need not be dead for certain: without its new file nobody can put that in place,
# or harm another's.
turn=$dir/.authorized_keys.turn
claim=

# others sets $there to those who are in the turn beside us, and $here to us.
others() {
	there=
	here=
	set +f
	for one in "$turn"/*; do
		if [ "$one" = "$claim" ]; then
			here=yes
		elif [ -e "$one" ]; then
			there="$there ${one##*/}"
		fi
	done
	set -f
}

# dead tells whether they were processes of this machine that are gone.
dead() {
	for one in $there; do
		pid=${one%%.*}
		since=${one#*.}
		[ "${since#*.}" = "$host" ] || return
		started "$pid"
		[ "$began" != "${since%%.*}" ] || { [ -z "$began" ] && ! kill -0 "$pid" 2>/dev/null; } || return
	done
}

# queue has shells wait for one another at a lock on the folder, which spares
# them to ask again and again. Where there is none, they do.
queue() {
	queued=yes
	command -v flock >/dev/null && [ -r "$dir" ] && command exec 9<"$dir" || return
	flock -w 10 9 2>/dev/null
}

# evict takes those out of the turn who are there.
evict() {
	for one in $there; do
		rm -rf "${turn:?}/$one" || return
	done
}

# tidy removes what killed ones have left here: their part of the turn; and what
# one by sftp had ready for it or had taken from a shell, when it can no longer
# be waiting.
tidy() {
	if [ -d "$turn" ]; then
		others
		! dead || evict
		rmdir "$turn" 2>/dev/null
	fi
	set +f
	for one in "$dir"/.authorized_keys.??????????????????????????; do
		case ${one##*.} in
		*[!A-Z2-7]*) continue ;;
		esac
		[ -z "$(find "$one" -prune -type d -mmin +2 2>/dev/null)" ] || {
			rm -f "$one"/?????????????????????????? "$one"/[0-9]*.*/new "$one"/[0-9]*.*/new.old
			rmdir "$one"/[0-9]*.* "$one"
		} 2>/dev/null
	done
	set -f
}

# take waits for the turn, with queue for less than 25 seconds. It returns 1 if
# that took any time.
take() {
	started $$
	claim=$turn/$$.$began.$host
	waited=0
	calm=0
	failed=0
	seen=
	while :; do
		others
		if [ -z "$there" ]; then
			if said=$(mkdir -p "$claim" 2>&1); then
				others
				[ -z "$here" ] || [ -n "$there" ] || break
				rmdir "$claim" "$turn" 2>/dev/null
			fi
			# Perhaps it was given back between two steps of mkdir.
			[ -n "$there" ] || [ "$((failed += 1))" -le 5 ] || {
				because "${said:-$turn cannot be listed}"
				fail write-failed "$turn"
			}
			[ -n "$there" ] || continue
		fi
		failed=0
		[ "$there" = "$seen" ] || calm=$waited
		seen=$there
		if dead || [ "$((waited - calm))" -ge 100 ]; then
			evict || fail write-failed "$turn"
			continue
		fi
		[ "$waited" -le 130 ] || fail busy "$turn"
		if [ -z "$queued" ]; then
			waited=$((waited + 1))
			queue && continue
		fi
		pause
	done
	[ "$waited" -eq 0 ]
}

tmp=
copy=
leave() {
	[ -n "$claim" ] || return
	[ "$failing" = unsure ] || discard
	[ ! -e "$tmp" ] && [ ! -e "$tmp.old" ] || rm -f "$tmp" "$tmp.old"
	# What a killed one had begun may have come to pass meanwhile.
	rmdir "$claim" "$turn" || tidy
} 2>/dev/null

# discard removes the copy of what is still there.
discard() {
	[ -z "$copy" ] || rm -f "$copy"
	copy=
}

# search tells whether a line holds a blob, and sets $found to those that do, with
# \001 for NUL, which a shell takes for nothing, and sshd for the end. Where none
# does, the eye with which it looks is at the end then.
search() {
	command exec 8<"$file" || fail keys-unreadable "$file"
	# Without -a, GNU's takes a file with a NUL for no text; others may not know it.
	text=-a
	grep -a -q -F -e "$blobs" <&8 2>/dev/null || {
		[ $? -gt 1 ] || return
		text=
		grep -q -F -e "$blobs" "$file" || {
			[ $? -eq 1 ] || fail keys-unreadable "$file"
			return 1
		}
	}
	found=$({ grep $text -n -F -e "$blobs" "$file" || echo none; } | tr '\000' '\001')
	case ${found##*"$newline"} in
	'' | none) fail busy "$file" ;; # or it cannot be read to its end
	esac
}

# browse finds lines in a small file, which a shell reads sooner than it starts
# grep and tail, although byte by byte. It returns 1 if it has not seen each byte,
# up to a last newline, since shells take a NUL for nothing.
browse() {
	[ "$size" -lt 2000 ] || return
	number=0
	left=$size
	while IFS= read -r line; do
		number=$((number + 1))
		left=$((left - ${#line} - 1))
		for blob in $blobs; do
			case $line in
			*"$blob"*) found=$found$number:$line$newline && break ;;
			esac
		done
	done <&8
	[ "$left" -eq 0 ] && whole=yes || { found= && return 1; }
}

# present finds which keys the file holds and which are to be added.
present() {
	IFS=$newline
	blobs=
	for line in $lines; do
		blobs=$blobs${blobs:+$newline}${line%% *}
	done
	found=
	whole=
	[ -z "$was" ] || [ -n "$force" ] || [ -z "$blobs" ] || browse || search
	add=
	added=
	for line in $lines; do
		blob=${line%% *}
		case $added in
		*" $blob "*) continue ;; # twice in one call
		esac
		case $found in
		*"$blob"*)
			for have in $found; do
				case $have in
				*"$blob"*) say have "$blob" "$have" ;;
				esac
			done
			;;
		*)
			add=$add${line#* }$newline
			added="$added $blob "
			say add "$blob"
			;;
		esac
	done
	for line in $drop; do
		number=${line%% *}
		if [ -z "$was" ] || [ "$(tail -n "+$number" "$file" | head -n 1 | tr '\000' '\001')" != "${line#* }" ]; then
			because "line $number has changed in the meantime"
			fail busy "$file"
		fi
	done
	IFS=$fields$newline
}

# ended tells whether the last byte of its input is a newline.
ended() { [ "$(
	tail -c 1
	printf x
)" = "${newline}x" ]; }

# without prints the file without the lines to drop, and with what takes their
# place.
without() {
	IFS=$newline
	from=1
	for line in $drop; do
		case $newline$with$newline in
		*"$newline$line$newline"*) continue ;; # it stays as it is
		esac
		number=${line%% *}
		[ "$number" -eq "$from" ] || tail -n "+$from" "$file" | head -n "$((number - from))"
		for other in $with; do
			[ "${other%% *}" != "$number" ] || printf '%s\n' "${other#* }"
		done
		from=$((number + 1))
	done
	tail -n "+$from" "$file"
}

# unwritten fails, or returns 1 where our turn was taken away and the new file
# with it.
unwritten() {
	[ ! -d "$claim" ] || fail write-failed "$1"
	return 1
}

# twin makes a copy of the old file, with all that it has but its time.
twin() {
	cp -p "$file" "$1" || unwritten "$1" || return
	case $kind in
	*+) # an ACL, which BusyBox's cp does not know
		getfacl -c "$file" 2>/dev/null | setfacl --set-file=- "$1"
		;;
	esac
	if [ -e /sys/fs/selinux/enforce ]; then
		chcon --reference="$file" "$1" || unwritten "$1" || return
	fi
}

# compose makes the new file. What the shell itself writes there a subshell
# does, so that no mishap in taking its output back lets our answer follow into
# the file. It returns 1 if our turn was taken away.
compose() {
	glue=
	if [ -n "$was" ]; then
		twin "$tmp" || return
		case $kind in
		-r-*) chmod u+w "$tmp" || unwritten "$tmp" || return ;; # only until it is written
		esac
		if [ -n "$drop" ]; then
			(without >"$tmp") || unwritten "$tmp" || return
		fi
		command exec 6<"$tmp" || unwritten "$tmp" || return
		# Whether anything is left is told by what ls said; test -s and wc
		# take a file of which they cannot learn the size for an empty one.
		if [ -n "$add" ] && [ "$size" -gt "$gone" ] && [ -z "$whole" ]; then
			ended <&6 || glue=$newline
		fi
	fi
	if ! (printf '%s' "$glue$add" >>"$tmp"); then
		# To the printf of dash every reason is an I/O error; cat tells it.
		printf '%s' "$glue$add" | cat >>"$tmp"
		unwritten "$tmp" || return
	fi
	[ -n "$was" ] || command exec 6<"$tmp" || unwritten "$tmp" || return
	case ${kind-} in
	-r-*) [ -z "$was" ] || chmod u-w "$tmp" || unwritten "$tmp" || return ;;
	esac
	flush "$tmp" || unwritten "$tmp" || return
}

# preserve keeps a copy of the old file under the first name that is free.
preserve() {
	[ -n "$keep" ] && [ -n "$was" ] || return 0
	twin "$tmp.old" || return
	flush "$tmp.old" || unwritten "$tmp.old" || return
	free=$file.old
	number=1
	while [ -e "$free" ] || [ -L "$free" ]; do
		number=$((number + 1))
		free=$file.old$number
	done
	mv "$tmp.old" "$free" && copy=$free && flush "$dir" || unwritten "$free" || return
	say kept "$copy"
}

# check wants the new file to be what it should, and the old one to be what it
# was: somebody who takes no turns may have written meanwhile. Then it returns 1.
check() {
	both=$(ls -ldin $exact "$tmp" ${was:+"$file"}) || unwritten "$tmp" || return
	again=
	IFS=$newline
	for line in $both; do
		case $line in
		*" $tmp") new=$line ;;
		*) again=$line ;;
		esac
	done
	IFS=$fields$newline
	set -- $again
	[ "$*" = "$was" ] || return
	set -- $new
	inode=$1
	more=$glue$add
	more=${#more} # bytes, in this locale
	base=$(($6 - more))
	expect=$((size - gone))
	if [ -n "$drop" ] && [ "$base" -eq "$((expect + 1))" ] && ! ended <"$file"; then
		expect=$base # the last line is gone, which had no newline
	fi
	if [ "$base" -ne "$expect" ]; then
		because "$tmp has $6 bytes, and $((expect + more)) were written"
		fail write-failed "$tmp"
	fi
	[ -z "$was" ] || [ "$4" = "$owner" ] || {
		because "it belongs to uid $owner, and only root can make another such file"
		fail wrong-owner "$file"
	}
	[ -z "$was" ] || [ "$2" = "$kind" ] || {
		because "mode or ACL of the file cannot be kept"
		fail write-failed "$file"
	}
}

# publish gives the new file the name.
publish() {
	failing=unsure
	if [ -z "$was" ] && ln "$tmp" "$file" 2>/dev/null; then
		# Unlike a renaming, that never takes the place of what somebody
		# else has just made.
		rm -f "$tmp"
	elif [ -z "$was" ] && [ -e "$file" ]; then
		return 1
	elif ! said=$(mv -f "$tmp" "$file" 2>&1); then
		set -- $(ls -ldin "$file" 2>/dev/null)
		if [ ! -e "$tmp" ] && [ "${1-}" != "$inode" ]; then
			return 1 # our turn was taken away
		fi
		[ ! -e "$tmp" ] || failing=fail
		because "$said"
		fail write-failed "$file"
	fi
	if [ -e /sys/fs/selinux/enforce ] && [ -z "$was" ] && command -v restorecon >/dev/null; then
		restorecon "$dir" "$file" || because "its SELinux label is not set"
	fi
	flush "$dir" || fail write-failed "$dir"
	# Who had opened the old file to append to it may have done so by now. Of NULs
	# alone, in which no key can be, read says nothing, and nobody is asked.
	[ -n "$was" ] || return 0
	if IFS= read -r late <&8 || [ -n "$late" ]; then
		case $kind in
		-r-*) chmod u+w "$file" || fail write-failed "$file" ;; # only until it is written
		esac
		tail -c "+$((size + 1))" <&7 >>"$file" && flush "$file" || fail write-failed "$file"
		case $kind in
		-r-*) chmod u-w "$file" || fail write-failed "$file" ;;
		esac
	fi
}

# readBack wants the added lines at the end, or, if others were quick to add
# theirs, anywhere.
readBack() {
	if [ -n "$drop" ]; then
		set -- $(ls -ldin "$file")
		[ "${1-}" = "$inode" ] || fail busy "$file"
	fi
	back=
	if [ "$file" -ef /dev/fd/6 ]; then # which is where they begin, if tail left it there
		while [ "${#back}" -lt 4000 ] && IFS= read -r line; do
			back=$back$line$newline
		done <&6
	fi 2>/dev/null
	[ "${back%"$glue$add"}" = "$back" ] && [ "$(tail -c "+$((base + 1))" "$file")" != "$glue${add%"$newline"}" ] || return 0
	IFS=$newline
	for line in $add; do
		grep -a -q -x -F -e "$line" "$file" 2>/dev/null || grep -q -x -F -e "$line" "$file" || fail write-failed "$file"
	done
	IFS=$fields$newline
}

if [ -n "$dry" ]; then
	look
	present
	say "done"
	exit 0
fi
trap leave EXIT
trap 'exit 1' HUP INT TERM PIPE
if [ ! -d "$dir" ]; then
	if [ "$dir" != "$home/.ssh" ]; then
		because "$dir: No such file or directory"
		[ "$hops" -eq 0 ] || fail keys-symlink "$path"
		fail write-failed "$dir"
	fi
	[ ! -e "$dir" ] || [ -d "$dir" ] || fail keys-not-a-file "$dir"
	mkdir "$dir" || [ -d "$dir" ] || fail write-failed "$dir"
	flush "$home" || fail write-failed "$home"
fi
if [ ! -w "$dir" ]; then
	set -- $(ls -ldn "$dir")
	if [ "${3-}" != "$(id -u)" ]; then
		because "it belongs to uid ${3-}, and may not be written"
		fail wrong-owner "$dir"
	fi
fi
{ read -r host </proc/sys/kernel/hostname; } 2>/dev/null || host=$(uname -n)
tidy
queued=
[ ! -d "$turn" ] || queue
tries=0
while :; do
	look
	present
	if [ -z "$add$drop" ]; then
		break
	fi
	linked=
	[ -z "$was" ] || [ "$links" -eq 1 ] || linked=yes
	# Whoever makes the file gives it a second name for a moment of their turn.
	if [ ! -d "${claim:-/-}" ] && { ! take || [ -n "$linked" ]; }; then
		say file "$file" # and look again
		continue
	fi
	if [ -n "$linked" ]; then
		because "the file has other names, which would keep the old content"
		fail keys-linked "$file"
	fi
	tmp=$claim/new
	if compose && check && preserve && publish; then
		readBack
		break
	fi
	rm -f "$tmp"
	discard
	failing=fail
	tries=$((tries + 1))
	[ "$tries" -lt 5 ] || fail busy "$file"
	say file "$file"
done
if [ -n "$add$drop" ] && { [ -d /sys/module/overlay ] || [ ! -d /sys/module ]; } &&
	[ "$(stat -f -c %t "$dir" 2>/dev/null)" = 794c7630 ]; then
	say overlay # statfs(2) OVERLAYFS_SUPER_MAGIC
fi
say "done"
