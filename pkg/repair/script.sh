# look NAME: its type and mode, links if it is a file, owner and group.
look() {
	set -f
	# shellcheck disable=SC2046 # its words are what is wanted
	set -- $(LC_ALL=C ls "-ldn${held-}" "$1" 2>/dev/null)
	case ${1-} in
	'') echo nothing ;;
	-*) echo "${1%[+.@]} $2 $3:$4" ;;
	*) echo "${1%[+.@]} $3:$4" ;;
	esac
}
no() {
	printf '%s: %s\n' "$path" "$1, and is left as it is" >&2
	exit 1
}
# enter PATH: go to its folder, if that is reached through no link.
enter() {
	path=$1 name=./${1##*/}
	cd -P "${path%/*}/" 2>/dev/null || no 'cannot be reached'
	here=$(pwd -P && echo .)
	here=${here%??}
	[ "${here%/}" = "${path%/*}" ] || no 'is reached through a link by now'
	now=$(look "$name")
}
# hold COMMAND: for root, let the name be of the very thing that is there now, so
# that whoever may write the folder can show no link in its place to a command
# that follows it.
hold() {
	[ "$(id -u)" = 0 ] || return 0
	if [ -d "$name" ]; then
		cd -P "$name" 2>/dev/null || no 'is no longer a folder'
		name=.
	elif [ "$1" = chmod ] && [ -d /proc/self/fd ]; then
		exec 7<"$name" || exit
		held=L name=/proc/self/fd/7
	fi
}
# change PATH WAS WANTED COMMAND ...: run it on what is still what it was.
change() (
	enter "$1"
	[ "$now" != "$3" ] || exit 0
	[ "$now" = "$2" ] || no "is ($now), no longer ($2)"
	hold "$4"
	[ "$(look "$name")" = "$2" ] || no "is no longer ($2)"
	wanted=$3
	shift 3
	"$@" "$name" || exit
	[ "$(look "$name")" = "$wanted" ] || no 'does not keep what is set'
)
# move PATH WAS TO: give it another name in its folder, if that is free. An
# empty WAS is what was made just now.
move() (
	enter "$1"
	to=./${3##*/}
	if [ "$now" = nothing ] && [ -n "$2" ] && [ "$(look "$to")" = "$2" ]; then exit 0; fi
	[ "$now" = "${2:-$now}" ] || no "is ($now), no longer ($2)"
	[ "$(look "$to")" = nothing ] || no "cannot become $3, which is there"
	mv "$name" "$to"
)
# is PATH WAS: before something is made to take its place.
is() (
	enter "$1"
	[ "$now" = "$2" ] || no "is ($now), no longer ($2)"
)
# folder PATH MODE: make it.
folder() (
	enter "$1"
	mkdir -m "$2" "$name"
)
# copy PATH WAS TO MODE: copy the file to a new one.
copy() (
	enter "$1"
	[ "$now" = "$2" ] || no "is ($now), no longer ($2)"
	set -C
	umask 077
	cat "$name" >"$3" && chmod "$4" "$3"
)
# unmake PATH COPY: remove the copy of a file, if it is one.
unmake() (
	enter "$2"
	[ "$now" != nothing ] || exit 0
	cmp -s "$1" "$name" || no "is no longer what $1 is"
	rm -f "$name"
)
# empty PATH: remove the folder.
empty() (
	enter "$1"
	[ "$now" = nothing ] || rmdir "$name"
)
