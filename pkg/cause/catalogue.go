package cause

// The entries stand in the order and under the headings of pi-key-causes(7).
// A word stands here only if a program can say it.

// outcomes are what is well, or has been made well.
var outcomes = []Entry{
	{
		Word:     "login",
		Meaning:  "The server let us in by public key alone; whether it then runs commands is checked with --shell and --sftp.",
		Evidence: "A connection was authenticated by the publickey method with the key that the record names.",
		Example:  "pi@raspberrypi\tok\tlogin\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tED25519 /home/ann/.ssh/id_ed25519, OpenSSH_9.2p1 Debian-2+deb12u7",
	}, {
		Word:     "accepted",
		Meaning:  "The server would accept the key; the login was not proved, because the private half is not here.",
		Evidence: "The server answered that it would accept the public key (RFC 4252, section 7).",
		Example:  "pi@raspberrypi\tok\taccepted\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tthe server would accept it; its private half is not here",
	}, {
		Word:     "shell",
		Meaning:  "The account runs commands after a login with the key.",
		Evidence: "A POSIX shell on the server answered a test command.",
		Example:  "pi@raspberrypi\tok\tshell\t-\ta POSIX shell runs commands",
	}, {
		Word:     "sftp",
		Meaning:  "Files can be copied there with sftp and scp.",
		Evidence: "sftp was started there, and answered.",
		Example:  "pi@raspberrypi\tok\tsftp\t-\tsftp and scp work",
	}, {
		Word:     "key-added",
		Meaning:  "The key was missing from the account's authorized keys, and this run adds it.",
		Evidence: "The file was written, synced to disk, and read back.",
		Example:  "pi@raspberrypi\tdone\tkey-added\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\t/home/pi/.ssh/authorized_keys",
	}, {
		Word:     "key-present",
		Meaning:  "The key is already among the account's authorized keys; nothing is written.",
		Evidence: "The server accepted the key, or a valid line of the file holds it.",
		Example:  "pi@raspberrypi\tok\tkey-present\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\t/home/pi/.ssh/authorized_keys line 2",
	}, {
		Word:     "key-removed",
		Meaning:  "The key's entries are removed from the file; every other line is kept.",
		Evidence: "The file was written, synced to disk, and read back.",
		Example:  "pi@raspberrypi\tdone\tkey-removed\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\t/home/pi/.ssh/authorized_keys line 2",
	}, {
		Word:     "key-absent",
		Meaning:  "The key is not there, so there is nothing to remove.",
		Evidence: "No entry of the file, or of the agent's list, holds the key.",
		Example:  "pi@raspberrypi\tok\tkey-absent\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\t/home/pi/.ssh/authorized_keys",
	}, {
		Word:     "entry",
		Meaning:  "A line of authorized_keys that lets a key in.",
		Evidence: "The line was parsed by sshd's rules.",
		Example:  "pi@raspberrypi\tok\tentry\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\t/home/pi/.ssh/authorized_keys line 2: 256 ED25519 ann@laptop",
	}, {
		Word:     "entry-restricted",
		Meaning:  "A line of authorized_keys that lets a key in, subject to its options.",
		Evidence: "The line was parsed by sshd's rules; the detail shows the options.",
		Example:  "pi@raspberrypi\tok\tentry-restricted\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\t/home/pi/.ssh/authorized_keys line 2: 256 ED25519 ann@laptop, with from=\"192.168.1.0/24\",no-pty",
	}, {
		Word:     "key",
		Meaning:  "The key can be used.",
		Evidence: "The file was read: ssh would accept it as it is.",
		Example:  "-\tok\tkey\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\t256 ED25519 /home/ann/.ssh/id_ed25519",
	}, {
		Word:     "key-made",
		Meaning:  "There is no usable key pair, or its public half is missing, and this run would create it.",
		Evidence: "ssh's default key files, or the file that was named, were examined; a run that creates it prints the public key, not a record.",
		Example:  "-\ttodo\tkey-made\t/home/ann/.ssh/id_ed25519\ta new pair: ed25519",
	}, {
		Word:     "cert",
		Meaning:  "The certificate can be used, as far as this side can tell: only a login shows which authorities a server trusts, and for which users.",
		Evidence: "The certificate that ssh would offer was parsed, and compared with the clock of this machine.",
		Example:  "-\tok\tcert\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tED25519-CERT /home/ann/.ssh/id_ed25519-cert.pub, id ann for pi, valid from 2026-11-22T07:24:00 to 2027-02-20T07:25:31, signed by SHA256:sVvQQ3WDEQgpmnjT0DpJBbbbDwHNFTM8CQtDdHZ54MY",
	}, {
		Word:     "passphrase-set",
		Meaning:  "The private key is now encrypted with the new passphrase; the file holds the same key as before.",
		Evidence: "The old passphrase opened the file, which was then replaced as a whole.",
		Example:  "-\tdone\tpassphrase-set\t/home/ann/.ssh/id_ed25519\t24 rounds of bcrypt, where none was",
	}, {
		Word:     "passphrase-removed",
		Meaning:  "The private key is no longer encrypted, or never was.",
		Evidence: "The file itself shows whether it is encrypted; the old passphrase opened it.",
		Example:  "-\tdone\tpassphrase-removed\t/home/ann/.ssh/id_ed25519\tanybody who can read the file can log in with it",
	}, {
		Word:     "cert-made",
		Meaning:  "The key would be signed, and the certificate written next to it.",
		Evidence: "The authority's key and the key to be signed were examined; a run that signs prints the certificate, not a record.",
		Example:  "-\ttodo\tcert-made\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\t/home/ann/.ssh/id_ed25519-cert.pub id \"ann\" serial 0 for pi, valid from 2026-11-22T07:24:00 to 2027-02-20T07:25:31",
	}, {
		Word:     "modes",
		Meaning:  "Owners and permissions are such that neither sshd nor ssh refuses the files.",
		Evidence: "Every path component that they check was examined.",
		Example:  "pi@raspberrypi\tok\tmodes\t/home/pi\tnothing in its files that OpenSSH of Debian would refuse",
	}, {
		Word:     "log",
		Meaning:  "The server's log shows no refusal.",
		Evidence: "It was read; servers do not log every refusal, and below LogLevel VERBOSE not that a key is missing from authorized_keys.",
		Example:  "-\tok\tlog\t/var/log/auth.log\tno refusal in 412 lines of SSH; servers do not log every refusal",
	}, {
		Word:     "agent",
		Meaning:  "The agent holds the key and signs with it.",
		Evidence: "The agent signed a random challenge, and the signature was verified.",
		Example:  "-\tok\tagent\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tED25519 ann@laptop signs",
	}, {
		Word:     "agent-key",
		Meaning:  "The agent lists the key.",
		Evidence: "The agent was asked for its list, not to sign.",
		Example:  "-\tok\tagent-key\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\t256 ED25519 ann@laptop",
	}, {
		Word:     "agent-added",
		Meaning:  "The agent now holds the key, and signs with it.",
		Evidence: "The agent lists it, and signed a random challenge, unless each use has to be confirmed.",
		Example:  "-\tdone\tagent-added\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tED25519 /home/ann/.ssh/id_ed25519, for 8h0m0s",
	}, {
		Word:     "agent-removed",
		Meaning:  "The agent held the key and has removed it.",
		Evidence: "The agent said so, and no longer lists it.",
		Example:  "-\tdone\tagent-removed\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tED25519 ann@laptop",
	}, {
		Word:     "agent-locked",
		Meaning:  "The agent neither lists nor uses any key until it is unlocked.",
		Evidence: "The agent said so, and lists none.",
		Example:  "-\tdone\tagent-locked\t/run/user/1000/openssh_agent\tit lists and uses no key until pikeycheck -X",
	}, {
		Word:     "agent-unlocked",
		Meaning:  "The agent uses its keys again.",
		Evidence: "The agent accepted the password.",
		Example:  "-\tdone\tagent-unlocked\t/run/user/1000/openssh_agent\tit lists and uses its keys again",
	}, {
		Word:     "config",
		Meaning:  "The ssh configuration file exists and can be read.",
		Evidence: "The files that ssh would read were parsed by its rules.",
		Example:  "-\tok\tconfig\t/home/ann/.ssh/config\tssh reads it",
	},
}

// theRun is what ends the work on a target from this side, whatever the
// target is like.
var theRun = []Entry{
	{
		Word:     "target-invalid",
		Meaning:  "A line of the host list is not a target.",
		Evidence: "It could be mistaken for an option or a known_hosts pattern, or it contains bytes that no host name has.",
		Example:  "-oProxyCommand…\tfail\ttarget-invalid\tline 4\tstarts with '-', as an option does",
		Cure:     "Write [user@]host[:port], [user@][IPv6]:port, ssh://[user@]host[:port], or a Host alias of ssh_config(5).",
	}, {
		Word:     "interrupted",
		Meaning:  "The run was interrupted before the work on the target was finished, or the target's record was lost.",
		Evidence: "SIGINT, SIGTERM or SIGHUP was received; or, in a record from parallel-controllers, none of the machines that share the list reported how the target ended.",
		Example:  "pi@raspberrypi\tfail\tinterrupted\t-\tlast step: key exchange",
		Cure:     "Run the command again: what is already done is recognized, and left as it is.",
	}, {
		Word:     "write-failed",
		Meaning:  "A file could not be written; the old content is still there, unless the detail says that this is not known.",
		Evidence: "A step of the write failed; the detail holds the error.",
		Example:  "pi@raspberrypi\tfail\twrite-failed\t/home/pi/.ssh/.authorized_keys.turn\tauthorized_keys is unchanged: mkdir: cannot create directory '/home/pi/.ssh/.authorized_keys.turn': Input/output error",
		Cure:     "Fix what the error names, and run the command again.",
	}, {
		Word:     "too-slow",
		Meaning:  "The time allowed by --timeout ran out before the work on the target was finished.",
		Evidence: "The detail names the step that was under way.",
		Example:  "pi@raspberrypi\tfail\ttoo-slow\t-\tnot finished in the time for this target; last step: version exchange",
		Cure:     "Use a longer --timeout; if a server answers, but never in time, look at it on its console.",
	},
}

// thisSide is what is wrong on the machine that logs in.
var thisSide = []Entry{
	{
		Word:     "key-missing",
		Meaning:  "There is no key to offer.",
		Evidence: "None of the files that ssh would try exists, and no agent holds a key; or a file has only the public half of a pair.",
		Example:  "-\tfail\tkey-missing\t/home/ann/.ssh\tnone of ssh's key files exists",
		Cure:     "Make one with pikeygen.",
	}, {
		Word:     "key-not-offered",
		Meaning:  "The key exists, but ssh would not offer it to this target.",
		Evidence: "Its file is not among the IdentityFile names for the target, or IdentitiesOnly holds back the agent's key.",
		Example:  "-\tfail\tkey-not-offered\t/home/ann/.ssh/pi\tssh does not look for a key of this name by itself",
		Cure:     "Name the file: -o IdentityFile=FILE, or IdentityFile FILE in a Host block of ~/.ssh/config.",
	}, {
		Word:     "key-pair-mismatch",
		Meaning:  "The .pub file belongs to a different private key, so ssh offers a key that it cannot sign with.",
		Evidence: "The public half inside the private key file differs from the one next to it.",
		Example:  "-\tfail\tkey-pair-mismatch\t/home/ann/.ssh/id_ed25519.pub\tit holds SHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c, but the private half is SHA256:PjXWciqFl+7dAUgkEKZWPG8lioVIpFf1Ut818OFCEbk",
		Cure:     "Move the .pub file aside and rebuild it: pikeygen -y -f FILE.",
	}, {
		Word:     "key-mode",
		Meaning:  "The private key file is accessible by others, so ssh ignores it.",
		Evidence: "The file is ours, and its mode has a bit of 077 set.",
		Example:  "-\tfail\tkey-mode\t/home/ann/.ssh/id_ed25519\tmode 0644: users other than the owner have access",
		Cure:     "Run pikeyfix, or chmod go= FILE.",
	}, {
		Word:     "key-damaged",
		Meaning:  "The private key file is truncated, empty or altered, so ssh cannot read it.",
		Evidence: "The raw bytes were examined: lines that end in CR LF, no newline at the end, text before the first line, NUL bytes, or a missing end; or the key signed, and the signature does not verify with the public key.",
		Example:  "-\tfail\tkey-damaged\t/home/ann/.ssh/id_ed25519\tlines end in CR LF",
		Cure:     "Restore the file byte for byte from a copy, or make a new pair: pikeygen -f FILE.",
	}, {
		Word:     "key-format",
		Meaning:  "The file is in a format that ssh does not read as a private key.",
		Evidence: "It starts like a PuTTY, RFC 4716 or public key file, or its cipher is not one of OpenSSH's.",
		Example:  "-\tfail\tkey-format\t/home/ann/.ssh/id_ed25519\ta PuTTY .ppk file",
		Cure:     "Convert it; for PuTTY: puttygen FILE.ppk -O private-openssh-new -o FILE.",
	}, {
		Word:     "key-unreadable",
		Meaning:  "The private key file cannot be opened.",
		Evidence: "The system call failed, and the detail holds the error; or owner and mode were examined.",
		Example:  "-\tfail\tkey-unreadable\t/home/ann/.ssh/id_ed25519\tpermission denied",
		Cure:     "Run chmod u+r FILE, as pikeyfix does; if it belongs to another user, most often root, sudo chown USER FILE first.",
	}, {
		Word:     "key-encrypted",
		Meaning:  "The private key has a passphrase, no agent holds the key, and there is nobody to ask.",
		Evidence: "The header of the file names a cipher.",
		Example:  "pi@raspberrypi\tfail\tkey-encrypted\t/home/ann/.ssh/id_ed25519\tthe server would accept the key, but it has a passphrase, no agent holds it, and there is nobody to ask",
		Cure:     "Load it into an agent with ssh-add FILE, or use --passphrase-file.",
	}, {
		Word:     "key-weak",
		Meaning:  "Servers refuse this kind of key: it is DSA, or RSA with fewer than 2048 bits.",
		Evidence: "The public half shows its type and length.",
		Example:  "-\tfail\tkey-weak\t/home/ann/.ssh/id_rsa\tRSA with 1024 bits, fewer than 2048",
		Cure:     "Make a new one with pikeygen -t ed25519, and copy it with pikeycopy.",
	}, {
		Word:     "agent-absent",
		Meaning:  "No agent answers.",
		Evidence: "SSH_AUTH_SOCK is not set, or nothing listens on the socket that it names or answers in time.",
		Example:  "-\tfail\tagent-absent\t-\tno agent: SSH_AUTH_SOCK is not set",
		Cure:     `Start one in this shell with eval "$(ssh-agent -s)", then load the key with ssh-add.`,
	}, {
		Word:     "agent-empty",
		Meaning:  "An agent answers, but holds no keys.",
		Evidence: "The agent was asked for its list.",
		Example:  "-\tfail\tagent-empty\t/run/user/1000/openssh_agent\tthe agent holds no key",
		Cure:     "Load the key with ssh-add FILE.",
	}, {
		Word:     "agent-refused",
		Meaning:  "The agent does not do what it was asked to: most often it lists the key but refuses to sign with it.",
		Evidence: `It said no, or said yes and the key is as before; when asked to sign, older programs say "Agent admitted failure to sign using the key".`,
		Example:  "-\tfail\tagent-refused\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tED25519 ann@laptop: the agent holds the key and refuses to sign with it: agent: failed to sign challenge",
		Cure:     "Unlock the agent (ssh-add -X) or its keyring, confirm if it asks, touch the token, or load the key again: ssh-add -d FILE, then ssh-add FILE.",
	}, {
		Word:     "agent-restricted",
		Meaning:  "The agent holds the key for certain destinations only (ssh-add -h), and does not sign for others.",
		Evidence: "The agent lists the key, but not on a connection that is bound to this server or, in a check of this side, to one that does not exist.",
		Example:  "pi@raspberrypi\tfail\tagent-restricted\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tthe server would accept the key, but the agent holds it for other destinations only",
		Cure:     "Add the key again with this destination among the others: ssh-add -d FILE, then ssh-add -h HOST FILE.",
	}, {
		Word:     "config-elsewhere",
		Meaning:  "The ssh configuration rules out a login by key for this name.",
		Evidence: "PubkeyAuthentication, PreferredAuthentications or PubkeyAcceptedAlgorithms is set for the target; the detail names FILE:LINE where it is known.",
		Example:  "pi@raspberrypi\tfail\tconfig-elsewhere\t-\tlogin by key is disabled on this side: PubkeyAuthentication no, /home/ann/.ssh/config:1",
		Cure:     "Change that line, or override it with -o.",
	}, {
		Word:     "config-writable",
		Meaning:  "The ssh configuration file is writable by others, or not ours, so ssh does not start at all.",
		Evidence: `Its owner and mode were examined; ssh says "Bad owner or permissions".`,
		Example:  "-\tfail\tconfig-writable\t/home/ann/.ssh/config\tbad owner or permissions on /home/ann/.ssh/config: owner uid 1000, mode 0666; ssh wants it to be yours or root's, and chmod go-w",
		Cure:     "Run pikeyfix, or chmod go-w ~/.ssh/config.",
	}, {
		Word:     "config-bad",
		Meaning:  "The ssh configuration cannot be read, or has a line that ssh rejects, or a KnownHostsCommand that fails.",
		Evidence: "The file was parsed by the rules of ssh_config(5), ssh -G was asked, or owner and mode of a file that it includes were examined.",
		Example:  "pi@raspberrypi\tfail\tconfig-bad\t-\t/home/ann/.ssh/config:1: bad configuration option: identityfiel",
		Cure:     "Correct the line or the file that the detail names; pikeyfix repairs a file that cannot be read.",
	}, {
		Word:     "known-hosts-unreadable",
		Meaning:  "A known_hosts file cannot be read, so ssh trusts no server whose key it would look up there.",
		Evidence: `Its owner and mode were examined; ssh says "Host key verification failed".`,
		Example:  "-\ttodo\tknown-hosts-unreadable\t/home/ann/.ssh/known_hosts\towner uid 0 -> 1000",
		Cure:     "Run pikeyfix; if the file belongs to another user, most often root: sudo chown USER FILE.",
	},
}

// theNetwork is who answers, and how.
var theNetwork = []Entry{
	{
		Word:     "name-unknown",
		Meaning:  "No address was found for the host name.",
		Evidence: "Every way that this machine has to resolve names was tried.",
		Example:  "pi@rasberrypi\tfail\tname-unknown\t-\trasberrypi: no such host",
		Cure:     "Check the spelling, or use the address, which the router lists; a name that ends in .local needs avahi-daemon on the Pi, and both machines on the same network.",
	}, {
		Word:     "name-ambiguous",
		Meaning:  "Several machines answer to a .local name.",
		Evidence: "Multicast DNS was asked, and they gave different addresses.",
		Example:  "pikeycheck: pi@raspberrypi.local: name-ambiguous: 2 machines answer for raspberrypi.local: 192.168.1.7, 192.168.1.9; the first is used",
		Cure:     "Give each machine its own name, with raspi-config or hostnamectl, or use the address.",
	}, {
		Word:     "host-unreachable",
		Meaning:  "There is no route to the address, or no machine has it.",
		Evidence: "connect(2) failed with EHOSTUNREACH, ENETUNREACH or the like, or a jump host does not forward the connection.",
		Example:  "pi@192.168.1.7\tfail\thost-unreachable\t-\t192.168.1.7 port 22: connect: dial tcp 192.168.1.7:22: connect: no route to host",
		Cure:     "Check that the Pi has power, that its Wi-Fi or cable is up, and that both machines are on the same network.",
	}, {
		Word:     "timeout",
		Meaning:  "No answer came from the address, not even a refusal.",
		Evidence: "No connection was made within ConnectTimeout or --timeout, or nothing was received on it.",
		Example:  "pi@raspberrypi\tfail\ttimeout\t-\tno answer from raspberrypi port 22",
		Cure:     "Check that the Pi is on and in this network, and that no firewall drops packets to the port.",
	}, {
		Word:     "connection-refused",
		Meaning:  "The machine is up, but nothing listens on the port.",
		Evidence: "connect(2) failed with ECONNREFUSED.",
		Example:  "pi@raspberrypi\tfail\tconnection-refused\t-\tnothing is listening on raspberrypi port 22",
		Cure:     "SSH is off on a new Pi. Enable it with sudo raspi-config nonint do_ssh 0 on its console, with an empty file named ssh on the boot partition, or in the settings of Raspberry Pi Imager. The first boot takes minutes: wait for it with --wait 5m.",
	}, {
		Word:     "connection-dropped",
		Meaning:  "The connection was closed before the work was done.",
		Evidence: "It ended before or during the login, or while a command ran; the detail shows what the server had said by then.",
		Example:  "pi@raspberrypi\tfail\tconnection-dropped\t-\tclosed before the server said anything",
		Cure:     "Wait a minute and try again. If that does not help, look at journalctl -u ssh on the console: too many connections (MaxStartups), fail2ban, hosts.deny, or no host keys (sudo ssh-keygen -A).",
	}, {
		Word:     "penalised",
		Meaning:  "The server shuts this address out for a while, because earlier connections ended without a login.",
		Evidence: `Instead of its version it said "Not allowed at this time" (PerSourcePenalties, OpenSSH 9.8 and later).`,
		Example:  "pi@raspberrypi\tfail\tpenalised\t-\tthe server says: Not allowed at this time",
		Cure:     "Leave the server alone for ten minutes, then try once; valid keys are shut out too.",
	}, {
		Word:     "not-ssh",
		Meaning:  "What listens on the port does not speak SSH 2.",
		Evidence: "The first bytes are not an SSH version that we support.",
		Example:  "pi@raspberrypi:80\tfail\tnot-ssh\t-\tit says: HTTP/1.1 400 Bad Request",
		Cure:     "Give the right port with -p.",
	}, {
		Word:     "no-common-algorithm",
		Meaning:  "Client and server have no algorithm in common.",
		Evidence: "The key exchange failed, and the detail shows both lists; or the list in ssh_config has none that is supported here.",
		Example:  "pi@raspberrypi\tfail\tno-common-algorithm\t-\tssh: no common algorithm for host key; we offered: [\"ecdsa-sha2-nistp256\"], peer offered: [\"ssh-ed25519\"]",
		Cure:     "Update the older side; or add an algorithm to the list in ssh_config or sshd_config that leaves it out, which the hint names.",
	}, {
		Word:     "host-key-unknown",
		Meaning:  "The server's host key is not in any known_hosts file, so nothing was sent.",
		Evidence: "The files that ssh reads were searched by name, address and port.",
		Example:  "pi@raspberrypi\tfail\thost-key-unknown\tSHA256:qY0jL/yyxtucrOJY086+yTeva6TaJyZKbvSvsQUmyCI\tit presents ED25519 SHA256:qY0jL/yyxtucrOJY086+yTeva6TaJyZKbvSvsQUmyCI, but no known_hosts file has raspberrypi",
		Cure:     "On the Pi's console run ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub and compare the fingerprint, then use --host-key FINGERPRINT; or trust the first contact with -o StrictHostKeyChecking=accept-new.",
	}, {
		Word:     "host-key-changed",
		Meaning:  "The server's host key is not the one that known_hosts has for it, so nothing was sent.",
		Evidence: "Both fingerprints and FILE:LINE are in the detail, unless the key changed during the connection.",
		Example:  "pi@raspberrypi\tfail\thost-key-changed\tSHA256:qY0jL/yyxtucrOJY086+yTeva6TaJyZKbvSvsQUmyCI\tit presents ED25519 SHA256:qY0jL/yyxtucrOJY086+yTeva6TaJyZKbvSvsQUmyCI, but the known key is ED25519 SHA256:XxfmB/pt1emvXvefzpaNGetgHxrGlPAy5QCIFkU4Dl0 (/home/ann/.ssh/known_hosts:4)",
		Cure:     "After a new image was written to the card this is expected: compare the fingerprint on the console, then use --host-key FINGERPRINT, which replaces the old key. Otherwise another machine may be answering in its place: do not log in.",
	}, {
		Word:     "host-key-revoked",
		Meaning:  "The server's host key is revoked, so nothing was sent.",
		Evidence: "It is marked @revoked in known_hosts, or listed in RevokedHostKeys; FILE:LINE is in the detail.",
		Example:  "pi@raspberrypi\tfail\thost-key-revoked\tSHA256:qY0jL/yyxtucrOJY086+yTeva6TaJyZKbvSvsQUmyCI\tit presents ED25519 SHA256:qY0jL/yyxtucrOJY086+yTeva6TaJyZKbvSvsQUmyCI, revoked by ED25519 SHA256:qY0jL/yyxtucrOJY086+yTeva6TaJyZKbvSvsQUmyCI (/home/ann/.ssh/known_hosts:4)",
		Cure:     "Give the server a new host key; this one has been declared untrustworthy.",
	}, {
		Word:     "host-key-unproven",
		Meaning:  "The server presents a host key but cannot sign with it, so nothing was sent.",
		Evidence: "The signature in the key exchange was not made with that key.",
		Example:  "pi@raspberrypi\tfail\thost-key-unproven\t-\tthe server presents a host key but cannot sign with it",
		Cure:     "Another machine that has only the public half may be answering: do not log in, and compare the fingerprint on the Pi's console. A failing card or memory can also cause this.",
	}, {
		Word:     "host-key-shared",
		Meaning:  "Several targets at different addresses have the same host key.",
		Evidence: "The host keys and addresses of this run were compared: it is one machine with several addresses, or a card that was copied.",
		Example:  "pikeycheck: pi@shed: host-key-shared: SHA256:qY0jL/yyxtucrOJY086+yTeva6TaJyZKbvSvsQUmyCI is the host key of pi@attic too, at 192.168.1.7 and not 192.168.1.9",
		Cure:     "If the card was copied, give the copy its own host keys there: sudo rm /etc/ssh/ssh_host_*_key* && sudo ssh-keygen -A && sudo systemctl restart ssh.",
	}, {
		Word:     "no-user-yet",
		Meaning:  "The Pi has no user yet, so nobody can log in.",
		Evidence: `Its banner says "SSH may not work until a valid user has been set up".`,
		Example:  "pi@raspberrypi\tfail\tno-user-yet\t-\tthe Pi has no user yet: Please note that SSH may not work until a valid user has been set up.",
		Cure:     "Create a user on its console, with Raspberry Pi Imager, or with a file userconf.txt on the boot partition that contains NAME:HASH, where HASH is made by openssl passwd -6.",
	}, {
		Word:     "booting",
		Meaning:  "The system is still booting, and lets in nobody but root.",
		Evidence: `Its banner says "System is booting up" (/run/nologin).`,
		Example:  "pi@raspberrypi\tfail\tbooting\t-\tthe server says: \"System is booting up. Unprivileged users are not permitted to log in yet.\"",
		Cure:     "Wait until it has started, then try again.",
	},
}

// theAccount is the configuration of the server, and the account.
var theAccount = []Entry{
	{
		Word:     "pubkey-disabled",
		Meaning:  "The server does not accept keys for this account.",
		Evidence: "Its list of methods lacks publickey; where its configuration could be read, the record names FILE:LINE.",
		Example:  "pi@raspberrypi\tfail\tpubkey-disabled\t/etc/ssh/sshd_config:38\tseen: the server accepts password, and PubkeyAuthentication is no",
		Cure:     "Set PubkeyAuthentication yes on the server; the first value that sshd reads wins, so look in /etc/ssh/sshd_config.d too, and check with sudo sshd -T.",
	}, {
		Word:     "password-disabled",
		Meaning:  "The server does not accept passwords for this account, so a key cannot be installed with one.",
		Evidence: "Its list of methods has neither password nor keyboard-interactive.",
		Example:  "pi@raspberrypi\tfail\tpassword-disabled\t-\tno key on this side lets us in, and the server accepts no password: there is no key file, and the agent holds none",
		Cure:     "Log in with a key that already works, or add the key on the console; Raspberry Pi Imager disables passwords when it is given a key.",
	}, {
		Word:     "password-wrong",
		Meaning:  "The server refused the password.",
		Evidence: "It was sent once, and the server rejected it.",
		Example:  "pi@raspberrypi\tfail\tpassword-wrong\t-\tthe server refused the password of pi@raspberrypi; it was tried once",
		Cure:     "Check the user name too: a new Raspberry Pi OS has no user pi and no default password.",
	}, {
		Word:     "password-unsent",
		Meaning:  "The password was not sent to this target.",
		Evidence: "Three targets in a row had refused the same password, and none had accepted it.",
		Example:  "pi@raspberrypi\tfail\tpassword-unsent\t-\tno key lets pi@raspberrypi in, and the password was not sent: it failed on three targets in a row",
		Cure:     "Check that it is the right one, and run the command again for the remaining targets.",
	}, {
		Word:     "password-needed",
		Meaning:  "The login needs a password, and there is nobody to ask for it.",
		Evidence: "No key was accepted, and there is no line for the target in --passwords, no --password-file, no askpass program and no terminal, or BatchMode is set.",
		Example:  "pi@raspberrypi\tfail\tpassword-needed\t-\tno key lets pi@raspberrypi in, so it takes the password, and there is nobody to ask for it: no file, no askpass program and no terminal",
		Cure:     "Use --password-file FILE, or --passwords FILE with a line for the target, or run the command on a terminal.",
	}, {
		Word:     "prompt-unknown",
		Meaning:  "The server asks for something other than the password alone, which is not answered.",
		Evidence: "Its prompt is in the detail: it asks for a code, if only after the password, for a new password or a passphrase, or would echo the answer.",
		Example:  "pi@raspberrypi\tfail\tprompt-unknown\t-\tno key lets pi@raspberrypi in, and the server asks: Verification code:",
		Cure:     "See what it wants with ssh on a terminal; install the key on the console, or with a key that already works.",
	}, {
		Word:     "password-expired",
		Meaning:  "The account's password has expired, and the server runs nothing until it is changed.",
		Evidence: "The server said so after the login, or asked for a new password after accepting the old one.",
		Example:  "pi@raspberrypi\tfail\tpassword-expired\t-\tauthorized_keys is unchanged: Password change required but no TTY available.",
		Cure:     "Log in with ssh on a terminal and change it, or run sudo passwd USER on the console.",
	}, {
		Word:     "no-shell",
		Meaning:  "The login works, but no POSIX shell answered the command.",
		Evidence: "The command ended without printing the expected markers; the detail shows what came instead.",
		Example:  "pi@raspberrypi\tfail\tno-shell\t-\tinstead of running the command, it said: This account is currently not available.",
		Cure:     "Check the login shell on the console with getent passwd USER, and set one with sudo chsh -s /bin/bash USER.",
	}, {
		Word:     "no-sftp",
		Meaning:  "The login works, but the server does not provide sftp for it.",
		Evidence: "It was requested, and was refused or ended.",
		Example:  "pi@raspberrypi\tfail\tno-sftp\t-\tstarting sftp there: the server does not start sftp: ssh: subsystem request failed",
		Cure:     "Use scp -O if a shell works, or install an sftp server there: the package openssh-sftp-server.",
	}, {
		Word:     "log-unreadable",
		Meaning:  "The server's log cannot be read, or not to its end.",
		Evidence: "There is neither a journal nor a known syslog file, or the account may not read it; or the command that shows it failed midway, or no line of it is understood.",
		Example:  "pi@raspberrypi\tfail\tlog-unreadable\t-\tmay not read the journal",
		Cure:     "Log in as root, or add the account to the group that may read it: sudo gpasswd -a USER adm.",
	}, {
		Word:     "more-needed",
		Meaning:  "The server accepts the key but requires another method as well.",
		Evidence: "The server reported partial success and named the methods that can continue (RFC 4252, section 5.1), or AuthenticationMethods says so, at the FILE:LINE that the record names.",
		Example:  "pi@raspberrypi\tfail\tmore-needed\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tthe key was accepted, but the server requires password too",
		Cure:     "Set AuthenticationMethods on the server to publickey or any, if the key alone is to be enough; start dropbear without -t.",
	}, {
		Word:     "key-type-refused",
		Meaning:  "The server does not accept keys of this type, or keys this short.",
		Evidence: "PubkeyAcceptedAlgorithms or RequiredRSASize in its configuration says so, at the FILE:LINE that the record names, or its version is older than the type.",
		Example:  "pi@raspberrypi\tfail\tkey-type-refused\t/etc/ssh/sshd_config:58\tseen: PubkeyAcceptedAlgorithms is rsa-sha2-512, without ssh-ed25519",
		Cure:     "Make another key with pikeygen -t ed25519 -f FILE and copy it, or change that line.",
	}, {
		Word:     "cert-expired",
		Meaning:  "The key's certificate has expired.",
		Evidence: "The certificate shows it, by the clock of this machine or of the server, or the server's log says so.",
		Example:  "pi@raspberrypi\tfail\tcert-expired\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tseen: the certificate /home/ann/.ssh/id_ed25519-cert.pub expired on 2026-11-21 17:46:44 UTC",
		Cure:     "Sign the key again with pikeygen -s; if the clock there is wrong, set it.",
	}, {
		Word:     "cert-not-yet",
		Meaning:  "The key's certificate is not valid yet.",
		Evidence: "The certificate shows it, by the clock of this machine or of the server, or the server's log says so; a Pi without a real-time clock starts in the past.",
		Example:  "pi@raspberrypi\tfail\tcert-not-yet\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tseen: by the clock of this machine the certificate /home/ann/.ssh/id_ed25519-cert.pub is valid from 2026-11-23 17:46:44 UTC",
		Cure:     `Set the clock there: timedatectl should say "System clock synchronized: yes".`,
	}, {
		Word:     "cert-principal",
		Meaning:  "The key's certificate does not name the user as a principal.",
		Evidence: "The certificate shows it, or the server's log says so; principals= or AuthorizedPrincipalsFile may ask for other names, and are checked there.",
		Example:  "pi@raspberrypi\tfail\tcert-principal\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tlikely: the certificate /home/ann/.ssh/id_ed25519-cert.pub is for ann, and we log in as pi; unless principals= or AuthorizedPrincipalsFile there says otherwise",
		Cure:     "Sign the key again with pikeygen -s and -n USER, or list one of its principals there.",
	}, {
		Word:     "cert-refused",
		Meaning:  "The server rejects the key's certificate, for a reason other than its validity period or its principals.",
		Evidence: "The certificate shows it, with what is there, or the server's log says so: it is a host certificate, has a critical option, is for another address, or is signed with SHA-1 or by an authority that neither a cert-authority line nor TrustedUserCAKeys holds; or the server is dropbear, which accepts no certificates.",
		Example:  "-\tfail\tcert-refused\t-\tNov 22 07:24:31: Certificate critical option \"verify-required\" is not supported",
		Cure:     "Sign the key again with pikeygen -s as the detail says; or make the server trust the certification authority: pikeycopy --ca -i CA.pub.",
	}, {
		Word:     "key-revoked",
		Meaning:  "The server considers the key revoked.",
		Evidence: "RevokedKeys in its configuration names a list that contains the key, or a file that does not exist or has a line that is no key, and then every key is refused.",
		Example:  "pi@raspberrypi\tfail\tkey-revoked\t/etc/ssh/revoked_keys\tseen: RevokedKeys names a file at /etc/ssh/sshd_config:58 that does not exist; sshd then refuses every key as revoked",
		Cure:     "Make another key: this one has been declared untrustworthy. If only the file is missing, create it there with sudo touch.",
	}, {
		Word:     "user-unknown",
		Meaning:  "The server has no such user.",
		Evidence: "The server's log says so; to a client, an unknown user looks like any other.",
		Example:  "-\tfail\tuser-unknown\tpi\tNov 22 07:24:31, user pi from 192.168.1.23: Invalid user pi from 192.168.1.23 port 51870",
		Cure:     "Correct the name: a new Raspberry Pi OS has no user pi, only the one that was chosen during setup.",
	}, {
		Word:     "user-not-allowed",
		Meaning:  "The server's configuration does not let the account in by any method.",
		Evidence: "AllowUsers, DenyUsers, AllowGroups or DenyGroups excludes it, at the FILE:LINE that the record names; over SSH, a new connection also accepted neither the key nor what let us in before.",
		Example:  "-\tfail\tuser-not-allowed\tpi\tNov 22 07:24:31, user pi from 192.168.1.23: User pi from 192.168.1.23 not allowed because not listed in AllowUsers",
		Cure:     "Change that line, then sudo systemctl reload ssh.",
	}, {
		Word:     "root-refused",
		Meaning:  "The server does not let root log in.",
		Evidence: "PermitRootLogin is no, or is forced-commands-only and no key has command=, at the FILE:LINE that the record names, and over SSH nothing lets us in any more; or sshd would accept root's key, but refuses its signature, or ends the connection once it has let root in.",
		Example:  "-\tfail\troot-refused\t192.168.1.23\tNov 22 07:24:31, from 192.168.1.23: ROOT LOGIN REFUSED FROM 192.168.1.23 port 51870",
		Cure:     "Log in as another user and use sudo, or set PermitRootLogin prohibit-password there; where it is forced-commands-only, a command= on the key's line does too.",
	}, {
		Word:     "account-locked",
		Meaning:  "The account's password is locked, and a server that does not use PAM then lets nobody in, not even by key.",
		Evidence: "UsePAM is not on, and shadow(5) has it so, or passwd -S shows L and nothing lets us in any more.",
		Example:  "-\tfail\taccount-locked\tpi\tNov 22 07:24:31, user pi: User pi not allowed because account is locked",
		Cure:     "As root there: usermod -p '*' USER, which keeps password logins disabled.",
	}, {
		Word:     "account-expired",
		Meaning:  "The account on the server has expired.",
		Evidence: "The server said so, or its log or shadow(5) does.",
		Example:  "pi@raspberrypi\tfail\taccount-expired\t-\tthe server says: Your account has expired; please contact your system administrator.",
		Cure:     "As root there: chage -E -1 USER.",
	}, {
		Word:     "pam-refused",
		Meaning:  "PAM on the server does not let the account in, although the key was right.",
		Evidence: "The server's log says so, after a line from the module that refused; or sshd hung up instead of answering the key or the password.",
		Example:  "-\tfail\tpam-refused\tpi\tNov 22 07:24:31, user pi from 192.168.1.23: pam_access(sshd:account): access denied for user `pi' from `192.168.1.23'",
		Cure:     "Check the account lines of /etc/pam.d/sshd there, and what their modules read.",
	}, {
		Word:     "shell-missing",
		Meaning:  "The account's login shell does not exist or is not executable, so sshd lets nobody in; in a ChrootDirectory without it, sshd runs nothing.",
		Evidence: "The path in passwd(5) was examined, or sshd said so instead of running a command.",
		Example:  "-\tfail\tshell-missing\t/usr/bin/fish\tNov 22 07:24:31, user pi: User pi not allowed because shell /usr/bin/fish does not exist",
		Cure:     "As root there: chsh -s /bin/sh USER.",
	}, {
		Word:     "session-failed",
		Meaning:  "The key was accepted, but the server could not start the session.",
		Evidence: "The server's log says so, after the login; or a command ended with status 254 before it ran, as where PAM opens no session; or the server ended the connection once it had let us in.",
		Example:  "-\tfail\tsession-failed\tpi\tNov 22 07:24:31, user pi: pam_limits(sshd:session): Too many logins (max 2) for pi",
		Cure:     "Fix there what the detail names: a PAM module, a limit, or the user's groups.",
	}, {
		Word:     "chroot-modes",
		Meaning:  "The ChrootDirectory of the session, or a directory above it, does not exist, is not owned by root, or is writable by others.",
		Evidence: "The server's log says so, after the login.",
		Example:  "-\tfail\tchroot-modes\t/srv/sftp\tNov 22 07:24:31: bad ownership or modes for chroot directory \"/srv/sftp\"",
		Cure:     "As root there: chown root and chmod go-w on that directory and on every one above it; if others must write to one of these, as to /tmp, choose another directory.",
	}, {
		Word:     "host-key-unusable",
		Meaning:  "The server cannot use its host keys, so it does not start, or runs without some of them.",
		Evidence: "The server's log says so.",
		Example:  "-\tfail\thost-key-unusable\t/etc/ssh/ssh_host_ed25519_key\tNov 22 07:24:31: Unable to load host key \"/etc/ssh/ssh_host_ed25519_key\": bad permissions",
		Cure:     "On its console: sudo ssh-keygen -A, sudo chmod 600 /etc/ssh/ssh_host_*_key, then sudo systemctl restart ssh.",
	}, {
		Word:     "server-config-bad",
		Meaning:  "The server's configuration has a line that sshd rejects.",
		Evidence: "The server's log says so.",
		Example:  "-\tfail\tserver-config-bad\t/etc/ssh/sshd_config:33\tNov 22 07:24:31: /etc/ssh/sshd_config: line 33: Bad configuration option: PubkeyAuthentification",
		Cure:     "On its console: sudo sshd -t names the line; correct it, then sudo systemctl restart ssh.",
	}, {
		Word:     "keys-command-failed",
		Meaning:  "The program that the server asks for keys cannot be run, or failed.",
		Evidence: "The server's log says so (AuthorizedKeysCommand, AuthorizedPrincipalsCommand).",
		Example:  "-\tfail\tkeys-command-failed\t/usr/local/bin/keys\tNov 22 07:24:31: AuthorizedKeysCommand /usr/local/bin/keys failed, status 127",
		Cure:     "Run the program there as AuthorizedKeysCommandUser, and fix what it complains about.",
	}, {
		Word:     "touch-missing",
		Meaning:  "The server rejected the signature of a security key.",
		Evidence: "The server's log says so, or it would accept the key, but refuses its signature: the key was not touched, or its PIN was not entered.",
		Example:  "-\tfail\ttouch-missing\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tNov 22 07:24:31, user pi from 192.168.1.23: public key sk-ssh-ed25519@openssh.com SHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c signature for pi from 192.168.1.23 port 51870 rejected: user presence (authenticator touch) requirement not met",
		Cure:     "Touch it when it blinks, or make a new key with ssh-keygen -O verify-required if the server asks for that.",
	}, {
		Word:     "too-many-tries",
		Meaning:  "The server closed the connection after too many attempts, before the right key was offered.",
		Evidence: "It disconnected during authentication (MaxAuthTries, 6 by default).",
		Example:  "pi@raspberrypi\tfail\ttoo-many-tries\t-\tthe server hung up after 6 keys: Too many authentication failures",
		Cure:     "Offer only the right key: -o IdentitiesOnly=yes -o IdentityFile=FILE; for a password pikeycopy and pikeyfix connect once more.",
	}, {
		Word:     "key-refused",
		Meaning:  "The server refused every key that was offered, and does not say why.",
		Evidence: "Everything that the protocol can show was ruled out, or the server's log gives no reason; from outside key-not-installed, home-writable, dir-writable, keys-writable, wrong-owner, keys-unreadable, keys-file-elsewhere, the options of a line and an account that may not log in look alike.",
		Example:  "pi@raspberrypi\tfail\tkey-refused\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tlikely: the key is in /home/pi/.ssh/authorized_keys, and its line, owners and modes are good; what remains: AuthorizedKeysFile, AllowUsers or the like in /etc/ssh/sshd_config (which pi may not read)",
		Cure:     "Install the key with pikeycopy, which looks for the cause if that does not help; pikeycheck --inside looks for it at once; or read journalctl -u ssh on the console.",
	}, {
		Word:     "command-forced",
		Meaning:  "The login works, but something else runs there instead of the command.",
		Evidence: "The answer to a command is not a shell's; command= in authorized_keys, force-command of a certificate, ForceCommand, an sftp-only server, or a shell start-up file that exits can cause this.",
		Example:  "pi@raspberrypi\tfail\tcommand-forced\t-\tinstead of running the command, it said: This service allows sftp connections only.",
		Cure:     "If that is not intended, remove command= from the key's line, ForceCommand from the server's configuration, or the exit from ~/.bashrc.",
	},
}

// farFiles are the files that decide, on the server.
var farFiles = []Entry{
	{
		Word:     "home-writable",
		Meaning:  "The home directory is writable by others, so sshd ignores the authorized keys in it.",
		Evidence: "Its mode was examined, or the server reported it.",
		Example:  "pi@raspberrypi\tfail\thome-writable\t/home/pi\tseen: mode 0777: group and others may write",
		Cure:     "Run pikeyfix, or chmod go-w ~ there.",
	}, {
		Word:     "dir-writable",
		Meaning:  "The directory of the authorized keys is writable by others, so sshd ignores them.",
		Evidence: "Its mode was examined, or the server reported it.",
		Example:  "pi@raspberrypi\tfail\tdir-writable\t/home/pi/.ssh\tseen: mode 0777: group and others may write",
		Cure:     "Run pikeyfix, or chmod go-w ~/.ssh there.",
	}, {
		Word:     "keys-writable",
		Meaning:  "The authorized_keys file is writable by others, so sshd ignores it.",
		Evidence: "Its mode was examined, or the server reported it.",
		Example:  "pi@raspberrypi\tfail\tkeys-writable\t/home/pi/.ssh/authorized_keys\tseen: mode 0666: group and others may write",
		Cure:     "Run pikeyfix, or chmod go-w ~/.ssh/authorized_keys there.",
	}, {
		Word:     "acl-writable",
		Meaning:  "An ACL makes home, the authorized keys or a directory between them writable by others, so sshd ignores the keys.",
		Evidence: "The ACL appears as the group's write permission, and was examined.",
		Example:  "pi@raspberrypi\tfail\tacl-writable\t/home/pi\tseen: mode 0775: the group may write; its ACL lets others write, which setfacl -b removes",
		Cure:     "Run pikeyfix, which removes that permission with chmod g-w; setfacl -b PATH removes the whole ACL.",
	}, {
		Word:     "parent-writable",
		Meaning:  "A directory on the way to the authorized keys is writable by others, so sshd ignores them.",
		Evidence: "The mode of each directory up to home was examined, or up to the root if the file is outside home.",
		Example:  "pi@raspberrypi\tfail\tparent-writable\t/srv/keys\tseen: mode 0777: group and others may write",
		Cure:     "Run pikeyfix, or chmod go-w on the directory that the record names.",
	}, {
		Word:     "wrong-owner",
		Meaning:  "Home, the authorized keys or a directory between them belongs to neither the user nor root, so sshd ignores the keys; or root would write in another user's home.",
		Evidence: "The owner of each path component was examined.",
		Example:  "pi@raspberrypi\tfail\twrong-owner\t/home/pi/.ssh\tseen: it belongs to uid 1001, neither to pi nor to root",
		Cure:     "As root there, run pikeyfix, or chown USER on the path that the record names.",
	}, {
		Word:     "keys-unreadable",
		Meaning:  "The user may not read the authorized keys, and sshd reads them as the user.",
		Evidence: "The file, or a directory on the way, belongs to another user or lacks the permission, by its mode or its ACL.",
		Example:  "pi@raspberrypi\tfail\tkeys-unreadable\t/home/pi/.ssh/authorized_keys\tseen: owner uid 0, mode 0600: pi may not read it",
		Cure:     "As root there: chown USER on the path that the record names; if it already belongs to the user, run pikeyfix.",
	}, {
		Word:     "keys-not-a-file",
		Meaning:  "What is named authorized_keys is not a regular file.",
		Evidence: "It is a directory, a FIFO or a device.",
		Example:  "pi@raspberrypi\tfail\tkeys-not-a-file\t/home/pi/.ssh/authorized_keys\tseen: it is a directory",
		Cure:     "Move it aside there, and install the key again with pikeycopy.",
	}, {
		Word:     "keys-misnamed",
		Meaning:  "The authorized keys are in a file whose name is almost right, which sshd does not read.",
		Evidence: "There is no authorized_keys, but there is a file such as authorised_keys or authorized_keys.pub.",
		Example:  "pi@raspberrypi\tfail\tkeys-misnamed\t/home/pi/.ssh/authorised_keys\tseen: the server looks for /home/pi/.ssh/authorized_keys",
		Cure:     "Run pikeyfix, or rename the file to authorized_keys.",
	}, {
		Word:     "keys-symlink",
		Meaning:  "authorized_keys, or its directory, is a symbolic link that does not lead to a file, or authorized_keys leads out of the home directory to something that another user owns or, where root writes, may change.",
		Evidence: "The links were followed: there were too many, one could not be read, there is nothing at their end, or another user owns or may change what is at their end.",
		Example:  "pi@raspberrypi\tfail\tkeys-symlink\t/home/pi/.ssh/authorized_keys\tauthorized_keys is unchanged",
		Cure:     "Replace the link by a file there, and install the key again with pikeycopy.",
	}, {
		Word:     "keys-linked",
		Meaning:  "The authorized_keys file has other hard links, which would keep the old content, so nothing was written.",
		Evidence: "Its link count is more than one.",
		Example:  "pi@raspberrypi\tfail\tkeys-linked\t/home/pi/.ssh/authorized_keys\tauthorized_keys is unchanged: the file has other names, which would keep the old content",
		Cure:     "Find the other names there with find / -xdev -samefile ~/.ssh/authorized_keys, and separate them: cp -p ~/.ssh/authorized_keys NEW, then mv NEW ~/.ssh/authorized_keys.",
	}, {
		Word:     "home-missing",
		Meaning:  "The account's home directory does not exist.",
		Evidence: "The path that the account names was looked up.",
		Example:  "pi@raspberrypi\tfail\thome-missing\t/home/pi\tseen: there is no such directory",
		Cure:     "Mount it, or create it on the console with sudo mkhomedir_helper USER.",
	}, {
		Word:     "home-encrypted",
		Meaning:  "The home directory is encrypted and not unlocked, so sshd cannot see the authorized keys in it.",
		Evidence: "What ecryptfs or systemd-homed leaves in its place was found.",
		Example:  "pi@raspberrypi\tfail\thome-encrypted\t/home/pi\tseen: it is encrypted, and locked until its owner logs in by password",
		Cure:     "Log in by password first, which unlocks it, or keep the keys outside home: AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u in sshd_config.",
	}, {
		Word:     "home-not-mounted",
		Meaning:  "The home directory is on a file system that is not mounted, so sshd does not see the authorized keys.",
		Evidence: "There are no authorized keys, fstab(5) lists home or a directory above it, and nothing is mounted there.",
		Example:  "pi@raspberrypi\tfail\thome-not-mounted\t/home\tseen: fstab(5) lists a file system for it, but none is mounted there",
		Cure:     "Mount it there: sudo mount PATH.",
	}, {
		Word:     "key-not-installed",
		Meaning:  "The key is not among the account's authorized keys.",
		Evidence: "Every valid line of the file was compared.",
		Example:  "pi@raspberrypi\tfail\tkey-not-installed\t/home/pi/.ssh/authorized_keys\tseen: no line of /home/pi/.ssh/authorized_keys or /home/pi/.ssh/authorized_keys2 holds the key",
		Cure:     "Install it with pikeycopy.",
	}, {
		Word:     "entry-dead",
		Meaning:  "The server ignores a line of authorized_keys.",
		Evidence: "The line was parsed by sshd's rules; the detail says what is wrong with it.",
		Example:  "pi@raspberrypi\tfail\tentry-dead\t/home/pi/.ssh/authorized_keys line 3\t/home/pi/.ssh/authorized_keys line 3: sshd ignores it: not a public key",
		Cure:     "Correct the line as the detail says, or remove it.",
	}, {
		Word:     "entry-encoding",
		Meaning:  "Some characters in authorized_keys are not what they look like.",
		Evidence: "The file was read byte by byte: a byte order mark, UTF-16, a no-break space, or lines that end with CR alone; CR before a newline is not a fault.",
		Example:  "pi@raspberrypi\tfail\tentry-encoding\t/home/pi/.ssh/authorized_keys:1\tseen: UTF-16: sshd reads none of it",
		Cure:     "Rewrite it with pikeyfix --rewrite, which keeps a copy.",
	}, {
		Word:     "entry-glued",
		Meaning:  "Two keys are on one line, and the server takes the second for the comment of the first.",
		Evidence: "A whole key with its type word follows another on the line, as happens when a file lacks its final newline.",
		Example:  "pi@raspberrypi\tfail\tentry-glued\t/home/pi/.ssh/authorized_keys:1\tseen: 2 keys on one line",
		Cure:     "Rewrite it with pikeyfix --rewrite, which keeps a copy; it leaves a line with options alone, since it cannot know which key they belong to.",
	}, {
		Word:     "entry-wrapped",
		Meaning:  "One key is spread over several lines.",
		Evidence: "Joined, the lines hold exactly one whole key.",
		Example:  "pi@raspberrypi\tfail\tentry-wrapped\t/home/pi/.ssh/authorized_keys:1\tseen: one key on 2 lines",
		Cure:     "Rewrite it with pikeyfix --rewrite, which keeps a copy.",
	}, {
		Word:     "entry-quoted",
		Meaning:  "An entry is surrounded by quotes, or by words of a shell command or an e-mail.",
		Evidence: "Without them the server would accept the line.",
		Example:  "pi@raspberrypi\tfail\tentry-quoted\t/home/pi/.ssh/authorized_keys:1\tseen: quotes, or words of a shell command or an e-mail, around the entry",
		Cure:     "Rewrite it with pikeyfix --rewrite, which keeps a copy.",
	}, {
		Word:     "entry-type-mismatch",
		Meaning:  "The word before the key is not its type, or is missing.",
		Evidence: "The key itself contains its type, inside its base64.",
		Example:  "pi@raspberrypi\tfail\tentry-type-mismatch\t/home/pi/.ssh/authorized_keys:1\tseen: the first word is not the key's type, which is ssh-ed25519",
		Cure:     "Rewrite it with pikeyfix --rewrite, which keeps a copy.",
	}, {
		Word:     "entry-format",
		Meaning:  "The key is in another program's format.",
		Evidence: "The first line of such a block was found: RFC 4716, which PuTTY and ssh.com write, or PEM.",
		Example:  "pi@raspberrypi\tfail\tentry-format\t/home/pi/.ssh/authorized_keys:1\tseen: a key in the format of RFC 4716",
		Cure:     "Rewrite RFC 4716 with pikeyfix --rewrite; for PEM, ssh-keygen -i -m PKCS8 -f FILE prints the line.",
	}, {
		Word:     "entry-nul",
		Meaning:  "authorized_keys contains NUL bytes, as a power cut leaves them.",
		Evidence: "The file was read byte by byte; the server reads a line up to its first NUL.",
		Example:  "pi@raspberrypi\tfail\tentry-nul\t/home/pi/.ssh/authorized_keys:1\tseen: 3 NUL bytes, as a power cut leaves them",
		Cure:     "Rewrite it with pikeyfix --rewrite, which keeps a copy; install missing keys again with pikeycopy.",
	}, {
		Word:     "entry-truncated",
		Meaning:  "The key on a line is damaged.",
		Evidence: "Its base64 is broken, or the key ends too early.",
		Example:  "pi@raspberrypi\tfail\tentry-truncated\t/home/pi/.ssh/authorized_keys:1\tseen: the key is truncated: is the line wrapped or cut off?",
		Cure:     "Install the key again with pikeycopy, and remove the line.",
	}, {
		Word:     "entry-options-bad",
		Meaning:  "The server does not recognize what precedes the key.",
		Evidence: "The line was parsed by sshd's rules; the detail names the option.",
		Example:  "pi@raspberrypi\tfail\tentry-options-bad\t/home/pi/.ssh/authorized_keys:1\tseen: an option that sshd does not know: \"no-such-option\"",
		Cure:     "Correct the options as sshd(8) describes them, or remove them.",
	}, {
		Word:     "entry-commented",
		Meaning:  "The file lets no key in, but one is commented out.",
		Evidence: "The line begins with #, and no other line is valid.",
		Example:  "pi@raspberrypi\tfail\tentry-commented\t/home/pi/.ssh/authorized_keys:1\tseen: the key is commented out, and no other line lets a key in",
		Cure:     "Remove the # if the key should log in.",
	}, {
		Word:     "entry-private-key",
		Meaning:  "There is a private key in authorized_keys.",
		Evidence: "The first line of such a file was found; nothing of it was kept or sent.",
		Example:  "pi@raspberrypi\tfail\tentry-private-key\t/home/pi/.ssh/authorized_keys:1\tlikely: a private key: anybody who has read the file can log in wherever it is trusted; unless it is another key",
		Cure:     "Remove it, make a new key pair with pikeygen, and remove the old public key everywhere: anybody who could read the file has the private key.",
	}, {
		Word:     "key-in-use",
		Meaning:  "The key to be removed is the one that this login was made with.",
		Evidence: "The server let us in with it.",
		Example:  "pi@raspberrypi\tfail\tkey-in-use\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\tthis login was made with it",
		Cure:     "Log in with another key or the password, or insist with -f.",
	}, {
		Word:     "key-last",
		Meaning:  "Without the key to be removed, no key would let anybody in.",
		Evidence: "No other line of the file is valid.",
		Example:  "pi@raspberrypi\tfail\tkey-last\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\t/home/pi/.ssh/authorized_keys would no longer let any key in",
		Cure:     "Install another key first, or insist with -f.",
	}, {
		Word:     "options-differ",
		Meaning:  "The key is there, but with options other than those requested.",
		Evidence: "The line was parsed by sshd's rules; the detail shows both.",
		Example:  "pi@raspberrypi\tfail\toptions-differ\tSHA256:lqzen1zTn2xkzQfM8+h0YVruvrinbr89x0uwpggzD8c\t/home/pi/.ssh/authorized_keys line 2; requested: restrict",
		Cure:     "Replace its lines with -f.",
	}, {
		Word:     "keys-file-elsewhere",
		Meaning:  "The server reads this account's authorized keys from another file, or from none.",
		Evidence: "AuthorizedKeysFile in its configuration names other files, at the FILE:LINE that the record names; or, where nothing does, the path is not the server's default.",
		Example:  "pi@raspberrypi\tfail\tkeys-file-elsewhere\t/etc/ssh/sshd_config:41\tseen: the server reads /etc/ssh/keys.d/pi (AuthorizedKeysFile /etc/ssh/keys.d/%u at /etc/ssh/sshd_config:41), but the key was put in /home/pi/.ssh/authorized_keys",
		Cure:     "Put the key into that file with pikeycopy -t PATH, or change that line; sudo sshd -T -C user=USER on the console shows what applies in the end.",
	}, {
		Word:     "keys-command",
		Meaning:  "The server does not read an authorized_keys file, but asks a program for the keys.",
		Evidence: "AuthorizedKeysFile is none and AuthorizedKeysCommand is set, at the FILE:LINE that the record names.",
		Example:  "pi@raspberrypi\tfail\tkeys-command\t/etc/ssh/sshd_config:45\tseen: AuthorizedKeysFile is none (/etc/ssh/sshd_config:41), and the keys come from AuthorizedKeysCommand /usr/local/bin/keys",
		Cure:     "Add the key where that program looks it up, such as a directory service.",
	}, {
		Word:     "entry-from",
		Meaning:  "The key's line has a from= that does not match our address.",
		Evidence: "The line was read, and the session shows which address the server sees.",
		Example:  "pi@raspberrypi\tfail\tentry-from\t/home/pi/.ssh/authorized_keys:1\tseen: from=\"10.0.0.0/8\", and the server sees us as 192.168.1.23",
		Cure:     `Log in from an address that from= allows, or add a line for this one: pikeycopy -f --options 'from="ADDRESS"'.`,
	}, {
		Word:     "entry-expired",
		Meaning:  "The expiry-time= on the key's line has passed.",
		Evidence: "The line was read and compared with the clock there, which the detail shows.",
		Example:  "pi@raspberrypi\tfail\tentry-expired\t/home/pi/.ssh/authorized_keys:1\tseen: expiry-time=\"20260101\" has passed: the clock there says 20261122174700",
		Cure:     "Add a line that is valid longer with pikeycopy -f --expires 90d; or set the clock there, which may be wrong after a time without power.",
	}, {
		Word:     "entry-refused",
		Meaning:  "The options on the key's line do not let it in here and now.",
		Evidence: "The server's log says so, and no more; its message may name FILE:LINE.",
		Example:  "-\tfail\tentry-refused\t/home/pi/.ssh/authorized_keys:3\tNov 22 07:24:31: Refused by key options at /home/pi/.ssh/authorized_keys:3",
		Cure:     "Check from= and expiry-time= on that line, and the clock there.",
	}, {
		Word:     "dropbear-limits",
		Meaning:  "The server is dropbear, which cannot read the key's line as OpenSSH would.",
		Evidence: "The line has an option that dropbear does not support, such as from= or expiry-time=, more than one blank in a row, or too many bytes.",
		Example:  "pi@raspberrypi\tfail\tdropbear-limits\t/home/pi/.ssh/authorized_keys:1\tseen: dropbear ignores the line: it does not know the option from",
		Cure:     "Put the key on a line of its own without options: pikeycopy -f.",
	}, {
		Word:     "selinux-label",
		Meaning:  "SELinux prevents sshd from reading the authorized keys, because of their label.",
		Evidence: "getenforce says Enforcing, and ls -Z shows a type other than ssh_home_t.",
		Example:  "pi@raspberrypi\tfail\tselinux-label\t/home/pi/.ssh/authorized_keys\tlikely: SELinux is enforcing and the file has the label unconfined_u:object_r:user_home_t:s0, but sshd reads ssh_home_t; unless a local policy allows it",
		Cure:     "Run restorecon -RFv ~/.ssh there.",
	}, {
		Word:     "read-only-fs",
		Meaning:  "The file system of the home directory is read-only.",
		Evidence: "A write failed with EROFS.",
		Example:  "pi@raspberrypi\tfail\tread-only-fs\t/home/pi/.ssh/.authorized_keys.turn\tauthorized_keys is unchanged: mkdir: cannot create directory '/home/pi/.ssh/.authorized_keys.turn': Read-only file system",
		Cure:     "Run sudo mount -o remount,rw / there; a card that became read-only by itself is failing: see dmesg.",
	}, {
		Word:     "disk-full",
		Meaning:  "There is no space, or no quota left, for a new file on the server.",
		Evidence: "A write failed with ENOSPC or EDQUOT; the old file is unchanged.",
		Example:  "pi@raspberrypi\tfail\tdisk-full\t/home/pi/.ssh/.authorized_keys.turn\tauthorized_keys is unchanged: mkdir: cannot create directory '/home/pi/.ssh/.authorized_keys.turn': No space left on device",
		Cure:     "Free some space there: df -h and df -i show what is full.",
	}, {
		Word:     "immutable",
		Meaning:  "The file or its directory has the immutable or append-only attribute.",
		Evidence: "A change failed with EPERM although owner and mode allow it.",
		Example:  "pi@raspberrypi\tfail\timmutable\t/home/pi/.ssh/.authorized_keys.turn\tauthorized_keys is unchanged: mkdir: cannot create directory '/home/pi/.ssh/.authorized_keys.turn': Operation not permitted",
		Cure:     "Check lsattr on the path there, and remove the attribute with sudo chattr -i -a.",
	}, {
		Word:     "busy",
		Meaning:  "Another program is writing the authorized keys, so nothing was written.",
		Evidence: "It was not finished after 20 seconds, or the file kept changing.",
		Example:  "pi@raspberrypi\tfail\tbusy\t/home/pi/.ssh/.authorized_keys.turn\tauthorized_keys is unchanged: another writer did not finish in time",
		Cure:     "Run the command again. If that does not help, look for a hanging program there: the name of what is in the directory ~/.ssh/.authorized_keys.turn begins with its process ID.",
	}, {
		Word:     "modes-unsupported",
		Meaning:  "The file system does not store owners and modes, so sshd refuses the files whatever is set.",
		Evidence: "A change of mode was reported as done, but the mode is as before.",
		Example:  "-\tfail\tmodes-unsupported\t/home/pi\tchanging the mode of /home/pi: the file system does not keep modes",
		Cure:     "Keep home on a file system such as ext4, or mount this one with options that set the modes.",
	},
}
