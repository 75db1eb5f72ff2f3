package connect

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/knownhosts"
	"pi-key-tools/pkg/sshkey"
)

// A HostKeyError means that a host key may not be trusted.
type HostKeyError struct {
	Status knownhosts.Status // Unknown, Changed or Revoked
	Name   string            // as known_hosts writes it
	Shown  sshkey.Public
	Lines  []knownhosts.Line // that say otherwise
	Wanted string            // the fingerprint of --host-key, if that is what differs
	Closed string            // a known_hosts file that may not be read, and may have the host
}

func (e *HostKeyError) Error() string {
	shown := fmt.Sprintf("it presents %s %s", e.Shown.Name(), e.Shown.Fingerprint())
	if e.Wanted != "" {
		return fmt.Sprintf("%s, but --host-key asks for %s", shown, e.Wanted)
	}
	switch e.Status {
	case knownhosts.Revoked:
		return fmt.Sprintf("%s, revoked by %s", shown, e.places())
	case knownhosts.Changed:
		return fmt.Sprintf("%s, but the known key is %s", shown, e.places())
	}
	unknown := fmt.Sprintf("%s, but no known_hosts file has %s", shown, e.Name)
	if e.Closed != "" {
		unknown += ", unless it is in " + e.Closed + ", which cannot be read"
	}
	return unknown
}

func (e *HostKeyError) places() string {
	var b strings.Builder
	for i, l := range e.Lines {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s (%s:%d)", l.Key.Name(), l.Key.Fingerprint(), l.Path, l.Number)
	}
	return b.String()
}

// Hint returns what the user can do about it. The host is the one that has shown
// the key. pikeycheck sends it nothing secret, and --host-key is for one target: the
// run that was refused can be repeated as it was.
func (e *HostKeyError) Hint(host *Host) string {
	trust, first := "--host-key "+e.Shown.Fingerprint(), "-o StrictHostKeyChecking=accept-new"
	forgets := len(host.hostKeyFiles()) == 0 // so that the next run would not know the key either
	at := cmp.Or(host.Config.Sources["userknownhostsfile"], "ssh_config")
	if forgets {
		trust, first = fmt.Sprintf("add %s to the command, each time: UserKnownHostsFile (%s) keeps no key", trust, at), "add "+first
	} else {
		trust, first = host.check(trust), host.check(first)
	}
	switch {
	case e.Status == knownhosts.Revoked:
		return "a revoked host key is never trusted: give the machine a new one (sudo ssh-keygen -A there, after removing /etc/ssh/ssh_host_*)"
	case e.Wanted != "":
		return fmt.Sprintf("compare the fingerprint with `ssh-keygen -lf %s` on the machine's own console", e.file())
	case e.Closed != "":
		return identity.ToRead(e.Closed)
	case forgets && host.alone != nil: // a jump host, for which the options are not meant
		return fmt.Sprintf("have UserKnownHostsFile (%s) name a file that keeps the key of %s", at, host.Target)
	case e.Status == knownhosts.Changed:
		return fmt.Sprintf("if the machine was reinstalled, compare the fingerprint with `ssh-keygen -lf %s` there, then trust this key: %s", e.file(), trust)
	default:
		return fmt.Sprintf("compare the fingerprint with the one on the machine's own console, then trust this key: %s\n"+
			"hint: or trust whatever key an unknown host presents first: %s", trust, first)
	}
}

// file is where a machine keeps the key that it has shown (sshd_config(5)
// HostKey).
func (e *HostKeyError) file() string {
	kind := "ed25519"
	switch t := e.Shown.Type; {
	case t == ssh.KeyAlgoRSA:
		kind = "rsa"
	case strings.HasPrefix(t, "ecdsa-"):
		kind = "ecdsa"
	}
	return "/etc/ssh/ssh_host_" + kind + "_key.pub"
}

// plainAlgorithms is ssh's default order (ssh_config(5) HostKeyAlgorithms), of
// those that x/crypto verifies. Certificates are asked for only where a
// known_hosts line names an authority, since nothing else could trust one.
var plainAlgorithms = []string{
	ssh.KeyAlgoED25519,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

var certAlgorithms = []string{
	ssh.CertAlgoED25519v01,
	ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
	ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
}

// hostKeyPolicy returns the check of the host's key and the algorithms to ask
// for, by ssh's files.
func (h *Host) hostKeyPolicy(ctx context.Context) (check func(ssh.PublicKey, net.Addr) error, algorithms []string, err error) {
	name := knownhosts.Name(h.Config.HostName, h.Config.Port)
	if alias := h.Config.HostKeyAlias; alias != "" {
		name = strings.ToLower(alias)
	}
	if h.known == nil { // for both connections of a copy: to search hashed names takes long
		lines := h.lookup(ctx, name)
		h.known = &lines
	}
	told, err := h.hostKeysTold(ctx, name, nil)
	if err != nil {
		return nil, nil, err
	}
	lines := slices.Concat(*h.known, told)
	// ssh leaves the order alone where HostKeyAlgorithms is set outright; a
	// key that is known is asked for first here all the same, since another
	// one would look like a change.
	defaults, err := possible("HostKeyAlgorithms", h.Config.HostKeyAlgorithms, everyAlgorithm().HostKeys)
	switch {
	case err != nil:
		return nil, nil, err
	case defaults == nil:
		defaults = plainAlgorithms
		for _, l := range lines {
			if l.Marker == knownhosts.MarkerCA {
				defaults = slices.Concat(certAlgorithms, plainAlgorithms)
				break
			}
		}
	}
	check = func(key ssh.PublicKey, remote net.Addr) error {
		lines := lines
		if h.Config.KnownHostsCommand != "" { // which may say another thing of this key
			told, err := h.hostKeysTold(ctx, name, key)
			if err != nil {
				return err
			}
			lines = slices.Concat(*h.known, told)
		}
		return h.checkHostKey(ctx, name, lines, key, remote)
	}
	return check, knownhosts.Algorithms(lines, defaults), nil
}

// lookup returns what ssh's files have of a name.
func (h *Host) lookup(ctx context.Context, name string) (lines []knownhosts.Line) {
	for _, path := range slices.Concat(h.Config.UserKnownHostsFiles, h.Config.GlobalKnownHostsFiles) {
		if ctx.Err() != nil {
			break // nothing comes of it any more
		}
		file, err := h.c.hostKeys.file(ctx, path)
		if err != nil {
			// ssh goes on without a file that it cannot read, and ends up
			// refusing the host; saying why is better, once for all targets.
			if _, said := h.c.hostKeys.unread.LoadOrStore(path, true); !said {
				h.c.opt.Note("", "known_hosts %v", err)
			}
			h.unread = true
			if errors.Is(err, fs.ErrPermission) {
				h.closed = path
			}
			continue
		}
		lines = append(lines, file.lookup(name)...)
	}
	return lines
}

func (h *Host) checkHostKey(ctx context.Context, name string, lines []knownhosts.Line, key ssh.PublicKey, remote net.Addr) error {
	shown, ca := identity.PublicOf(key), sshkey.Public{}
	if cert, ok := key.(*ssh.Certificate); ok {
		shown = identity.PublicOf(cert.Key)
		if err := h.checkHostCertificate(cert); err != nil {
			// ssh then takes the certified key as a plain one.
			h.c.opt.Trace(1, h.Target, "host certificate: %v", err)
		} else {
			ca = identity.PublicOf(cert.SignatureKey)
		}
	}
	status, said := knownhosts.Judge(lines, shown, ca)
	if status == knownhosts.Unknown && h.Config.HostKeyAlias == "" && h.Config.Port != 22 {
		// sshconnect.c check_host_key(): the name without the port counts, if
		// it has this very key.
		if s, l := knownhosts.Judge(h.lookup(ctx, knownhosts.Name(h.Config.HostName, 22)), shown, ca); s == knownhosts.Known || s == knownhosts.Revoked {
			status, said = s, l
		}
	}
	if line, err := h.revoked(ctx, shown, ca); err != nil {
		return err
	} else if line != nil {
		status, said = knownhosts.Revoked, []knownhosts.Line{*line}
	}
	refuse := &HostKeyError{Status: status, Name: name, Shown: shown, Lines: said}
	if status == knownhosts.Unknown {
		refuse.Closed = h.closed
	}
	h.c.opt.Trace(1, h.Target, "host key %s %s", shown.Name(), shown.Fingerprint())
	if status == knownhosts.Revoked {
		return refuse
	}
	if want := h.c.opt.HostKey; want != "" && h.alone == nil { // it is not meant for a jump host
		if want != shown.Fingerprint() {
			refuse.Wanted = want
			return refuse
		}
		if status == knownhosts.Known {
			return nil
		}
		return h.trust(ctx, refuse, remote, true)
	}
	switch {
	case status == knownhosts.Known:
		return nil
	case status == knownhosts.Unknown && (h.Config.StrictHostKeyChecking == "accept-new" || h.Config.StrictHostKeyChecking == "no"):
		err := h.trust(ctx, refuse, remote, false)
		if met := (*HostKeyError)(nil); err == nil || h.unread || errors.As(err, &met) {
			return err
		}
		h.c.opt.Note(h.Target, "%v", err) // and go on, as ssh does
		return nil
	}
	return refuse
}

// A RevocationError means that RevokedHostKeys names a file that cannot be
// read. As with ssh, no host key is accepted then.
type RevocationError struct{ Err error }

func (e *RevocationError) Error() string { return "RevokedHostKeys: " + e.Err.Error() }
func (e *RevocationError) Unwrap() error { return e.Err }

// checkHostCertificate says what is wrong with a certificate, whoever signed
// it. As with ssh it must name the alias, where there is one.
func (h *Host) checkHostCertificate(cert *ssh.Certificate) error {
	principal := h.Config.HostName
	if h.Config.HostKeyAlias != "" {
		principal = h.Config.HostKeyAlias
	}
	switch {
	case cert.CertType != ssh.HostCert:
		return errors.New("it is a user certificate")
	case cert.Signature.Format == ssh.KeyAlgoRSA: // SHA-1; ssh_config(5) CASignatureAlgorithms
		return errors.New("it is signed with SHA-1")
	case len(cert.ValidPrincipals) == 0:
		return errors.New("it names no host")
	}
	return (&ssh.CertChecker{}).CheckCert(strings.ToLower(principal), cert)
}

// revoked looks the key, and the authority behind it, up in RevokedHostKeys.
func (h *Host) revoked(ctx context.Context, keys ...sshkey.Public) (*knownhosts.Line, error) {
	for _, path := range h.Config.RevokedHostKeys {
		data, err := read(ctx, path)
		if err != nil {
			return nil, &RevocationError{err}
		}
		if bytes.HasPrefix(data, []byte("SSHKRL\n")) {
			return nil, &RevocationError{fmt.Errorf("%s: a binary revocation list cannot be read here; list the keys as lines", path)}
		}
		number := 0
		for line := range bytes.Lines(data) {
			number++
			listed, err := sshkey.ParsePublic(strings.TrimSpace(string(line)))
			if err != nil {
				continue
			}
			if slices.ContainsFunc(keys, listed.Equal) {
				return &knownhosts.Line{Path: path, Number: number, Marker: knownhosts.MarkerRevoked, Key: listed}, nil
			}
		}
	}
	return nil, nil
}

// hostKeyFiles are those of the user's that keep a key which comes to be trusted.
func (h *Host) hostKeyFiles() []string {
	return slices.DeleteFunc(slices.Clone(h.Config.UserKnownHostsFiles), func(path string) bool { return path == os.DevNull || path == "none" })
}

// trust writes the key into the user's known_hosts. In place of a changed key
// it goes into every file of the user's that has another, and under the
// address too, which older versions of ssh wrote beside the name.
func (h *Host) trust(ctx context.Context, e *HostKeyError, remote net.Addr, replace bool) error {
	h.known = nil
	paths := h.hostKeyFiles()
	if len(paths) == 0 {
		return nil
	}
	first, instead := paths[0], ""
	if replace && e.Status == knownhosts.Changed {
		paths = slices.DeleteFunc(paths, func(path string) bool {
			return !slices.ContainsFunc(e.Lines, func(l knownhosts.Line) bool { return l.Path == path })
		})
		for _, l := range e.Lines {
			if !slices.Contains(h.Config.UserKnownHostsFiles, l.Path) {
				h.c.opt.Note(h.Target, "%s:%d has another key for %s, and is not ours to change", l.Path, l.Number, e.Name)
			}
		}
		instead = ", in place of the one that was known"
	} else {
		paths = paths[:1]
	}
	if len(paths) == 0 {
		paths = []string{first}
	}
	for _, path := range paths {
		if err := h.remember(ctx, path, e, remote, replace); err != nil {
			return fmt.Errorf("remembering the host key: %w", err)
		}
		h.c.opt.Note(h.Target, "%s: added %s %s of %s%s", path, e.Shown.Name(), e.Shown.Fingerprint(), e.Name, instead)
	}
	return nil
}

func (h *Host) remember(ctx context.Context, path string, e *HostKeyError, remote net.Addr, replace bool) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if !replace {
		return h.c.hostKeys.add(ctx, path, &newcomer{e: e, hash: h.Config.HashKnownHosts})
	}
	defer h.c.hostKeys.forget(path)
	return hostfs.Replace(path, 0o600, func(old []byte) ([]byte, error) {
		data := knownhosts.Replace(old, e.Name, e.Shown, h.Config.HashKnownHosts, newSalt)
		if tcp, ok := remote.(*net.TCPAddr); ok && h.Config.ProxyJump == "" && h.Config.ProxyCommand == "" {
			address := knownhosts.Name(tcp.IP.String(), tcp.Port)
			said := knownhosts.LookupOnce(knownhosts.File{Path: path, Data: data}, address)
			if status, _ := knownhosts.Judge(said, e.Shown, sshkey.Public{}); address != e.Name && status == knownhosts.Changed {
				data = knownhosts.Replace(data, address, e.Shown, h.Config.HashKnownHosts, newSalt)
			}
		}
		return data, nil
	})
}
