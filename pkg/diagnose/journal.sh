#!/bin/sh
# Shows what the SSH servers here have logged, and changes nothing: some lines
# behind the mark that say what it is, and then the lines themselves.
# The caller puts these variables before it:
#   mark   a random word
#   since  how many seconds to look back; empty for all that is kept
#   lines  how many lines of the journal to show, from the end; empty for all
#   most   how many bytes to show, from the end; empty for all
#   files  of syslogd, the oldest first, one a line
# shellcheck disable=SC2154 # these five
set -uf
LC_ALL=C
export LC_ALL
unset TZ
PATH=$PATH:/usr/bin:/bin
IFS='
'
say() { printf '%s %s\n' "$mark" "$*"; }
show() {
	say lines
	if [ -n "$most" ]; then
		tail -c "$most"
		echo
		say end
	else
		cat
	fi
}

echo
say "now $(date '+%s %z')"
if command -v journalctl >/dev/null; then
	fields=--output-fields=MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_COMM,_PID,_HOSTNAME
	said=$(journalctl --no-pager -n 1 "$fields" 2>&1 >/dev/null)
	case $said in
	*"not seeing messages from other users"* | *"insufficient permissions"*)
		say "closed the journal"
		;;
	*"No journal files were "*) ;;
	*)
		case $said in *option*) fields=-q ;; esac # before systemd 236
		say "from the journal"
		# Up to systemd 252 at least, -n with --since shows the first ones.
		[ -z "$since" ] || lines=
		# A pipe does not tell whether what writes into it came to its end.
		exec 4>&1
		status=$({
			{
				journalctl -q --no-pager -o json "$fields" ${lines:+"-n$lines"} ${since:+"--since=-${since}s"} \
					-t sshd -t sshd-session -t sshd-auth -t dropbear 2>/dev/null 3>&-
				echo $? >&3
			} | sed 's/"__CURSOR":"[^"]*",//;s/"_BOOT_ID":"[^"]*",//;s/"__MONOTONIC_TIMESTAMP":"[^"]*",//' | show >&4 3>&-
		} 3>&1)
		exit "$status"
		;;
	esac
fi
readable=
for file in $files; do
	if [ -f "$file" ] && [ -r "$file" ]; then
		say "from $file"
		readable=$readable$IFS$file
	elif [ -e "$file" ]; then
		say "closed $file"
	fi
done
if [ -z "$readable" ]; then
	say none
	exit
fi
# shellcheck disable=SC2086 # several
cat $readable | show
