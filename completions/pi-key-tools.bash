# shellcheck shell=bash
# Completion of pikeygen, pikeycopy, pikeyfix and pikeycheck for bash: source it,
# or install it as /usr/share/bash-completion/completions/pikeycopy, and the same
# for the others. The options are asked of the programs themselves.

# _pi_key_tools_config FILE FOLDER: adds FILE, and all that it includes, to the array
# files. What is no regular file, such as a pipe, is left out.
_pi_key_tools_config() {
	local include file
	[[ -f $1 && -r $1 && " ${files[*]} " != *" $1 "* && ${#files[@]} -lt 100 ]] || return 0
	files+=("$1")
	while read -r include; do
		case $include in
		\~/*) include=$HOME${include#\~} ;;
		/*) ;;
		*) include=$2/$include ;;
		esac
		while read -r file; do
			_pi_key_tools_config "$file" "$2"
		done < <(compgen -G "$include")
	done < <(awk '{ sub(/=/, " "); gsub(/"/, "") } tolower($1) == "include" { for (i = 2; i <= NF && $i !~ /^#/; i++) print $i }' "$1")
}

# _pi_key_tools_hosts START: the names that begin so, of ssh_config and known_hosts.
# Hashed ones cannot be told, and what the shell would expand is left out.
_pi_key_tools_hosts() {
	local files=() known=() file i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-F | --config) file=${COMP_WORDS[i + 1]/#\~\//$HOME/} ;;
		esac
	done
	if [[ -n $file ]]; then
		[[ $file == /* ]] || file=./$file
		_pi_key_tools_config "$file" ~/.ssh
	else
		_pi_key_tools_config ~/.ssh/config ~/.ssh
		_pi_key_tools_config /etc/ssh/ssh_config /etc/ssh
	fi
	for file in ~/.ssh/known_hosts ~/.ssh/known_hosts2 /etc/ssh/ssh_known_hosts; do
		[[ -f $file && -r $file ]] && known+=("$file")
	done
	start=$1 awk '
	function offer(name) {
		if (index(name, ENVIRON["start"]) == 1 && name !~ /^-|[][*?!$`"\047\\(){}<>;&|~#^,\/]/ && !seen[name]++) print name
	}
	known && /^[^#@|]/ && NF > 2 {
		n = split($1, names, ",")
		for (i = 1; i <= n; i++) if (names[i] !~ /:.*:/) { # no IPv6 address
			gsub(/[][]/, "", names[i])
			offer(names[i])
		}
	}
	!known { sub(/=/, " "); gsub(/"/, "") }
	!known && tolower($1) == "host" { for (i = 2; i <= NF && $i !~ /^#/; i++) offer($i) }
	' /dev/null "${files[@]}" known=1 "${known[@]}"
}

_pi_key_tools() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	case ${1##*/}:$previous in # a letter that is another option elsewhere
	pikeygen:-[lp] | pikeycopy:-f) previous= ;;
	pikeygen:-s) previous=--sign ;;
	pikeygen:-a) previous=--rounds ;;
	esac
	case $previous in
	-F | --config | -f | --file | -i | --identity | --inside-key | --sign | --hosts | --log | --password-file | --passwords | --passphrase-file | --new-passphrase-file | --root | --boot | --undo)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	-t | --type)
		[[ ${1##*/} == pikeygen ]] || return
		mapfile -t COMPREPLY < <(compgen -W 'ed25519 rsa ecdsa' -- "$current")
		return
		;;
	--expires | --explain | --options | -o | --option | -p | --port | -l | --login | --life | -j | --jobs | --timeout | --wait | --host-key | -C | --comment | -b | --bits | --rounds | -I | --id | --principals | -V | --validity | -z | --serial | -O | --cert-option)
		return
		;;
	--format)
		mapfile -t COMPREPLY < <(compgen -W 'openssh rfc4716 pem pkcs8 authorized_keys cloud-init imager' -- "$current")
		return
		;;
	-u | --user)
		mapfile -t COMPREPLY < <(compgen -u -- "$current")
		return
		;;
	--server)
		mapfile -t COMPREPLY < <(compgen -W 'openssh debian dropbear all' -- "$current")
		return
		;;
	esac
	case $current in
	-*)
		local options
		options=$("$1" -h 2>/dev/null | sed -n 's/^ *\(-[A-Za-z]\), \(--[a-z-]*\).*/\1 \2/p; s/^ *\(--[a-z-]*\) .*/\1/p')
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
		;;
	*)
		# Hosts, where a target goes; else files. Readline cuts a word at the "@",
		# which is replaced with what follows it.
		local user=
		case $2$current in
		@*) user=@ current=${current#@} ;;
		*@*) user=${current%@*}@ current=${current##*@} ;;
		esac
		[[ ${1##*/} == pikeygen ]] || mapfile -t COMPREPLY < <(_pi_key_tools_hosts "$current")
		COMPREPLY=("${COMPREPLY[@]/#/"$user"}")
		[[ ${#COMPREPLY[@]} -eq 0 ]] || return 0
		compopt -o filenames 2>/dev/null # which quotes them too: a name may hold a command
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		;;
	esac
}

complete -F _pi_key_tools pikeygen pikeycopy pikeyfix pikeycheck
