# shellcheck shell=bash
# Completion of pikeygen, pikeycopy, pikeyfix and pikeycheck for bash: source it,
# or install it as /usr/share/bash-completion/completions/pikeycopy, and the same
# for the others. The options are asked of the programs themselves.

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
		# The hosts of ssh_config, where a target goes; else files.
		local hosts=
		if [[ ${1##*/} != pikeygen && -r ~/.ssh/config ]]; then
			hosts=$(awk 'tolower($1) == "host" { for (i = 2; i <= NF; i++) if ($i !~ /[*?!]/) print $i }' ~/.ssh/config)
		fi
		mapfile -t COMPREPLY < <(compgen -W "$hosts" -- "$current")
		[[ ${#COMPREPLY[@]} -gt 0 ]] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
		;;
	esac
}

complete -F _pi_key_tools pikeygen pikeycopy pikeyfix pikeycheck
