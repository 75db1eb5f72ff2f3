package sshconfig

import (
	"errors"
	"maps"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pi-key-tools/pkg/confline"
	"pi-key-tools/pkg/pattern"
)

// A kind says what the arguments of a keyword look like, and what is in
// directive.args after check.
type kind int

const (
	takesAnything   kind = iota // not looked at
	takesWord                   // one argument that is not empty
	takesChoice                 // one of keyword.choices, case does not matter
	takesDuration               // one time as of sshd_config(5) TIME FORMATS: seconds, or "none"
	takesNumber                 // one number from 0 to 2^31-1
	takesPort                   // one port, or the name of a service
	takesPaths                  // any number of arguments, or "none" alone
	takesPath                   // one argument; each line adds one
	takesCommand                // the rest of the line as it is
	takesAgent                  // one argument; its ${VAR} must be set
	takesAlgorithms             // one list of keyword.algorithms, with + - ^ and wildcards
	takesJump                   // directive.jump
	isHost                      // Host
	isMatch                     // directive.criteria
	isInclude                   // Include
	isRefusal                   // RefuseConnection
)

// A keyword is a word of ssh_config(5).
type keyword struct {
	name       string // in lower case, the current one of several names
	kind       kind
	choices    map[string]string // for takesChoice: each spelling, and the one used here
	algorithms *algorithms       // for takesAlgorithms
	decides    bool              // a field of Host, or how the files are read
	newer      bool              // not every ssh since 9.2 knows it
	ignored    bool              // ssh takes it with any arguments
}

var (
	yesNo = map[string]string{"yes": "yes", "true": "yes", "no": "no", "false": "no"}
	orAsk = with(yesNo, "ask", "ask")
)

func with(m map[string]string, pairs ...string) map[string]string {
	n := maps.Clone(m)
	for i := 0; i < len(pairs); i += 2 {
		n[pairs[i]] = pairs[i+1]
	}
	return n
}

func oneOf(words string) map[string]string {
	m := make(map[string]string)
	for w := range strings.FieldsSeq(words) {
		m[w] = w
	}
	return m
}

// keywords are all words that some current ssh knows: readconf.c of OpenSSH
// 9.2 to 10.x, and the patches of Debian, Red Hat and Apple. It is kept
// wider than one version, so that a file which the ssh at hand takes is never
// refused here.
var keywords = sync.OnceValue(func() map[string]*keyword {
	m := make(map[string]*keyword)
	add := func(k keyword, names string) {
		for name := range strings.FieldsSeq(names) {
			k := k
			k.name = name
			m[name] = &k
		}
	}
	add(keyword{kind: takesChoice, choices: yesNo, decides: true}, `identitiesonly hashknownhosts batchmode passwordauthentication
		kbdinteractiveauthentication proxyusefdpass`)
	add(keyword{kind: takesChoice, choices: with(yesNo, "unbound", "yes", "host-bound", "yes"), decides: true}, "pubkeyauthentication")
	add(keyword{kind: takesChoice, choices: with(orAsk, "off", "no", "accept-new", "accept-new"), decides: true}, "stricthostkeychecking")
	add(keyword{kind: takesChoice, choices: oneOf("any inet inet6"), decides: true}, "addressfamily")
	add(keyword{kind: takesChoice, choices: with(yesNo, "always", "always"), decides: true}, "canonicalizehostname")
	add(keyword{kind: takesWord, decides: true}, "hostname user hostkeyalias preferredauthentications ignoreunknown bindaddress bindinterface")
	add(keyword{kind: takesPort, decides: true}, "port")
	add(keyword{kind: takesDuration, decides: true}, "connecttimeout")
	add(keyword{kind: takesPaths, decides: true}, "userknownhostsfile globalknownhostsfile revokedhostkeys")
	add(keyword{kind: takesPath, decides: true}, "identityfile certificatefile")
	add(keyword{kind: takesAgent, decides: true}, "identityagent")
	add(keyword{kind: takesCommand, decides: true}, "proxycommand knownhostscommand")
	add(keyword{kind: takesJump, decides: true}, "proxyjump")
	add(keyword{kind: takesAlgorithms, algorithms: keyAlgorithms(), decides: true}, "hostkeyalgorithms pubkeyacceptedalgorithms")
	add(keyword{kind: takesAlgorithms, algorithms: kexAlgorithms(), decides: true}, "kexalgorithms")
	add(keyword{kind: takesAlgorithms, algorithms: cipherAlgorithms(), decides: true}, "ciphers")
	add(keyword{kind: takesAlgorithms, algorithms: macAlgorithms(), decides: true}, "macs")
	add(keyword{kind: takesAnything, decides: true}, "canonicaldomains canonicalizepermittedcnames")
	add(keyword{kind: takesNumber, decides: true}, "canonicalizemaxdots")
	add(keyword{kind: takesChoice, choices: yesNo, decides: true}, "canonicalizefallbacklocal")
	add(keyword{kind: isHost}, "host")
	add(keyword{kind: isMatch}, "match")
	add(keyword{kind: isInclude}, "include")
	add(keyword{kind: isRefusal, newer: true}, "refuseconnection")

	// What has no say here is passed by, but not if ssh would refuse it.
	add(keyword{kind: takesChoice, choices: yesNo}, `checkhostip clearallforwardings enableescapecommandline enablesshkeysign
		exitonforwardfailure forkafterauthentication forwardx11 forwardx11trusted gatewayports hostbasedauthentication
		nohostauthenticationforlocalhost permitlocalcommand stdinnull streamlocalbindunlink tcpkeepalive visualhostkey`)
	add(keyword{kind: takesChoice, choices: orAsk}, "updatehostkeys verifyhostkeydns")
	add(keyword{kind: takesChoice, choices: oneOf("yes no")}, "compression")
	add(keyword{kind: takesChoice, choices: with(orAsk, "auto", "auto", "autoask", "autoask")}, "controlmaster")
	add(keyword{kind: takesChoice, choices: with(yesNo, "force", "force", "auto", "auto")}, "requesttty")
	add(keyword{kind: takesChoice, choices: oneOf("none subsystem default")}, "sessiontype")
	add(keyword{kind: takesChoice, choices: with(yesNo, "ethernet", "ethernet", "point-to-point", "point-to-point")}, "tunnel")
	add(keyword{kind: takesChoice, choices: with(yesNo, "no-pq-kex", "no-pq-kex"), newer: true}, "warnweakcrypto")
	add(keyword{kind: takesChoice, choices: oneOf("quiet fatal error info verbose debug debug1 debug2 debug3")}, "loglevel")
	add(keyword{kind: takesDuration}, "forwardx11timeout serveraliveinterval")
	add(keyword{kind: takesNumber}, "connectionattempts serveralivecountmax")
	add(keyword{kind: takesNumber, decides: true}, "requiredrsasize numberofpasswordprompts")
	add(keyword{kind: takesWord}, "controlpath kbdinteractivedevices pkcs11provider securitykeyprovider xauthlocation")
	add(keyword{kind: takesWord, newer: true}, "tag")
	add(keyword{kind: takesCommand}, "localcommand remotecommand")
	add(keyword{kind: takesAnything}, `addkeystoagent casignaturealgorithms channeltimeout controlpersist dynamicforward
		escapechar fingerprinthash forwardagent hostbasedacceptedalgorithms ipqos localforward logverbose
		obscurekeystroketiming permitremoteopen rekeylimit remoteforward sendenv setenv streamlocalbindmask syslogfacility
		tunneldevice versionaddendum`)
	// Of a patch.
	add(keyword{kind: takesAnything}, `rsaminsize usekeychain gssapiauthentication gssapidelegatecredentials
		gssapikeyexchange gssapitrustdns gssapiclientidentity gssapiserveridentity gssapirenewalforcesrekey gssapikexalgorithms`)
	// Deprecated, or not supported.
	add(keyword{kind: takesAnything, ignored: true}, `protocol cipher fallbacktorsh globalknownhostsfile2 rhostsauthentication
		userknownhostsfile2 useroaming usersh useprivilegedport afstokenpassing kerberosauthentication kerberostgtpassing
		rsaauthentication rhostsrsaauthentication compressionlevel protocolkeepalives setuptimeout`)

	for old, current := range map[string]string{
		"challengeresponseauthentication": "kbdinteractiveauthentication",
		"skeyauthentication":              "kbdinteractiveauthentication",
		"tisauthentication":               "kbdinteractiveauthentication",
		"dsaauthentication":               "pubkeyauthentication",
		"identityfile2":                   "identityfile",
		"keepalive":                       "tcpkeepalive",
		"pubkeyacceptedkeytypes":          "pubkeyacceptedalgorithms",
		"hostbasedkeytypes":               "hostbasedacceptedalgorithms",
		"smartcarddevice":                 "pkcs11provider",
	} {
		m[old] = m[current]
	}
	return m
})

// sure are values, of the keywords that take anything, which every ssh takes.
var sure = sync.OnceValue(func() map[string]*regexp.Regexp {
	m := make(map[string]*regexp.Regexp)
	for names, value := range map[string]string{
		"sendenv":        `[^\s="'\\]+(\s+[^\s="'\\]+)*`,
		"setenv":         `\w+=[^\s"'\\]*(\s+\w+=[^\s"'\\]*)*`,
		"localforward":   `([\w.*-]+:)?[1-9]\d{0,3}\s+[\w.-]+:[1-9]\d{0,3}`,
		"remoteforward":  `([\w.*-]+:)?[1-9]\d{0,3}\s+[\w.-]+:[1-9]\d{0,3}`,
		"dynamicforward": `([\w.*-]+:)?[1-9]\d{0,3}`,
		"controlpersist": `yes|no|\d{1,5}[smhdw]?`,
		"addkeystoagent": `yes|no|ask|confirm|\d{1,5}[smhdw]?`,
		"escapechar":     `none|~`,
		"forwardagent gssapiauthentication gssapidelegatecredentials": `yes|no`,
	} {
		for name := range strings.FieldsSeq(names) {
			m[name] = regexp.MustCompile("^(" + value + ")$")
		}
	}
	return m
})

// doubtful reports whether some ssh may refuse the line for what is not looked
// at here.
func (d *directive) doubtful(rest string) bool {
	k := d.keyword
	if k.kind != takesAnything || k.decides || k.ignored {
		return k.newer
	}
	value, ok := sure()[k.name]
	return !ok || !value.MatchString(rest)
}

// check looks at the arguments as ssh does for every target, and keeps them in
// one spelling.
func (d *directive) check(args []string, rest string) {
	if err := d.take(args, rest); err != nil {
		d.refuse("%s: %s", d.word, err)
	}
}

var (
	errMissing = errors.New("missing argument")
	errExtra   = errors.New("extra arguments at end of line")
)

func (d *directive) take(args []string, rest string) (err error) {
	d.args = args
	rest = strings.TrimLeft(rest, blanks+"=")
	d.doubt = d.doubtful(strings.TrimRight(rest, blanks))
	switch d.keyword.kind {
	case takesAnything:
		return nil
	case takesCommand:
		d.args = []string{rest}
		return nil
	case takesJump:
		d.jump, err = parseJump(rest)
		return err
	case isMatch:
		// Match is split by strdelim(), not argv_split(); with all arguments
		// in a comment there is none.
		d.criteria, err = parseMatch(rest)
		return err
	case isHost, isInclude:
		return notEmpty(args)
	case takesPaths:
		if len(args) > 1 && slices.ContainsFunc(args, isNone) {
			return errors.New(`"none" must appear alone`)
		}
		return notEmpty(args)
	}
	if len(args) == 0 || args[0] == "" {
		return errMissing
	}
	if len(args) > 1 {
		return errExtra
	}
	value := args[0]
	switch d.keyword.kind {
	case takesChoice:
		var ok bool
		if value, ok = d.keyword.choices[pattern.Lower(value)]; !ok {
			return errors.New("unsupported option " + strconv.Quote(args[0]))
		}
	case takesDuration:
		value, err = parseDuration(value)
	case takesNumber:
		value, err = parseNumber(value, math.MaxInt32)
	case takesPort:
		value, err = parsePort(value)
	case takesAlgorithms:
		taken, byAll := d.keyword.algorithms.know(value)
		if !taken {
			d.unsure = "an algorithm that not every ssh knows"
		}
		d.doubt = !byAll
	}
	d.args = []string{value}
	return err
}

func notEmpty(args []string) error {
	if slices.Contains(args, "") {
		return errors.New("empty argument")
	}
	return nil
}

func isNone(s string) bool { return pattern.Lower(s) == "none" }

// parseNumber is strtonum(): blanks before and a sign are allowed.
func parseNumber(s string, max int64) (string, error) {
	n, err := strconv.ParseInt(strings.TrimLeft(s, " \t\n\v\f\r"), 10, 64)
	if err != nil || n < 0 || n > max {
		return "", errors.New("bad number " + strconv.Quote(s))
	}
	return strconv.FormatInt(n, 10), nil
}

// parsePort is misc.c a2port() for ports that one can connect to.
func parsePort(s string) (string, error) {
	n, err := parseNumber(s, math.MaxUint16)
	if err != nil {
		// With a letter, so that this never goes to a resolver of numbers.
		if p, err := net.LookupPort("tcp", s); err == nil && s == pattern.Lower(s) && strings.ContainsAny(s, letters) {
			n = strconv.Itoa(p)
		}
	}
	if n == "" || n == "0" {
		return "", errors.New("bad port " + strconv.Quote(s))
	}
	return n, nil
}

const letters = "abcdefghijklmnopqrstuvwxyz"

// parseDuration returns the seconds of a time, or "none".
func parseDuration(s string) (string, error) {
	if s == "none" {
		return s, nil
	}
	n, err := confline.Seconds(s)
	return strconv.FormatInt(n, 10), err
}
