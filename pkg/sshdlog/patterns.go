package sshdlog

// A pattern is what one line of a program means.
type pattern struct {
	name     string
	program  program
	severity Severity
	cause    string // of pi-key-causes(7); byPath or byConfig where the path decides
	cure     string // "" for that of the cause
	forms    string // the text, with {parameters} of kinds; " | " between wordings
}

// A program is who writes a line: one of them, or several in a pattern.
type program int

const (
	sshd program = 1 << iota // with its PAM modules
	dropbear
	client // ssh, and what a server tells it
	pam    = sshd | dropbear
)

// writes reports whether a line of this program, or of one that is not known,
// may be of the pattern.
func (w program) writes(p *pattern) bool { return w == 0 || w&p.program != 0 }

// These stand for the cause that a path decides: the one that writable finds, and
// that of a configuration, which is the server's or ssh's.
const (
	byPath   = "?"
	byConfig = "??"
)

// Cures that differ from the one in pi-key-causes(7).
const (
	asBefore      = "See the preceding line of the same process; pi-key-causes(7) describes the candidates, entry-from and entry-expired."
	newerClient   = "Update the client, or use an ed25519 key; the last resort is PubkeyAcceptedAlgorithms +ssh-rsa on the server."
	brokenMount   = "Look at the file system there with dmesg and findmnt: a failing card, or a missing mount; modes do not matter here."
	chrootMissing = "As root there: mkdir -p on the directory, which root must own and nobody else may write to; or correct ChrootDirectory in sshd_config."
	unexplained   = "The log does not say why, as for a key that is not in the file; from where the key is: pikeycheck --inside USER@HOST, or pikeycopy to install it."
	moduleMissing = "Install the module that the line names, or remove its line from /etc/pam.d there."
)

// patterns are all that is known, in the order in which they are tried. The
// words are those of the programs' sources: OpenSSH's auth.c, auth2-pubkey.c,
// auth2-pubkeyfile.c, misc.c, packet.c, servconf.c, session.c and sshkey.c,
// Linux-PAM's modules, dropbear's svr-auth*.c, and ssh's sshconnect2.c.
var patterns = []pattern{
	// The files that decide, and the directories above them.
	{"bad-modes-dir", sshd, Refusal, byPath, "", "Authentication refused: bad ownership or modes for directory {path}"},
	{"bad-modes-file", sshd, Refusal, "keys-writable", "", "Authentication refused: bad ownership or modes for file {path}"},
	{"sp-notregular", sshd, Refusal, "keys-not-a-file", "", "Authentication refused: {path} is not a regular file"},
	{"sp-realpath", sshd, Refusal, "keys-unreadable", brokenMount, "Authentication refused: realpath {path} failed: {reason}"},
	{"sp-stat", sshd, Refusal, "keys-unreadable", brokenMount, "Authentication refused: cannot stat file {path}: {reason}"},
	{"auth-refused-any", sshd, Refusal, "keys-unreadable", "", "Authentication refused: {reason}"},
	{"open-missing", sshd, Refusal, "key-not-installed", "", "Could not open user '{user}' authorized keys '{path}': No such file or directory | " +
		"Could not open user '{user}' authorized principals '{path}': No such file or directory | " +
		"Could not open authorized keys '{path}': No such file or directory | " +
		"Could not open authorized principals '{path}': No such file or directory"},
	{"open-denied", sshd, Refusal, "keys-unreadable", "", "Could not open user '{user}' authorized keys '{path}': Permission denied | " +
		"Could not open user '{user}' authorized principals '{path}': Permission denied"},
	{"open-loop", sshd, Refusal, "keys-symlink", "", "Could not open user '{user}' authorized keys '{path}': Too many levels of symbolic links | " +
		"Could not open user '{user}' authorized principals '{path}': Too many levels of symbolic links | " +
		"Could not open authorized keys '{path}': Too many levels of symbolic links"},
	{"open-notdir", sshd, Refusal, "keys-not-a-file", "", "Could not open user '{user}' authorized keys '{path}': Not a directory | " +
		"Could not open user '{user}' authorized principals '{path}': Not a directory | " +
		"Could not open authorized keys '{path}': Not a directory"},
	{"open-io", sshd, Refusal, "keys-unreadable", brokenMount, "Could not open user '{user}' authorized keys '{path}': {reason} | " +
		"Could not open user '{user}' authorized principals '{path}': {reason}"},
	{"open-old", sshd, Refusal, "keys-unreadable", "", "Could not open authorized keys '{path}': {reason} | Could not open authorized principals '{path}': {reason}"},
	{"notregular", sshd, Refusal, "keys-not-a-file", "", "User '{user}' authorized keys '{path}' is not a regular file | " +
		"User '{user}' authorized principals '{path}' is not a regular file"},
	{"notregular-old", sshd, Refusal, "keys-not-a-file", "", "User {user} authorized keys {path} is not a regular file | " +
		"User {user} authorized principals {path} is not a regular file"},
	{"glob-failed", sshd, Refusal, "server-config-bad", "", `user_key_allowed: glob "{path}" failed | match_principals_file: glob "{path}" failed`},
	{"akpath-long", sshd, Refusal, "server-config-bad", "", "expand_authorized_keys: path too long"},
	{"hostbased-kh", sshd, Hint, "", "", "Authentication refused for {user}: bad owner or modes for {path}"},
	{"rhosts-home", sshd, Hint, "", "", "Rhosts authentication refused for {user}: bad ownership or modes for home directory."},
	{"rhosts-file", sshd, Hint, "", "", "Rhosts authentication refused for {user}: bad modes for {path}"},
	{"chroot-modes", sshd, Refusal, "chroot-modes", "", `bad ownership or modes for chroot directory component "{path}" | ` +
		`bad ownership or modes for chroot directory "{path}"`},
	{"chroot-notdir", sshd, Refusal, "chroot-modes", chrootMissing, `chroot path component "{path}" is not a directory | chroot path "{path}" is not a directory`},
	{"chroot-relative", sshd, Refusal, "chroot-modes", "Give the whole path for ChrootDirectory in sshd_config, from / on.", "chroot path does not begin at root"},
	{"chroot-stat", sshd, Refusal, "chroot-modes", chrootMissing, `safely_chroot: stat("{path}"): {reason}`},
	{"chroot-chdir", sshd, Refusal, "chroot-modes", chrootMissing, `Unable to chdir to chroot path "{path}": {reason} | chroot("{path}"): {reason}`},

	// The line of the key.
	{"key-options-bad", sshd, Refusal, "entry-options-bad", "", "{at}: bad key options: {reason} | {at}: bad principals options: {reason}"},
	{"key-options-old", sshd, Refusal, "entry-options-bad", "", "Bad options in {path} file, line {line}: {reason} | {path}, line {line}: {reason}"},
	{"key-options-string", sshd, Refusal, "entry-options-bad", "", "invalid key option string at {at} | invalid key option string"},
	{"from-mismatch", sshd, Refusal, "entry-from", "", "{at}: Authentication tried for {user} with correct key but not from a permitted host (host={-}, ip={addr}, required={reason})."},
	{"from-mismatch-old", sshd, Refusal, "entry-from", "", "Authentication tried for {user} with correct key but not from a permitted host (host={-}, ip={addr})."},
	{"cert-source", sshd, Refusal, "cert-refused", "", "{at}: Authentication tried for {user} with valid certificate but not from a permitted source address ({addr})."},
	{"cert-source-old", sshd, Refusal, "cert-refused", "", "Authentication tried for {user} with valid certificate but not from a permitted host (ip={addr})."},
	{"cert-source-invalid", sshd, Refusal, "cert-refused", "", "{at}: Certificate source-address invalid"},
	{"from-invalid", sshd, Refusal, "entry-options-bad", "", "{at}: invalid from criteria"},
	{"entry-expired", sshd, Refusal, "entry-expired", "", "{at}: entry expired at {reason}"},
	{"principals-nonca", sshd, Refusal, "entry-options-bad", "", "{at}: principals on non-CA key"},
	{"ca-flag-here", sshd, Refusal, "entry-options-bad", "", "{at}: cert-authority flag invalid here"},
	{"refused-keyopts", sshd, Refusal, "entry-refused", "", "Refused by key options at {at} | Refused by key options"},
	{"refused-certopts", sshd, Refusal, "cert-refused", "", "Refused by certificate options at {at} | Refused by certificate options"},
	{"refused-principalopts", sshd, Refusal, "cert-refused", "", "Refused by certificate principals options"},
	{"key-matched", sshd, Context, "", "", "{at}: matching key found: {type} {key} | {at}: matching CA found: {type} {key}"},
	{"key-matched-old", sshd, Context, "", "", "matching key found: file {path}, line {line} {type} {key} | matching key found: file {path}, line {line}, {type} {key} | " +
		"matching CA found: file {path}, line {line} {type} {key} | matching CA found: file {path}, line {line}, {type} {key}"},
	{"key-accepted", sshd, Accepted, "", "", "Accepted key {type} {key} found at {at}"},
	{"trying-file", sshd, Context, "", "", "trying public key file {path} | trying authorized principals file {path}"},
	{"options-inconsistent", sshd, Refusal, "entry-refused", "Make the options of the keys, or of the methods that must both be passed, agree.", "Inconsistent authentication options: {reason}"},

	// Certificates. Up to 10.0 the reason is a line of its own.
	{"cert-refusing", sshd, Refusal, "cert-expired", "", `Refusing certificate ID "{*}" serial={#} signed by {type} CA {key} via {at}: Certificate invalid: expired | ` +
		`Refusing certificate ID "{*}" serial={#} signed by {type} CA {key}: Certificate invalid: expired`},
	{"cert-refusing", sshd, Refusal, "cert-not-yet", "", `Refusing certificate ID "{*}" serial={#} signed by {type} CA {key} via {at}: Certificate invalid: not yet valid | ` +
		`Refusing certificate ID "{*}" serial={#} signed by {type} CA {key}: Certificate invalid: not yet valid`},
	{"cert-refusing", sshd, Refusal, "cert-principal", "", `Refusing certificate ID "{*}" serial={#} signed by {type} CA {key} via {at}: Certificate invalid: name is not a listed principal | ` +
		`Refusing certificate ID "{*}" serial={#} signed by {type} CA {key}: Certificate invalid: name is not a listed principal | ` +
		`Refusing certificate ID "{*}" serial={#} signed by {type} CA {key} via {at}: Certificate lacks principal list | ` +
		`Refusing certificate ID "{*}" serial={#} signed by {type} CA {key}: Certificate lacks principal list | ` +
		`Refusing certificate ID "{*}" serial={#} signed by {type} CA {key} via {at}: Certificate does not contain an authorized principal | ` +
		`Refusing certificate ID "{*}" serial={#} signed by {type} CA {key}: Certificate does not contain an authorized principal`},
	{"cert-refusing", sshd, Refusal, "cert-refused", "", `Refusing certificate ID "{*}" serial={#} signed by {type} CA {key} via {at}: {reason} | ` +
		`Refusing certificate ID "{*}" serial={#} signed by {type} CA {key}: {reason}`},
	{"cert-expired", sshd, Refusal, "cert-expired", "", "Certificate invalid: expired | Certificate invalid: expired at {at}"},
	{"cert-notyet", sshd, Refusal, "cert-not-yet", "", "Certificate invalid: not yet valid | Certificate invalid: not yet valid at {at}"},
	{"cert-principal", sshd, Refusal, "cert-principal", "", "Certificate invalid: name is not a listed principal | Certificate invalid: name is not a listed principal at {at}"},
	{"cert-noprincipal", sshd, Refusal, "cert-principal", "", "Certificate lacks principal list | Certificate lacks principal list at {at}"},
	{"cert-nomatch-principal", sshd, Refusal, "cert-principal", "", "Certificate does not contain an authorized principal | Certificate does not contain an authorized principal at {at}"},
	{"cert-nouser", sshd, Refusal, "cert-refused", "", "Certificate invalid: not a user certificate | Certificate invalid: not a user certificate at {at}"},
	{"cert-critopts", sshd, Refusal, "cert-refused", "", "Certificate contains unsupported critical options | Certificate contains unsupported critical options at {at}"},
	{"cert-sigalg", sshd, Refusal, "cert-refused", "", "Certificate signed with disallowed algorithm | Certificate signed with disallowed algorithm at {at}"},
	{"cert-critopt", sshd, Refusal, "cert-refused", "", `Certificate critical option "{reason}" is not supported`},
	{"cert-ext", sshd, Context, "", "", `Certificate extension "{reason}" is not supported`},
	{"cert-options-invalid", sshd, Refusal, "cert-refused", "", "Invalid certificate options | Invalid certificate options at {at} | Certificate source-address contents invalid"},
	{"cert-ca-notlisted", sshd, Refusal, "cert-refused", "", "user_cert_trusted_ca: CA {type} {key} is not listed in {path}: {reason} | " +
		"CA {type} {key} is not listed in {path}: {reason} | user_cert_trusted_ca: CA {type} {key} is not listed in {path} | CA {type} {key} is not listed in {path}"},
	{"cert-sigalg-name", sshd, Refusal, "cert-refused", "", "userauth_pubkey: certificate signature algorithm {type}: {reason}"},
	{"cert-accepted", sshd, Accepted, "", "", `Accepted certificate ID "{*}" (serial {#}) signed by CA {type} {key} found at {at} | ` +
		`Accepted certificate ID "{*}" (serial {#}) signed by {type} CA {key} found at {at} | ` +
		`Accepted certificate ID "{*}" (serial {#}) signed by CA {type} {key} via {path} | ` +
		`Accepted certificate ID "{*}" (serial {#}) signed by {type} CA {key} via {path}`},

	// The kind of the key.
	{"alg-keytypes", sshd, Refusal, "key-type-refused", "", "userauth_pubkey: key type {type} not in PubkeyAcceptedKeyTypes"},
	{"alg-keytype", sshd, Refusal, "key-type-refused", newerClient, "userauth_pubkey: key type {type} not in PubkeyAcceptedAlgorithms"},
	{"alg-signature", sshd, Refusal, "key-type-refused", newerClient, "userauth_pubkey: signature algorithm {type} not in PubkeyAcceptedAlgorithms"},
	{"alg-unsupported", sshd, Refusal, "key-type-refused", "", "userauth_pubkey: unsupported public key algorithm: {type}"},
	{"rsa-length", sshd, Refusal, "key-weak", "", "refusing {type} key: Invalid key length"},
	{"rsa-unsafe", sshd, Refusal, "key-type-refused", newerClient, "Refusing RSA key because client uses unsafe signature scheme"},
	{"key-reused", sshd, Refusal, "more-needed", "Offer a second key: AuthenticationMethods asks for two that differ.", "refusing previously-used {type} key"},
	{"key-decode", sshd, Refusal, "key-damaged", "", "userauth_pubkey: cannot decode key: {reason} | userauth_pubkey: cannot decode key | userauth_pubkey: could not parse key: {reason} | " +
		"userauth_pubkey: could not parse key | userauth_pubkey: parse key: {reason} | userauth_pubkey: parse key"},
	{"key-typemismatch", sshd, Refusal, "key-damaged", "", "userauth_pubkey: type mismatch for decoded key (received {type}, expected {word}) | " +
		"userauth_pubkey: key type mismatch for decoded key (received {type}, expected {word})"},
	{"sk-touch", sshd, Refusal, "touch-missing", "", "public key {type} {key} signature for {user} from {addr} port {port} rejected: user presence (authenticator touch) requirement not met | " +
		"public key {type} {key} signature for {user} from {addr} port {port} rejected: user presence (authenticator touch) requirement not met "},
	{"sk-verify", sshd, Refusal, "touch-missing", "", "public key {type} {key} signature for {user} from {addr} port {port} rejected: user verification requirement not met | " +
		"public key {type} {key} signature for {user} from {addr} port {port} rejected: user verification requirement not met "},
	{"key-revoked", sshd, Refusal, "key-revoked", "", "Authentication key {type} {key} revoked by file {path}"},
	{"revoked-unreadable", sshd, Refusal, "key-revoked", "Every key is refused until the file can be read: make it with sudo touch, or take RevokedKeys out of the configuration.",
		"Error checking authentication key {type} {key} in revoked keys file {path}: {reason} | Error checking authentication key {type} {key} in revoked keys file {path}"},

	// The account. A user that does not exist may have any name.
	{"user-invalid", sshd, Refusal, "user-unknown", "", "Invalid user {user} from {addr} port {port}"},
	{"user-invalid-old", sshd, Refusal, "user-unknown", "", "Invalid user {user} from {addr}"},
	{"user-invalid-input", sshd, Symptom, "", "", "input_userauth_request: invalid user {user}"},
	{"deny-users", sshd, Refusal, "user-not-allowed", "", "User {user} from {addr} not allowed because listed in DenyUsers"},
	{"allow-users", sshd, Refusal, "user-not-allowed", "", "User {user} from {addr} not allowed because not listed in AllowUsers"},
	{"deny-groups", sshd, Refusal, "user-not-allowed", "", "User {user} from {addr} not allowed because a group is listed in DenyGroups"},
	{"allow-groups", sshd, Refusal, "user-not-allowed", "", "User {user} from {addr} not allowed because none of user's groups are listed in AllowGroups"},
	{"no-group", sshd, Refusal, "user-not-allowed", "Give the user a group: id USER and getent group there show what is known.", "User {user} from {addr} not allowed because not in any group"},
	{"acct-locked", sshd, Refusal, "account-locked", "", "User {user} not allowed because account is locked"},
	{"shell-missing", sshd, Refusal, "shell-missing", "", "User {user} not allowed because shell {path} does not exist"},
	{"shell-noexec", sshd, Refusal, "shell-missing", "", "User {user} not allowed because shell {path} is not executable"},
	{"nologin-file", sshd, Refusal, "booting", "Wait until it has started; if the file stays, remove it there.", "User {user} not allowed because {path} exists"},
	{"root-refused", sshd, Refusal, "root-refused", "", "ROOT LOGIN REFUSED FROM {addr} port {port}"},
	{"root-refused-old", sshd, Refusal, "root-refused", "", "ROOT LOGIN REFUSED FROM {addr}"},
	{"root-forced-ok", sshd, Context, "", "", "Root login accepted for forced command."},
	{"monitor-unexpected", sshd, Refusal, "root-refused", "Give the line of root's key a command=, or set PermitRootLogin prohibit-password.", "monitor_child_preauth: unexpected authentication from {#}"},
	{"acct-expired", sshd, Refusal, "account-expired", "", "Account {user} has expired"},
	{"pw-aged", sshd, Refusal, "password-expired", "", "User {user} password has expired (password aged)"},
	{"pw-forced", sshd, Refusal, "password-expired", "", "User {user} password has expired (root forced)"},
	{"shadow-missing", sshd, Hint, "", "", "Could not get shadow information for {user}"},
	{"login-name", sshd, Refusal, "user-unknown", "Log in by the name as it stands in passwd(5).", "Login name {user} does not match stored username {reason}"},
	{"setuid-fail", sshd, Refusal, "session-failed", "", "initgroups: {user}: {reason} | initgroups {user} {#}: {reason} | Failed to set uids to {#}."},

	// PAM: the account and the session.
	{"pam-acct-denied", sshd, Refusal, "pam-refused", "", "Access denied for user {user} by PAM account configuration"},
	{"pam-pw-expired", sshd, Refusal, "password-expired", "", "Password expired | Password expired (unable to change with privsep)"},
	{"pam-user", sshd, Refusal, "pam-refused", "Check which module in /etc/pam.d/sshd changes the user name.", `PAM user "{*}" does not match expected "{user}" | PAM user "{*}" does not match previous "{user}" | ` +
		`check_pam_user: PAM user "{*}" does not match previous "{user}"`},
	{"pam-start", sshd, Refusal, "pam-refused", "Install openssh-server there again, or look at /etc/pam.d/sshd and /etc/pam.conf.", "PAM: initialisation failed | PAM: initialization failed"},
	{"pam-session", sshd, Refusal, "session-failed", "", "PAM: pam_open_session(): {reason}"},
	{"pam-setcred", sshd, Context, "", "", "PAM: pam_setcred(): {reason}"},
	{"pam-error", sshd, Symptom, "", "", "PAM: {reason} for illegal user {user} from {addr} | PAM: {reason} for {user} from {addr}"},
	{"pam-unix-expired", pam, Refusal, "account-expired", "", "pam_unix({service}:account): account {user} has expired (account expired)"},
	{"pam-unix-root", pam, Refusal, "password-expired", "", "pam_unix({service}:account): expired password for user {user} (root enforced)"},
	{"pam-unix-aged", pam, Refusal, "password-expired", "", "pam_unix({service}:account): expired password for user {user} (password aged)"},
	{"pam-unix-failedchange", pam, Refusal, "password-expired", "", "pam_unix({service}:account): account {user} has expired (failed to change password)"},
	{"pam-unix-warn", pam, Context, "", "", "pam_unix({service}:account): password for user {user} will expire in {#} days"},
	{"pam-unix-noid", pam, Refusal, "pam-refused", "See that getent passwd USER finds the account there: nsswitch.conf(5).", "pam_unix({service}:account): could not identify user (from uid={#})"},
	{"session-opened", pam, Accepted, "", "", "pam_unix({service}:session): session opened for user {user}(uid={#}) by {*} | pam_unix({service}:session): session opened for user {user} by {*}"},
	{"session-closed", pam, Context, "", "", "pam_unix({service}:session): session closed for user {user}"},
	{"pam-unix-fail", pam, Symptom, "", "", "pam_unix({service}:auth): authentication failure; {*} rhost={addr}  user={user} | pam_unix({service}:auth): authentication failure; {*} rhost={addr} | " +
		"pam_unix({service}:auth): authentication failure; {*}"},
	{"pam-unix-unknown", pam, Symptom, "", "", "pam_unix({service}:auth): check pass; user unknown"},
	{"pam-more", pam, Symptom, "", "", "PAM {#} more authentication failures; {*} rhost={addr}  user={user} | PAM {#} more authentication failure; {*} rhost={addr}  user={user} | " +
		"PAM {#} more authentication failures; {*} | PAM {#} more authentication failure; {*}"},
	{"pam-maxretries", pam, Context, "", "", "PAM service({-}) ignoring max retries; {#} > {#}"},
	{"pam-access", pam, Refusal, "pam-refused", "Add a line + : USER : FROM to /etc/security/access.conf there.", "pam_access({-}): access denied for user `{user}' from `{addr}' | pam_access({-}): access denied for user '{user}' from '{addr}'"},
	{"pam-access-open", pam, Refusal, "pam-refused", "As root there: chmod 644 on the file that the line names; or take pam_access.so out of /etc/pam.d/sshd.", "pam_access({-}): cannot open {path}: {reason} | pam_access({-}): failed to open accessfile=[{path}]: {reason}"},
	{"pam-listfile", pam, Refusal, "pam-refused", "Edit the list that pam_listfile.so names in /etc/pam.d there.", "pam_listfile({-}): Refused user {user} for service {-}"},
	{"pam-listfile-open", pam, Refusal, "pam-refused", "As root there: chmod 644 on the file that the line names, which may be missing.", "pam_listfile({-}): Couldn't open {path} | pam_listfile({-}): {path} is either world writable or not a normal file"},
	{"pam-securetty", pam, Refusal, "pam-refused", "Take pam_securetty.so out of /etc/pam.d/sshd there: it is for consoles.", "pam_securetty({-}): access denied: tty '{reason}' is not secure !"},
	{"pam-faillock", pam, Refusal, "pam-refused", "Wait, or as root there: faillock --user USER --reset.", "pam_faillock({-}): Consecutive login failures for user {user} account temporarily locked"},
	{"pam-tally2", pam, Refusal, "pam-refused", "As root there: pam_tally2 -u USER -r.", "pam_tally2({-}): user {user} ({#}) tally {#}, deny {#}"},
	{"pam-succeedif", pam, Refusal, "pam-refused", "Check the lines with pam_succeed_if.so in /etc/pam.d there.", `pam_succeed_if({-}): requirement "{reason}" not met by user "{user}"`},
	{"pam-time", pam, Refusal, "pam-refused", "See /etc/security/time.conf there, and the clock.", "pam_time({-}): user {user} rejected"},
	{"pam-shells", pam, Refusal, "pam-refused", "As root there: chmod 644 /etc/shells.", "pam_shells({-}): {path} is either world writable or not a normal file"},
	{"pam-shells-user", pam, Refusal, "shell-missing", "If the user is to log in, as root there: add the shell to /etc/shells, or chsh -s /bin/sh USER.", "pam_shells({-}): User has an invalid shell '{path}'"},
	{"pam-limits-set", pam, Refusal, "session-failed", "Take the limit out of /etc/security/limits.conf and limits.d there: this machine, perhaps a container, cannot set it.", "pam_limits({-}): Could not set limit for '{word}': {reason}"},
	{"pam-limits-logins", pam, Refusal, "session-failed", "End other sessions of the user, or raise maxlogins in /etc/security/limits.conf there.", "pam_limits({-}): Too many logins (max {#}) for {user} | " +
		"pam_limits({-}): Too many system logins (max {#}) | pam_limits({-}): No logins allowed for '{user}'"},
	{"pam-dlopen", pam, Refusal, "session-failed", moduleMissing, "PAM unable to dlopen({path}): {reason}"},
	{"pam-faulty", pam, Refusal, "session-failed", moduleMissing, "PAM adding faulty module: {path}"},
	{"pam-nomodules", pam, Refusal, "session-failed", "Install openssh-server there again: /etc/pam.d/sshd is missing.", "PAM no modules loaded for `{reason}' service | PAM no modules loaded for '{reason}' service"},
	{"pam-sss", pam, Refusal, "pam-refused", "See the access rules of sssd.conf(5), or of the directory.", "pam_sss({service}:account): Access denied for user {user}: {#} ({reason})"},

	// What became of it. A line that names no cause is a symptom.
	{"failed-invalid", sshd, Symptom, "", "", "Failed publickey for invalid user {user} from {addr} port {port} ssh2: {type} {key} | Failed publickey for invalid user {user} from {addr} port {port} ssh2 | " +
		"Failed publickey for invalid user {user} from {addr} port {port} ssh2: {type} {key} ID {*} (serial {#}) CA {-} {-}"},
	{"failed-publickey", sshd, Refusal, "key-refused", unexplained, "Failed publickey for {user} from {addr} port {port} ssh2: {type} {key} | Failed publickey for {user} from {addr} port {port} ssh2 | " +
		"Failed publickey for {user} from {addr} port {port} ssh2: {type} {key} ID {*} (serial {#}) CA {-} {-}"},
	// Most of what a host in the internet logs: a prefix of its own, unlike that of what is wanted.
	{"failed-password", sshd, Context, "", "", "Failed password for invalid user {user} from {addr} port {port} ssh2 | Failed password for {user} from {addr} port {port} ssh2 | Failed password for {user} from {addr} port {port}"},
	{"failed-other", sshd, Context, "", "", "Failed {word} for invalid user {user} from {addr} port {port} ssh2 | Failed {word} for {user} from {addr} port {port} ssh2 | " +
		"Failed {word} for invalid user {user} from {addr} port {port} ssh2: {*} | Failed {word} for {user} from {addr} port {port} ssh2: {*} | " +
		"Failed {word} for {user} from {addr} port {port}"},
	{"accepted", sshd, Accepted, "", "", "Accepted {word} for {user} from {addr} port {port} ssh2: {type} {key} | Accepted {word} for {user} from {addr} port {port} ssh2 | " +
		"Accepted {word} for {user} from {addr} port {port} ssh2: {*}"},
	{"partial", sshd, Refusal, "more-needed", "", "Partial {word} for {user} from {addr} port {port} ssh2: {type} {key} | Partial {word} for {user} from {addr} port {port} ssh2"},
	{"postponed", sshd, Hint, "", "", "Postponed publickey for invalid user {user} from {addr} port {port} ssh2 | Postponed publickey for {user} from {addr} port {port} ssh2 | " +
		"Postponed publickey for {user} from {addr} port {port} ssh2: {type} {key}"},
	{"postponed-other", sshd, Context, "", "", "Postponed {word} for invalid user {user} from {addr} port {port} ssh2 | Postponed {word} for {user} from {addr} port {port} ssh2"},
	{"closed-authenticating", sshd, Symptom, "", "", "Connection closed by authenticating user {user} {addr} port {port} | Connection reset by authenticating user {user} {addr} port {port}"},
	{"closed-invalid", sshd, Symptom, "", "", "Connection closed by invalid user {user} {addr} port {port} | Connection reset by invalid user {user} {addr} port {port}"},
	{"closed-user", sshd, Context, "", "", "Connection closed by user {user} {addr} port {port} | Connection reset by user {user} {addr} port {port}"},
	{"closed-plain", sshd, Symptom, "", "", "Connection closed by {addr} port {port} | Connection reset by {addr} port {port} | Connection closed by {addr} | Connection reset by {addr}"},
	{"disconnected-authenticating", sshd, Symptom, "", "", "Disconnected from authenticating user {user} {addr} port {port} | Disconnected from invalid user {user} {addr} port {port}"},
	{"disconnected-user", sshd, Accepted, "", "", "Disconnected from user {user} {addr} port {port}"},
	{"disconnected-plain", sshd, Context, "", "", "Disconnected from {addr} port {port} | Disconnected from {addr}"},
	{"disconnecting", sshd, Refusal, "too-many-tries", "", "Disconnecting authenticating user {user} {addr} port {port}: Too many authentication failures | " +
		"Disconnecting invalid user {user} {addr} port {port}: Too many authentication failures | " +
		"Disconnecting {addr} port {port}: Too many authentication failures | " +
		"Disconnecting: Too many authentication failures for {user} | Disconnecting: Too many authentication failures"},
	{"disconnecting-other", sshd, Context, "", "", "Disconnecting {*}"},
	{"disconnecting-old", sshd, Context, "", "", "Disconnecting: {reason}"},
	{"max-attempts", sshd, Refusal, "too-many-tries", "", "maximum authentication attempts exceeded for invalid user {user} from {addr} port {port} ssh2 | " +
		"maximum authentication attempts exceeded for {user} from {addr} port {port} ssh2"},
	{"c-toomany", client, Refusal, "too-many-tries", "", "Received disconnect from {addr} port {#}:2: Too many authentication failures"},
	{"received-disconnect", sshd, Symptom, "", "", "Received disconnect from {addr} port {port}:{#}: {reason} | Received disconnect from {addr}: {#}: {reason}"},
	{"no-methods", sshd, Refusal, "pubkey-disabled", "", "no authentication methods enabled"},
	{"methods-disabled", sshd, Hint, "", "", `Authentication methods list "{reason}" contains disabled method, skipping`},
	{"methods-none", sshd, Refusal, "pubkey-disabled", "Let AuthenticationMethods of the server name methods that are switched on.", "No AuthenticationMethods left after eliminating disabled methods | " +
		"AuthenticationMethods cannot be satisfied by enabled authentication methods"},
	{"session-start", sshd, Accepted, "", "", "Starting session: {*} for {user} from {addr} port {port} id {#}"},
	{"conn-from", sshd, Context, "", "", `Connection from {addr} port {port} on {-} port {#} rdomain "{*}" | Connection from {addr} port {port} on {-} port {#} | Connection from {addr} port {port}`},
	{"session-end", sshd, Context, "", "", "Close session: user {user} from {addr} port {port} id {#}"},
	{"child", sshd, Context, "", "", "User child is on pid {#}"},
	{"transferred", sshd, Context, "", "", "Transferred: sent {#}, received {#} bytes | Closing connection to {addr} port {port}"},
	{"stopped", sshd, Context, "", "", "Received signal {#}; terminating. | Received SIGHUP; restarting."},

	// The connection, before any key is looked at.
	{"grace", sshd, Hint, "", "", "Timeout before authentication for connection from {addr} to {-}, pid = {#} | Timeout before authentication for {*}, pid = {#} | " +
		"Timeout before authentication for {*}, pid = {#} {*}"},
	{"grace-old", sshd, Hint, "", "", "Timeout before authentication for {addr} port {port}"},
	{"penalty-drop", sshd, Refusal, "penalised", "", "drop connection #{#} from [{addr}]:{port} on [{-}]:{#} penalty: {reason}"},
	{"maxstartups-drop", sshd, Refusal, "connection-dropped", "Wait a minute and try again; MaxStartups of the server bounds the logins that are under way.", "drop connection #{#} from [{addr}]:{port} on [{-}]:{#} past MaxStartups | " +
		"drop connection #{#} from [{addr}]:{port} on [{-}]:{#} past Maxstartups"},
	{"drop-other", sshd, Refusal, "connection-dropped", "", "drop connection #{#} from [{addr}]:{port} on [{-}]:{#} {reason}"},
	{"penalty-new", sshd, Hint, "", "", "srclimit_penalise: {*} penalty of {-} seconds for {reason}"},
	{"maxstartups", sshd, Hint, "", "", "beginning MaxStartups throttling"},
	{"negotiate", sshd, Refusal, "no-common-algorithm", "", "Unable to negotiate with {addr} port {port}: {reason}"},
	{"kex-ident", sshd | client, Context, "", "", "kex_exchange_identification: {reason}"},
	{"banner-exchange", sshd | client, Context, "", "", "ssh_dispatch_run_fatal: Connection from {addr} port {port}: {reason} | ssh_dispatch_run_fatal: Connection to {addr} port {port}: {reason} | " +
		"ssh_dispatch_run_fatal: Connection from user {user} {addr} port {port}: {reason} | ssh_dispatch_run_fatal: Connection from authenticating user {user} {addr} port {port}: {reason} | " +
		"ssh_dispatch_run_fatal: Connection from invalid user {user} {addr} port {port}: {reason} | " +
		"banner exchange: Connection from {addr} port {port}: {reason} | banner exchange: Connection to {addr} port {port}: {reason}"},
	{"no-ident", sshd, Context, "", "", "Did not receive identification string from {addr} port {port} | Did not receive identification string from {addr}"},
	{"ptr", sshd, Context, "", "", "reverse mapping checking getaddrinfo for {-} [{addr}] failed - POSSIBLE BREAK-IN ATTEMPT! | reverse mapping checking getaddrinfo for {-} [{addr}] failed. | " +
		"reverse mapping checking getaddrinfo for {-} [{addr}] failed | " +
		"Address {addr} maps to {-}, but this does not map back to the address. | Address {addr} maps to {-}, but this does not map back to the address - POSSIBLE BREAK-IN ATTEMPT! | " +
		"Address {addr} maps to {-}, but this does not map back to the address"},
	{"tcpwrap", sshd, Refusal, "connection-dropped", "See /etc/hosts.deny and /etc/hosts.allow there.", "refused connect from {-} ({addr})"},

	// The server itself.
	{"listening", sshd, Context, "", "", "Server listening on {-} port {#}. | Server listening on {-} port {#}"},
	{"akc-unsafe", sshd, Refusal, "keys-command-failed", "As root there: chown root and chmod go-w on the program and every directory above it; or move it to where that already holds, such as /usr/local/sbin.", `Unsafe AuthorizedKeysCommand "{path}": {reason} | Unsafe AuthorizedPrincipalsCommand "{path}": {reason}`},
	{"akc-failed", sshd, Refusal, "keys-command-failed", "", "AuthorizedKeysCommand {path} failed, status {#} | AuthorizedPrincipalsCommand {path} failed, status {#}"},
	{"akc-signal", sshd, Refusal, "keys-command-failed", "", "AuthorizedKeysCommand {path} exited on signal {#} | AuthorizedPrincipalsCommand {path} exited on signal {#}"},
	{"akc-stat", sshd, Refusal, "keys-command-failed", "", `Could not stat AuthorizedKeysCommand "{path}": {reason} | Could not stat AuthorizedPrincipalsCommand "{path}": {reason}`},
	{"akc-abs", sshd, Refusal, "keys-command-failed", "", "AuthorizedKeysCommand path is not absolute | AuthorizedPrincipalsCommand path is not absolute"},
	{"akc-user", sshd, Refusal, "keys-command-failed", "", `AuthorizedKeysCommandUser "{*}" not found: {reason} | AuthorizedPrincipalsCommandUser "{*}" not found: {reason}`},
	{"akc-exec", sshd, Refusal, "keys-command-failed", "", `AuthorizedKeysCommand exec "{path}": {reason} | AuthorizedKeysCommand execv "{path}": {reason} | AuthorizedKeysCommand execve "{path}": {reason} | ` +
		`AuthorizedPrincipalsCommand exec "{path}": {reason} | AuthorizedPrincipalsCommand execv "{path}": {reason} | AuthorizedPrincipalsCommand execve "{path}": {reason}`},
	{"akc-empty", sshd, Refusal, "keys-command-failed", "Set AuthorizedKeysCommandUser, or AuthorizedPrincipalsCommandUser, in sshd_config, such as to nobody.", "No user for AuthorizedKeysCommand specified, skipping | No user for AuthorizedPrincipalsCommand specified, skipping | " +
		"AuthorizedKeysCommand set without AuthorizedKeysCommandUser | AuthorizedPrincipalsCommand set without AuthorizedPrincipalsCommandUser"},
	{"akc-quotes", sshd, Refusal, "keys-command-failed", "", `AuthorizedKeysCommand "{reason}" contains invalid quotes | AuthorizedPrincipalsCommand "{reason}" contains invalid quotes`},
	{"cfg-terminating", sshd | client, Refusal, byConfig, "", "{path}: terminating, {#} bad configuration options"},
	{"cfg-match", sshd, Refusal, "server-config-bad", "Move the option above the first Match, and try sudo sshd -t.", "{path} line {line}: Directive '{reason}' is not allowed within a Match block"},
	{"cfg-users", sshd, Refusal, "server-config-bad", "", `Invalid AllowUsers pattern "{reason}" | Invalid DenyUsers pattern "{reason}"`},
	{"no-hostkeys", sshd, Refusal, "host-key-unusable", "", "sshd: no hostkeys available -- exiting."},
	{"hostkey-damaged", sshd, Refusal, "host-key-unusable", "After a power cut, on its console: sudo rm on the file and its .pub, sudo ssh-keygen -A, then sudo systemctl restart ssh; it has another host key then.",
		`Unable to load host key "{path}": invalid format | Unable to load host key "{path}": error in libcrypto`},
	{"hostkey-load", sshd, Refusal, "host-key-unusable", "", `Unable to load host key "{path}": {reason} | Unable to load host key: {path} | Error loading host key "{path}": {reason}`},
	{"bind", sshd, Refusal, "connection-refused", "Another program has the port, such as dropbear or ssh.socket: see sudo ss -ltnp, and stop one.", "Bind to port {#} on {-} failed: {reason}."},
	{"bind-any", sshd, Context, "", "", "Cannot bind any address."},
	{"privsep-dir", sshd, Refusal, "connection-refused", "As root there: mkdir -p /run/sshd, then systemctl restart ssh.", "Missing privilege separation directory: {path}"},
	{"privsep-modes", sshd, Refusal, "connection-refused", "As root there: chown root and chmod 755 the directory, then systemctl restart ssh.", "{path} must be owned by root and not group or world-writable."},
	{"server-parts", sshd, Refusal, "connection-refused", "Install openssh-server there again: a part of it is missing.", "Privilege separation user {*} does not exist | {path} does not exist or is not executable"},
	{"privsep-crash", sshd, Refusal, "connection-dropped", "Bring the system up to date and restart it: sshd and the libraries or the kernel do not fit together.", "privsep_preauth: preauth child terminated by signal {#} | Session process {#} unpriv child crash for connection from {addr} to {*}"},
	{"rexec", sshd, Refusal, "connection-dropped", "Restart the server, which was updated while it was running: sudo systemctl restart ssh.", "rexec of {*}/sshd-session failed: {reason}"},

	// dropbear.
	{"db-perm", dropbear, Refusal, byPath, "", "{path} must be owned by user or root, and not writable by group or others"},
	{"db-perm-old", dropbear, Refusal, byPath, "", "{path} must be owned by user or root, and not writable by others"},
	{"db-options", dropbear, Refusal, "dropbear-limits", "", "Bad public key options at {at}"},
	{"db-command", dropbear, Refusal, "dropbear-limits", "", "Badly formatted {word} authorized_keys option"},
	{"db-sig", dropbear, Refusal, "touch-missing", "Touch the security key when it blinks; if there is none, try another client.", "Pubkey auth bad signature for '{user}' with key {key} from {peer}"},
	{"db-ok", dropbear, Accepted, "", "", "Pubkey auth succeeded for '{user}' with {type} key {key} from {peer}, extra auth required | Pubkey auth succeeded for '{user}' with {type} key {key} from {peer} | " +
		"Pubkey auth succeeded for '{user}' with key {key} from {peer} | Pubkey auth succeeded for '{user}' with key md5 {key} from {peer} | Pubkey auth succeeded for '{user}' with key sha1!! {key} from {peer}"},
	{"db-nouser", dropbear, Refusal, "user-unknown", "", "Login attempt for nonexistent user from {peer} | Login attempt for nonexistent user"},
	{"db-wronguser", dropbear, Refusal, "user-not-allowed", "Run dropbear as root: as another user it lets only that one in.", "Login attempt with wrong user {user} from {peer} | Login attempt with wrong user {user}"},
	{"db-root", dropbear, Refusal, "root-refused", "Log in as another user and use sudo, or take -w out of DROPBEAR_EXTRA_ARGS in /etc/default/dropbear.", "root login rejected"},
	{"db-group", dropbear, Refusal, "user-not-allowed", "Add the user to the group there: sudo gpasswd -a USER GROUP.", "Logins are restricted to the group {*} but user '{user}' is not a member"},
	{"db-shell", dropbear, Refusal, "shell-missing", "As root there: add the shell of the user to /etc/shells, or chsh -s /bin/sh USER.", "User '{user}' has invalid shell, rejected"},
	{"db-locked", dropbear, Context, "", "", "User account '{user}' is locked"},
	{"db-maxtries", dropbear, Refusal, "too-many-tries", "", "Exit before auth from <{peer}>: (user '{*}', {#} fails): Max auth tries reached - user '{user}' | " +
		"Exit before auth from <{-}>: (user '{*}', {#} fails): Max auth tries reached - user '{user}' from {peer} | " +
		"Exit before auth (user '{*}', {#} fails): Max auth tries reached - user '{user}' from {peer}"},
	{"db-nomatch", dropbear, Refusal, "no-common-algorithm", "", "Exit before auth from <{peer}>: No matching algo {word} | Exit before auth: No matching algo {word}"},
	{"db-exit", dropbear, Symptom, "", "", "Exit before auth from <{peer}>: (user '{user}', {#} fails): {reason} | Exit before auth from <{peer}>: {reason} | " +
		"Exit before auth (user '{user}', {#} fails): {reason} | Exit before auth: {reason}"},
	{"db-child", dropbear, Context, "", "", "Child connection from {peer}"},
	{"db-bad-password", dropbear, Context, "", "", "Bad password attempt for '{user}' from {peer}"},
	{"db-password-ok", dropbear, Accepted, "", "", "Password auth succeeded for '{user}' from {peer} | PAM password auth succeeded for '{user}' from {peer}"},
	{"db-bye", dropbear, Context, "", "", "Exit ({user}) from <{peer}>: {reason} | Exit ({user}): {reason}"},
	{"db-unknownalgo", dropbear, Refusal, "key-type-refused", "Bring dropbear up to date, or use an RSA or ECDSA key: ed25519 needs 2020.79.", "Pubkey auth attempt with unknown algo for '{user}' from {peer}"},
	{"db-hostkeys", dropbear, Refusal, "host-key-unusable", "Run dropbear with -R, or make a key with dropbearkey.", "Early exit: No hostkeys available. {*} | No hostkeys available. {*} | No hostkeys available | Early exit: No hostkeys available"},
	{"db-bind", dropbear, Refusal, "connection-refused", "Another program has the port, such as sshd: see sudo ss -ltnp, and stop one.", "Failed listening on '{*}': {reason}"},
	{"db-euid", dropbear, Refusal, "session-failed", "Run dropbear as root.", "Failed to set euid | Failed to revert euid | {*}: Failed to set euid | {*}: Failed to revert euid"},

	// ssh, with -v, and what the server tells it once another method has let it in.
	{"c-remote-ignored-dir", client, Refusal, byPath, "", "Remote: Ignored authorized keys: bad ownership or modes for directory {path} | " +
		"Remote: Ignored authorized principals: bad ownership or modes for directory {path}"},
	{"c-remote-ignored-file", client, Refusal, "keys-writable", "", "Remote: Ignored authorized keys: bad ownership or modes for file {path} | " +
		"Remote: Ignored authorized principals: bad ownership or modes for file {path}"},
	{"c-remote-ignored", client, Refusal, "keys-unreadable", "", "Remote: Ignored authorized keys: {reason} | Remote: Ignored authorized principals: {reason}"},
	{"c-remote-options", client, Refusal, "entry-options-bad", "", "Remote: {at}: bad key options: {reason} | Remote: {at}: invalid from criteria | Remote: {at}: principals on non-CA key | " +
		"Remote: {at}: cert-authority flag invalid here | Remote: invalid key option string at {at} | Remote: invalid key option string | " +
		"Remote: {at}: bad principals options: {reason} | Remote: Bad options in {path} file, line {line}: {reason} | Remote: {path}, line {line}: {reason}"},
	{"c-remote-host", client, Refusal, "entry-from", "", "Remote: {at}: Your host '{addr}' is not permitted to use this key for login. | " +
		"Remote: Your host '{addr}' is not permitted to use this key for login."},
	{"c-remote-expired", client, Refusal, "entry-expired", "", "Remote: {at}: entry expired at {reason}"},
	{"c-remote-refused", client, Refusal, "entry-refused", "", "Remote: Refused by key options at {at} | Remote: Refused by key options"},
	{"c-remote-cert-expired", client, Refusal, "cert-expired", "", "Remote: Certificate invalid: expired at {at} | Remote: Certificate invalid: expired | " +
		`Remote: Refused Certificate ID "{*}" serial={#}: Certificate invalid: expired`},
	{"c-remote-cert-notyet", client, Refusal, "cert-not-yet", "", "Remote: Certificate invalid: not yet valid at {at} | Remote: Certificate invalid: not yet valid | " +
		`Remote: Refused Certificate ID "{*}" serial={#}: Certificate invalid: not yet valid`},
	{"c-remote-cert-principal", client, Refusal, "cert-principal", "", "Remote: Certificate invalid: name is not a listed principal at {at} | Remote: Certificate invalid: name is not a listed principal | " +
		"Remote: Certificate lacks principal list at {at} | Remote: Certificate lacks principal list | Remote: Certificate does not contain an authorized principal at {at} | " +
		"Remote: Certificate does not contain an authorized principal | " +
		`Remote: Refused Certificate ID "{*}" serial={#}: Certificate invalid: name is not a listed principal | Remote: Refused Certificate ID "{*}" serial={#}: Certificate lacks principal list | ` +
		`Remote: Refused Certificate ID "{*}" serial={#}: Certificate does not contain an authorized principal`},
	{"c-remote-cert", client, Refusal, "cert-refused", "", "Remote: Refused by certificate options at {at} | Remote: Refused by certificate options | Remote: Refused by certificate principals options | " +
		"Remote: Invalid certificate options at {at} | Remote: Invalid certificate options | Remote: Certificate {reason} | " +
		"Remote: {at}: Your address '{addr}' is not permitted to use this certificate for login. | Remote: Your address '{addr}' is not permitted to use this certificate for login. | " +
		`Remote: Refused Certificate ID "{*}" serial={#}: {reason}`},
	{"c-remote-keyoptions", client, Context, "", "", "Remote: {at}: key options:{reason}"},
	{"c-remote", client, Context, "", "", "Remote: {reason}"},
	{"c-unprotected", client, Context, "", "", "@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @"},
	{"c-tooopen", client, Refusal, "key-mode", "", "Permissions {-} for '{path}' are too open."},
	{"hostkey-open", sshd, Refusal, "host-key-unusable", "", "Permissions {-} for '{path}' are too open."},
	{"c-loadkey-modes", client, Refusal, "key-mode", "", `Load key "{path}": bad permissions`},
	{"c-loadkey-denied", client, Refusal, "key-unreadable", "", `Load key "{path}": Permission denied`},
	{"c-loadkey-missing", client, Refusal, "key-missing", "Correct the path of -i or IdentityFile, or make the key with pikeygen.", `Load key "{path}": No such file or directory`},
	{"c-loadkey-passphrase", client, Refusal, "key-encrypted", "Give the right passphrase, or load the key into an agent with ssh-add FILE.", `Load key "{path}": incorrect passphrase supplied to decrypt private key`},
	{"c-loadkey-format", client, Refusal, "key-format", "", `Load key "{path}": Is a directory | Load key "{path}": unknown or unsupported key type`},
	{"c-loadkey", client, Refusal, "key-damaged", "Look at the file with pikeygen -l -f FILE: it is torn, or in a format that ssh does not read.", `Load key "{path}": {reason}`},
	{"c-badowner", client, Refusal, "config-writable", "", "Bad owner or permissions on {path}"},
	{"cfg-badopt", sshd | client, Refusal, byConfig, "", "{path}: line {line}: Bad configuration option: {reason}"},
	{"cfg-ignored", sshd, Context, "", "", "{path} line {line}: Deprecated option {reason} | {path} line {line}: Unsupported option {reason}"},
	// What -v tells of reading, in the form of an error (readconf.c and servconf.c).
	{"cfg-read", sshd | client, Context, "", "", "{path} line {line}: Applying options for {reason} | {path} line {line}: include {reason} matched no files | " +
		"{path} line {line}: Including file {reason} | {path} line {line}: new include {reason} | {path} line {line}: processing include {reason} | " +
		"{path} line {line}: Skipping Host block because of negated match for {reason} | " +
		"{path} line {line}: matched {reason} | {path} line {line}: not matched {reason} | {path} line {line}: skipped exec {reason} | " +
		"{path} line {line}: including {reason} | {path} line {line}: no match for {reason} | {path} line {line}: ignoring duplicate env name {reason} | " +
		"{path} line {line}: Subsystem '{reason}' already defined. | {path} line {line}: Deprecated IPQoS value {reason}"},
	{"cfg-line", sshd | client, Refusal, byConfig, "", "{path} line {line}: {reason}"},
	{"c-denied", client, Refusal, "key-refused", "Run pikeycheck with the same target: it looks for the reason.", "Permission denied ({reason}). | {user}@{addr}: Permission denied ({reason})."},
	{"c-hostkey", client, Symptom, "", "", "Host key verification failed."},
	{"c-changed", client, Refusal, "host-key-changed", "", "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @"},
	{"c-hostkey-unknown", client, Refusal, "host-key-unknown", "", "No {type} host key is known for {addr} and you have requested strict checking."},
	{"c-kh-unreadable", client, Hint, "", "", "hostkeys_find_by_key_hostfile: hostkeys_foreach failed for {path}: {reason}"},
	{"c-signfail", client, Refusal, "agent-refused", "", `sign_and_send_pubkey: signing failed for {type} "{path}" from agent: {reason} | sign_and_send_pubkey: signing failed for {type} "{path}": {reason} | ` +
		"sign_and_send_pubkey: signing failed: {reason} | Agent admitted failure to sign using the key."},
	{"c-nomutual", client, Refusal, "key-type-refused", "Use an ed25519 key, or set PubkeyAcceptedAlgorithms +ssh-rsa for this host alone.", "send_pubkey_test: no mutual signature algorithm | sign_and_send_pubkey: no mutual signature supported"},
	{"c-skipping", client, Refusal, "key-type-refused", "", "Skipping {type} key {path} - corresponding algorithm not supported by server | Skipping {type} key {path} - corresponding algorithm not in PubkeyAcceptedAlgorithms | " +
		"Skipping {type} key {path} - not in PubkeyAcceptedKeyTypes"},
	{"c-nosuchid", client, Refusal, "key-missing", "Correct the path of -i or IdentityFile, or make the key with pikeygen.", "no such identity: {path}: {reason}"},
	{"c-offering", client, Context, "", "", "Offering public key: {path} {type} {key} explicit agent | Offering public key: {path} {type} {key} agent | Offering public key: {path} {type} {key} explicit | " +
		"Offering public key: {path} {type} {key} | Offering {type} public key: {path}"},
	{"c-accepts", client, Accepted, "", "", "Server accepts key: {path} {type} {key} explicit agent | Server accepts key: {path} {type} {key} agent | Server accepts key: {path} {type} {key} explicit | " +
		"Server accepts key: {path} {type} {key} | Server accepts key: pkalg {type} blen {#}"},
	{"c-continue", client, Context, "", "", "Authentications that can continue: {reason}"},
	{"c-nomore", client, Symptom, "", "", "No more authentication methods to try."},
	{"c-authenticated", client, Accepted, "", "", `Authenticated to {-} ([{addr}]:{#}) using "{reason}". | Authenticated to {addr} (via proxy) using "{reason}".`},
	{"c-partial", client, Refusal, "more-needed", "", `Authenticated using "{reason}" with partial success.`},
	{"c-refused", client, Refusal, "connection-refused", "", "ssh: connect to host {addr} port {#}: Connection refused | connect to address {addr} port {#}: Connection refused"},
	{"c-timeout", client, Refusal, "timeout", "", "ssh: connect to host {addr} port {#}: Connection timed out | ssh: connect to host {addr} port {#}: Operation timed out"},
	{"c-unreachable", client, Refusal, "host-unreachable", "", "ssh: connect to host {addr} port {#}: No route to host | ssh: connect to host {addr} port {#}: Network is unreachable"},
	{"c-noname", client, Refusal, "name-unknown", "", "ssh: Could not resolve hostname {addr}: {reason}"},
}
