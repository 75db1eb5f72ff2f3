package sshconfig

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"pi-key-tools/pkg/pattern"
	"pi-key-tools/pkg/sshkey"
)

// defaultIdentityFiles are those of readconf.c fill_default_options().
func defaultIdentityFiles() (files []string) {
	for _, name := range sshkey.DefaultNames {
		files = append(files, "~/.ssh/"+name)
	}
	return files
}

// result fills in the defaults and expands what is left to expand: the rest of
// ssh.c main() up to the connection.
func (e *evaluation) result() (*Host, error) {
	h := &Host{
		Alias:                  e.alias,
		HostName:               e.get("hostname", ""),
		User:                   e.get("user", e.local.user),
		IdentitiesOnly:         e.yes("identitiesonly", false),
		HostKeyAlias:           pattern.Lower(e.get("hostkeyalias", "")),
		HashKnownHosts:         e.yes("hashknownhosts", false),
		StrictHostKeyChecking:  e.get("stricthostkeychecking", "ask"),
		BatchMode:              e.yes("batchmode", false),
		PubkeyAuthentication:   e.yes("pubkeyauthentication", true),
		PasswordAuthentication: e.yes("passwordauthentication", true),
		KbdInteractive:         e.yes("kbdinteractiveauthentication", true),
		AddressFamily:          e.get("addressfamily", "any"),
		BindAddress:            e.get("bindaddress", ""),
		BindInterface:          e.get("bindinterface", ""),
		KnownHostsCommand:      e.get("knownhostscommand", ""),
		Sources:                make(map[string]string),
		getenv:                 e.r.getenv,
	}
	if isNone(h.KnownHostsCommand) {
		h.KnownHostsCommand = ""
	}
	h.Port, _ = strconv.Atoi(e.get("port", "22"))
	h.RequiredRSASize, _ = strconv.Atoi(e.get("requiredrsasize", "1024"))
	h.PasswordPrompts, _ = strconv.Atoi(e.get("numberofpasswordprompts", "3"))
	if seconds, err := strconv.Atoi(e.get("connecttimeout", "0")); err == nil {
		h.ConnectTimeout = time.Duration(seconds) * time.Second
	}
	if methods := e.get("preferredauthentications", ""); methods != "" {
		h.PreferredAuthentications = strings.Split(methods, ",")
	}
	for name, v := range e.values {
		if at := v.place(0); at != "" && keywords()[name].decides {
			h.Sources[name] = at
		}
		if e.asked { // which tells no more
			e.setTwice(name)
		}
	}
	h.SetTwice = e.twice
	h.tokens = e.tokens(h)
	x := &expansion{e: e, tokens: h.tokens}
	h.IdentityFiles = x.files("identityfile", defaultIdentityFiles())
	h.IdentityFiles = slices.DeleteFunc(h.IdentityFiles, isNone)
	h.CertificateFiles = x.files("certificatefile", nil)
	h.UserKnownHostsFiles = x.hostFiles("userknownhostsfile", []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"})
	h.RevokedHostKeys = x.hostFiles("revokedhostkeys", nil)
	h.GlobalKnownHostsFiles = x.globalFiles()
	h.IdentityAgent = x.agent()
	h.HostKeyAlgorithms = x.algorithms("hostkeyalgorithms")
	h.PubkeyAcceptedAlgorithms = x.algorithms("pubkeyacceptedalgorithms")
	h.KexAlgorithms, h.Ciphers, h.MACs = x.algorithms("kexalgorithms"), x.algorithms("ciphers"), x.algorithms("macs")
	x.proxy(h)
	if x.err != nil {
		return nil, x.err
	}
	return h, nil
}

func (e *evaluation) yes(name string, otherwise bool) bool {
	if !e.has(name) {
		return otherwise
	}
	return e.get(name, "") == "yes"
}

// tokens is DEFAULT_CLIENT_PERCENT_EXPAND_ARGS of sshconnect.h, with %j, and
// the jump host in %C, since OpenSSH 9.6.
func (e *evaluation) tokens(h *Host) map[byte]string {
	here, port, alias, via := e.local.hostname, strconv.Itoa(h.Port), h.HostKeyAlias, ""
	if alias == "" {
		alias = e.alias
	}
	if e.jump != nil {
		via = e.jump.host
	}
	short, _, _ := strings.Cut(here, ".")
	hash := sha1.Sum([]byte(here + h.HostName + port + h.User + via))
	return map[byte]string{
		'C': hex.EncodeToString(hash[:]), 'L': short, 'd': e.local.home, 'h': h.HostName, 'i': e.local.uid,
		'j': via, 'k': alias, 'l': here, 'n': e.alias, 'p': port, 'r': h.User, 'u': e.local.user,
	}
}

// OwnUser reports whether the user has the name of the one who runs us.
func (h *Host) OwnUser() bool { return h.User == h.tokens['u'] }

// An expansion finishes values, and keeps the first error.
type expansion struct {
	e      *evaluation
	tokens map[byte]string
	err    error
}

// failed notes what is wrong with the argument i of a keyword.
func (x *expansion) failed(name string, i int, err error) {
	if err == nil || x.err != nil {
		return
	}
	at := x.e.values[name].place(i)
	if at == "" {
		at = "ssh -G"
	}
	x.err = &SyntaxError{At: at, Reason: name + ": " + err.Error()}
}

// path expands ~, then tokens and variables, in argument i of a keyword.
func (x *expansion) path(name string, i int, s string) string {
	s, err := expandTilde(s, x.e.local.home)
	if err == nil {
		s, err = expand(s, x.tokens, x.e.r.getenv)
	}
	x.failed(name, i, err)
	return s
}

// files is for the keywords that `ssh -G` leaves unexpanded, so that they
// are expanded here in any case.
func (x *expansion) files(name string, otherwise []string) []string {
	args := x.e.values[name].args
	if args == nil {
		args = otherwise
	}
	var list []string
	for i, s := range args {
		list = append(list, x.path(name, i, s))
	}
	return list
}

func (x *expansion) hostFiles(name string, otherwise []string) []string {
	args := x.e.values[name].args
	switch {
	case len(args) > 0 && isNone(args[0]):
		return nil
	case x.e.asked && len(args) > 0:
		return args
	}
	return x.files(name, otherwise)
}

// globalFiles has ~ expanded, but no tokens.
func (x *expansion) globalFiles() []string {
	const name = "globalknownhostsfile"
	args := x.e.values[name].args
	if len(args) == 0 {
		return globalKnownHosts()
	}
	if isNone(args[0]) {
		return nil
	}
	var list []string
	for i, s := range args {
		s, err := expandTilde(s, x.e.local.home)
		x.failed(name, i, err)
		list = append(list, s)
	}
	return list
}

func (x *expansion) agent() string {
	socket := x.e.get("identityagent", "SSH_AUTH_SOCK")
	if !x.e.asked {
		socket = x.path("identityagent", 0, socket)
	}
	switch {
	case socket == "none":
		return ""
	case socket == "SSH_AUTH_SOCK":
		if socket = x.e.r.getenv(socket); socket == "" {
			return defaultAgent
		}
	case strings.HasPrefix(socket, "$"): // "${" was expanded before
		return x.e.r.getenv(socket[1:])
	}
	return socket
}

func (x *expansion) algorithms(name string) []string {
	if !x.e.has(name) {
		return nil
	}
	text := x.e.get(name, "")
	if x.e.asked {
		return strings.Split(text, ",")
	}
	list, err := keywords()[name].algorithms.assemble(text)
	x.failed(name, 0, err)
	return list
}

// proxy sets how the machine is reached. ssh runs ProxyCommand as
// "exec COMMAND".
func (x *expansion) proxy(h *Host) {
	if j := x.e.jump; j != nil {
		h.ProxyJump = j.String()
		if j.host == h.HostName && (j.port == h.Port || j.port == 0 && h.Port == 22) && (j.user == "" || j.user == h.User) {
			x.failed("proxyjump", 0, errors.New("jumphost loop via "+j.host))
		}
		return
	}
	command := x.e.get("proxycommand", "none")
	if command == "" || isNone(command) {
		return
	}
	tokens := make(map[byte]string)
	for _, c := range []byte("hknpr") {
		tokens[c] = x.tokens[c]
	}
	command, err := expandTokens(command, tokens)
	x.failed("proxycommand", 0, err)
	if x.e.yes("proxyusefdpass", false) {
		x.failed("proxyusefdpass", 0, errFdpass)
	}
	h.ProxyCommand = command
}

// errFdpass is about a command that passes an open connection back.
var errFdpass = errors.New("ProxyUseFdpass is not supported; use a ProxyCommand that copies, such as nc without -F")
